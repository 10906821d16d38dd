/* SPDX-License-Identifier: MIT */
/* lookup.c: waiting for a name (contract in lookup.h).
 *
 * The operation is C memory of its own; continuation, or the drop of the stack, frees it. */
#include "lookup.h"
#include "core/error.h"

typedef struct lookup {
  bide_wait wait;
  bide_host *host;
  bide_query query;
  bide_alarm timeout;
  int status;
  bide_addrs *addrs; /* owned */
} lookup;

static void on_answer(bide_query *q, int status, bide_addrs *addrs) {
  lookup *op = bide_container(q, lookup, query);
  bide__alarm_stop(op->host, &op->timeout);
  op->status = status;
  if (addrs) op->addrs = bide__addrs_ref(addrs);
  bide__wake(&op->wait, 0);
}

static void on_timeout(bide_alarm *a) {
  lookup *op = bide_container(a, lookup, timeout);
  bide__resolve_cancel(&op->query);
  op->status = UV_ETIMEDOUT;
  bide__wake(&op->wait, 0);
}

static void abort_lookup(bide_wait *w, int status) {
  lookup *op = bide_container(w, lookup, wait);
  bide__alarm_stop(op->host, &op->timeout);
  bide__resolve_cancel(&op->query);
  bide__wake(w, status);
}

static void drop_lookup(bide_wait *w) {
  lookup *op = bide_container(w, lookup, wait);
  bide__alarm_stop(op->host, &op->timeout);
  bide__resolve_cancel(&op->query);
  bide__addrs_unref(op->host, op->addrs);
  bide__free(op->host, op, sizeof *op);
}

static const bide_waitops lookup_ops = {"resolve", abort_lookup, NULL, drop_lookup, 0};

int bide__lookup(lua_State *L, bide_host *h, const char *name, int family, double timeout,
                 bide_kwait k) {
  lookup *op = bide__alloc(h, sizeof *op);
  if (!op) return luaL_error(L, "not enough memory");
  *op = (lookup){.host = h};
  bide__wait_init(h, &op->wait, &lookup_ops);
  int status = bide__resolve(h, &op->query, name, family, on_answer);
  if (!status) status = bide__alarm_start(h, &op->timeout, timeout, on_timeout);
  if (status) {
    bide__resolve_cancel(&op->query);
    op->status = status;
    return bide__complete(L, h, &op->wait, 0, k);
  }
  return bide__suspend(L, h, &op->wait, &lookup_ops, k);
}

int bide__lookup_take(bide_host *h, bide_wait *w, bide_addrs **addrs) {
  lookup *op = bide_container(w, lookup, wait);
  int status = w->status < 0 ? w->status : op->status;
  *addrs = op->addrs;
  if (status) {
    bide__addrs_unref(h, op->addrs);
    *addrs = NULL;
  }
  bide__free(h, op, sizeof *op);
  return status;
}

int bide__lookup_fail(lua_State *L, bide_host *h, int status, const char *op, const char *name) {
  if (status == UV_ECANCELED || status == BIDE_EDEADLK) return bide__raise_status(L, h, status, op);
  bide__error_push_status(L, h, status, op, name);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "host");
  return lua_error(L);
}
