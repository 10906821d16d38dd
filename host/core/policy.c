/* SPDX-License-Identifier: MIT */
/* policy.c: see policy.h. The list is one block: pointers, then the text. */
#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct bide_policy {
  size_t n;
  char *network[]; /* owned, in this block */
};

bide_policy *bide__policy_new(const char *const *network) {
  size_t n = 0, size = 0, i;
  bide_policy *p;
  char *text;
  for (; network && network[n]; n++) size += strlen(network[n]) + 1;
  p = malloc(sizeof *p + n * sizeof p->network[0] + size);
  if (!p) return NULL;
  p->n = n;
  text = (char *)&p->network[n];
  for (i = 0; i < n; i++) {
    p->network[i] = text;
    text = strcpy(text, network[i]) + strlen(network[i]) + 1;
  }
  return p;
}

void bide__policy_free(bide_policy *p) {
  free(p);
}

/* The last colon parts them: an IPv6 address has others. */
static int allows(const char *entry, const char *host, const char *port) {
  const char *colon = strrchr(entry, ':');
  size_t n = colon ? (size_t)(colon - entry) : 0;
  if (!colon || (strcmp(colon + 1, "*") != 0 && strcmp(colon + 1, port) != 0)) return 0;
  if (n == 1 && *entry == '*') return 1;
  return strlen(host) == n && strncasecmp(entry, host, n) == 0;
}

int bide__may_connect(const bide_host *h, const char *host, int port) {
  char number[16];
  size_t i;
  if (!h->policy) return 0;
  snprintf(number, sizeof number, "%d", port);
  for (i = 0; i < h->policy->n; i++)
    if (allows(h->policy->network[i], host, number)) return 0;
  return UV_EACCES;
}

int bide__may_open(const bide_host *h) {
  return h->policy ? UV_EACCES : 0;
}
