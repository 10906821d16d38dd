/* SPDX-License-Identifier: MIT */
/* hosts.h: the names of /etc/hosts, kept in memory and read again when the file has changed. */
#ifndef BIDE_NET_HOSTS_H
#define BIDE_NET_HOSTS_H

#include "addr.h"

typedef struct bide_host bide_host;

typedef struct bide_hosts_entry {
  const char *name; /* in the text */
  uint32_t order;   /* of reading */
  bide_addr addr;
} bide_hosts_entry;

typedef struct bide_hosts {
  const char *path;     /* borrowed; NULL: /etc/hosts */
  char *text;           /* owned; NULL when there is no file */
  bide_hosts_entry *at; /* owned; sorted by name, then order */
  size_t size;
  uint32_t n, cap;
  long long changed; /* what the file was when it was read */
  long long length, inode;
} bide_hosts;

/* The addresses of `name` in the order of the file, at most `max`. A missing, unreadable or too
 * large file is an empty one. */
uint32_t bide__hosts_find(bide_host *h, bide_hosts *hosts, const char *name, int family,
                          bide_addr *out, uint32_t max);
void bide__hosts_fini(bide_host *h, bide_hosts *hosts);

#endif
