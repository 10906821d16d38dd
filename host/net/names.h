/* SPDX-License-Identifier: MIT */
/* names.h: questions to the DNS by c-ares, on the loop, for the resolver alone.
 *
 * The channel (sockets, servers of resolv.conf) exists only while questions are under way: nothing
 * is left open when nobody asks, each burst comes from ports of its own, and a changed resolv.conf
 * counts from the next one. Questions are begun a few at a time, for a thousand datagrams at once
 * overrun a server's buffer and the lost ones cost seconds. */
#ifndef BIDE_NET_NAMES_H
#define BIDE_NET_NAMES_H

#include "addr.h"
#include "net.h"

typedef struct bide_names bide_names;
typedef struct bide_question bide_question;

struct bide_question {
  bide_question *next, *prev; /* in a ring of the names' */
  bide_names *names;
  const char *name; /* borrowed until `done` */
  int family;       /* AF_INET or AF_INET6 */
  unsigned char begun;
  /* Called once, from the loop: 0 and addresses (borrowed during the call) that hold for `seconds`,
   * or a negative code. The question is the asker's again. */
  void (*done)(bide_question *q, int status, const bide_addr *at, uint32_t n, double seconds);
};

/* NULL when there is no memory. */
bide_names *bide__names_new(bide_net *net);
/* Ends every question (UV_ECANCELED) and frees. */
void bide__names_free(bide_names *names);
/* Asks. 0, or a negative code (then `done` is not called). */
int bide__names_ask(bide_names *names, bide_question *q);
/* Takes back a question that was not begun: 1; else 0, and `done` will come. */
int bide__names_take_back(bide_question *q);
/* Nobody waits for any question any more: ends all with UV_ECANCELED, now or, out of a callback,
 * as soon as that has returned. */
void bide__names_rest(bide_names *names);
/* The servers to ask instead of those of resolv.conf: "address[:port],…", or NULL. For questions
 * begun from now on when none is under way. 0, UV_EINVAL, UV_ENOMEM. */
int bide__names_servers(bide_names *names, const char *list);

#endif
