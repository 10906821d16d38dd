/* SPDX-License-Identifier: MIT */
/* embed_sandbox.c: a state in which a script reaches only what it was given. */
#include "embed.h"

#include <stdlib.h>

struct bide_policy {
  char **network; /* owned, each */
};

struct bide_policy *bide__policy_new(const char *const *network) {
  (void)network;
  return calloc(1, sizeof(struct bide_policy));
}

void bide__policy_free(struct bide_policy *p) {
  free(p);
}

void bide__sandbox(lua_State *L, bide_host *h) {
  (void)L;
  (void)h;
}
