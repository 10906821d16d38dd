/* SPDX-License-Identifier: MIT */
/* lookup.c: waiting for a name (contract in lookup.h).
 *
 * The operation is C memory of its own; continuation, or the drop of the stack, frees it. Both
 * families are asked at once; when one has answered the other gets GRACE seconds more. */
#include "lookup.h"
#include "core/error.h"

#include <stdio.h>

#define GRACE 0.25

enum { V4, V6 };

typedef struct lookup {
  bide_wait wait;
  bide_host *host;
  bide_query query[2]; /* of each family */
  bide_alarm timeout;  /* for all; or, at once, when the answer was known */
  bide_alarm grace;    /* for the second family */
  int status;          /* the first failure */
  int left;            /* queries without an answer */
  bide_addrs *part[2]; /* owned; what each family has answered */
  char name[64];       /* its beginning, for dumps */
} lookup;

static void stop(lookup *op) {
  bide__alarm_stop(op->host, &op->timeout);
  bide__alarm_stop(op->host, &op->grace);
  for (int i = 0; i < 2; i++) bide__resolve_cancel(&op->query[i]);
}

static void end(lookup *op) {
  stop(op);
  bide__wake(&op->wait, 0);
}

static void on_grace(bide_alarm *a) {
  end(bide_container(a, lookup, grace));
}

static void on_answer(lookup *op, int family, int status, bide_addrs *addrs) {
  if (addrs) op->part[family] = bide__addrs_ref(addrs);
  if (status && (!op->status || family == V4)) op->status = status;
  if (!--op->left || (addrs && bide__alarm_start(op->host, &op->grace, GRACE, on_grace))) end(op);
}

static void on_v4(bide_query *q, int status, bide_addrs *addrs) {
  on_answer(bide_container(q, lookup, query[V4]), V4, status, addrs);
}

static void on_v6(bide_query *q, int status, bide_addrs *addrs) {
  on_answer(bide_container(q, lookup, query[V6]), V6, status, addrs);
}

static void on_timeout(bide_alarm *a) {
  lookup *op = bide_container(a, lookup, timeout);
  if (!op->part[V4]) op->status = UV_ETIMEDOUT;
  end(op);
}

static void abort_lookup(bide_wait *w, int status) {
  stop(bide_container(w, lookup, wait));
  bide__wake(w, status);
}

static void free_lookup(lookup *op) {
  for (int i = 0; i < 2; i++) bide__addrs_unref(op->host, op->part[i]);
  bide__free(op->host, op, sizeof *op);
}

static void drop_lookup(bide_wait *w) {
  lookup *op = bide_container(w, lookup, wait);
  stop(op);
  free_lookup(op);
}

static void describe_lookup(const bide_wait *w, char *buf, size_t size) {
  snprintf(buf, size, "resolve %s", bide_container(w, const lookup, wait)->name);
}

static const bide_waitops lookup_ops = {"resolve", abort_lookup, describe_lookup, drop_lookup, 0};

/* Begins; 0 or a negative code. What is known already stands for the answer of V4. */
static int begin(lookup *op, const char *name, int family, double timeout) {
  int status;
  op->part[V4] = bide__resolve_now(op->host, name, family, &status);
  if (op->part[V4]) timeout = 0;
  else if (!status && family != AF_INET6) {
    status = bide__resolve(op->host, &op->query[V4], name, AF_INET, on_v4);
    op->left++;
  }
  if (!op->part[V4] && !status && family != AF_INET) {
    status = bide__resolve(op->host, &op->query[V6], name, AF_INET6, on_v6);
    op->left++;
  }
  return status ? status : bide__alarm_start(op->host, &op->timeout, timeout, on_timeout);
}

int bide__lookup(lua_State *L, bide_host *h, const char *name, int family, double timeout,
                 bide_kwait k) {
  lookup *op = bide__alloc(h, sizeof *op);
  if (!op) return luaL_error(L, "not enough memory");
  *op = (lookup){.host = h};
  snprintf(op->name, sizeof op->name, "%s", name);
  bide__wait_init(h, &op->wait, &lookup_ops);
  int status = begin(op, name, family, timeout);
  if (!status) return bide__suspend(L, h, &op->wait, &lookup_ops, k);
  stop(op);
  op->status = status;
  return bide__complete(L, h, &op->wait, 0, k);
}

int bide__lookup_take(bide_host *h, bide_wait *w, bide_addrs **addrs) {
  lookup *op = bide_container(w, lookup, wait);
  int status = w->status, found = op->part[V4] || op->part[V6];
  *addrs = NULL;
  if (!status && !found) status = op->status;
  if (!status && !(*addrs = bide__addrs_merge(h, op->part[V4], op->part[V6]))) status = UV_ENOMEM;
  free_lookup(op);
  return status;
}

int bide__lookup_fail(lua_State *L, bide_host *h, int status, const char *op, const char *name) {
  if (status == UV_ECANCELED || status == BIDE_EDEADLK) return bide__raise_status(L, h, status, op);
  bide__error_push_status(L, h, status, op, name);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "host");
  return lua_error(L);
}
