/* SPDX-License-Identifier: MIT */
/* server.c: servers of streams (contract in server.h).
 *
 * Objects: the *server* (C memory, counted: its handle, its acceptor, every hold); the *acceptor*,
 * a task that makes a stream and a task of every accepted connection, and ends last; a *hold* per
 * connection, which knows when handler and connection have both ended.
 * The handlers live in a scope of the server's own, beneath that of the run: closing cancels it.
 * Invariant: the scope is open from start to the acceptor's end, so the run outlives it. */
#include "server.h"
#include "core/error.h"
#include "core/failure.h"
#include "core/limit.h"
#include "core/name.h"
#include "core/run.h"
#include "core/trace.h"
#include "net/throttle.h"

#include <stdio.h>
#include <string.h>

typedef struct waiter {
  struct waiter *next;
  bide_host *host;
  bide_server *server; /* NULL: woken or aborted */
  bide_wait wait;
} waiter;

struct bide_server {
  bide_host *host;
  bide_listener *listener; /* owned, closed or not */
  bide_link acceptor;      /* on the acceptor */
  bide_scope scope;        /* of the handlers */
  bide_wait wait;          /* of the acceptor */
  bide_alarm grace;
  bide_throttle told;      /* of connections that were refused */
  bide_conn *first, *last; /* accepted, not yet taken by the acceptor; linked by their user */
  waiter *waiters;
  uint32_t refs, live; /* live: holds */
  uint32_t site;       /* where it was started */
  int abort_status;
  unsigned char is_daemon, closing, acceptor_ended, over;
  bide_addr address; /* for server:address() after the close as well */
};

struct bide_handled {
  bide_link link; /* on the handler's task */
  bide_server *server;
  bide_stream *stream; /* NULL once closed or collected */
  bide_task *task;
  unsigned char task_ended, conn_ended;
};

static const char server_key = 0;

static void unref(bide_server *s) {
  if (--s->refs) return;
  if (s->listener) bide__listener_free(s->listener);
  bide__free(s->host, s, sizeof *s);
}

/* Wakes the acceptor if it waits. */
static void poke(bide_server *s) {
  if (s->wait.task && !s->wait.set) bide__wake(&s->wait, s->wait.aborted ? s->abort_status : 0);
}

/* Acceptor and handlers have ended: lets those go who wait for it. */
static void finish(bide_server *s) {
  waiter *w = s->waiters;
  s->over = 1;
  s->waiters = NULL;
  bide__alarm_stop(s->host, &s->grace);
  bide__scope_close(s->host, &s->scope);
  for (waiter *next; w; w = next) {
    next = w->next;
    w->server = NULL;
    bide__wake(&w->wait, 0);
  }
}

/* Looks whether all handlers have ended, so that the acceptor may, or it has already. */
static void maybe_last(bide_server *s) {
  if (s->over || s->live) return;
  if (s->acceptor_ended) finish(s);
  else if (s->closing) poke(s);
}

/* ---- holds ---- */

static void hold_ended(bide_handled *d) {
  bide_server *s = d->server;
  if (!d->task_ended || !d->conn_ended) return;
  bide__free(s->host, d, sizeof *d);
  s->live--;
  maybe_last(s);
  unref(s);
}

static void conn_ended(bide_handled *d) {
  bide__listener_release(d->server->listener);
  d->conn_ended = 1;
  hold_ended(d);
}

static void on_conn_closed(bide_conn *c) {
  conn_ended(c->user);
}

static const bide_conn_cbs closed_cbs = {.on_closed = on_conn_closed};

void bide__handled_closed(bide_handled *d, bide_conn *c) {
  d->stream = NULL;
  bide__conn_use(c, &closed_cbs, d);
}

void bide__handled_detach(bide_handled *d) {
  d->stream = NULL;
  conn_ended(d);
}

/* The handler has ended: its connection is closed, what is queued still sent unless it was
 * cancelled; its error is reported at once, since nobody can await it. */
static void on_handler_ended(bide_link *link) {
  bide_handled *d = bide_container(link, bide_handled, link);
  bide_host *h = d->server->host;
  int state = d->task->fut.state;
  if (state == BIDE_FAILED && !d->task->fut.native) bide__failure_now(h);
  d->task_ended = 1;
  if (d->stream) bide__stream_close(d->stream, state != BIDE_CANCELLED);
  hold_ended(d);
}

/* ---- accepting ---- */

static void on_pending_closed(bide_conn *c) {
  (void)c;
}
static const bide_conn_cbs pending_cbs = {.on_closed = on_pending_closed};

static void on_conn(bide_listener *l, bide_conn *c) {
  bide_server *s = bide__listener_user(l);
  bide__conn_use(c, &pending_cbs, NULL);
  if (s->last) s->last->user = c;
  else s->first = c;
  s->last = c;
  poke(s);
}

static bide_conn *take_pending(bide_server *s) {
  bide_conn *c = s->first;
  if (!c) return NULL;
  s->first = c->user;
  if (!s->first) s->last = NULL;
  bide__conn_use(c, NULL, NULL);
  return c;
}

static void refuse_conn(bide_server *s, bide_conn *c) {
  bide__conn_close(c);
  bide__listener_release(s->listener);
}

/* What accept_one has not taken over yet is its caller's to free. */
typedef struct accepting {
  bide_server *server;
  bide_conn *conn;
  bide_handled *hold;
} accepting;

/* accept_one(accepting, handler): makes the stream, the hold and the task; may raise (memory). */
static int accept_one(lua_State *L) {
  accepting *a = lua_touserdata(L, 1);
  bide_server *s = a->server;
  bide_stream *stream = bide__stream_push(L);
  bide_handled *d = a->hold = bide__alloc(s->host, sizeof *d);
  if (!d) return luaL_error(L, "not enough memory");
  *d = (bide_handled){.server = s, .stream = stream};
  d->task = bide__spawn(L, s->host, 1, &s->scope, s->is_daemon ? BIDE_TF_DAEMON : 0, s->site);
  bide__link(&d->task->fut, &d->link, on_handler_ended);
  s->refs++;
  s->live++;
  bide__stream_adopt(stream, a->conn);
  stream->server = d;
  a->conn = NULL;
  return 0;
}

static void tell_refused(bide_server *s, const char *why) {
  char text[100];
  if (!bide__throttle_admit(&s->told)) return;
  snprintf(text, sizeof text, "accept: %s; a connection was closed", why);
  bide__net_report(s->host, text);
}

static void tell_rest(bide_throttle *t, uint64_t count) {
  char text[100];
  snprintf(text, sizeof text, "accept: %llu more connections were closed",
           (unsigned long long)count);
  bide__net_report(t->host, text);
}

/* Stack of the acceptor: 1 its server, 2 the handler. Where no task can be made (memory, the limit
 * of tasks), it costs the connection only. */
static void accept_pending(lua_State *L, bide_server *s) {
  accepting a = {.server = s};
  while ((a.conn = take_pending(s))) {
    lua_pushcfunction(L, accept_one);
    lua_pushlightuserdata(L, &a);
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) continue;
    tell_refused(s, bide__no_task_text(L, s->host, -1));
    lua_pop(L, 1);
    if (a.hold) bide__free(s->host, a.hold, sizeof *a.hold);
    refuse_conn(s, a.conn);
    a.hold = NULL;
  }
}

static void stop_listening(bide_server *s) {
  bide_conn *c;
  if (s->closing) return;
  s->closing = 1;
  while ((c = take_pending(s))) refuse_conn(s, c);
  bide__throttle_sum(&s->told);
  bide__listener_close(s->listener);
}

static void cancel_handlers(bide_server *s) {
  bide__alarm_stop(s->host, &s->grace);
  if (!s->over) bide__scope_cancel(s->host, &s->scope);
}

static void abort_serve(bide_wait *w, int status) {
  bide_server *s = bide_container(w, bide_server, wait);
  s->abort_status = status;
  stop_listening(s);
  cancel_handlers(s);
  maybe_last(s);
}

static const bide_waitops serve_ops = {"serve", abort_serve, NULL, NULL, 0};
static const bide_waitops drain_ops = {"close the server", abort_serve, NULL, NULL, 1};

static int k_serve(lua_State *L, bide_host *h, bide_wait *w);

static int serve(lua_State *L, bide_host *h, bide_server *s) {
  accept_pending(L, s);
  if (!s->closing || s->live)
    return bide__suspend(L, h, &s->wait, s->closing ? &drain_ops : &serve_ops, k_serve);
  return s->abort_status < 0 ? bide__raise_status(L, h, s->abort_status, "serve") : 0;
}

static int k_serve(lua_State *L, bide_host *h, bide_wait *w) {
  return serve(L, h, bide_container(w, bide_server, wait));
}

/* The acceptor's body: upvalue 1 the host; (server, handler). */
static int l_serve(lua_State *L) {
  return serve(L, bide__host(L), lua_touserdata(L, 1));
}

/* Also when it was cancelled before its first step. */
static void on_acceptor_ended(bide_link *link) {
  bide_server *s = bide_container(link, bide_server, acceptor);
  s->acceptor_ended = 1;
  stop_listening(s);
  if (s->live) cancel_handlers(s);
  maybe_last(s);
  unref(s);
}

/* ---- starting ---- */

void bide__server_options(lua_State *L, int idx, bide_listen_options *o, int *is_daemon) {
  memset(o, 0, sizeof *o);
  o->backlog = (int)bide__opt_integer(L, idx, "backlog", 0, 1, 65535);
  o->max = (uint32_t)bide__opt_integer(L, idx, "max_connections", 0, 1, 10000000);
  *is_daemon = bide__opt_boolean(L, idx, "daemon", 0);
}

int bide__server_start(lua_State *L, bide_host *h, const bide_server_kind *kind, const void *where,
                       const bide_listen_options *o, int is_daemon, int handler) {
  handler = lua_absindex(L, handler);
  if (!h->current) return bide__not_running(L, h, kind->op);
  bide_runner *run = h->current->scope->run;
  is_daemon = is_daemon || (h->current->fut.flags & BIDE_TF_DAEMON);
  bide_server **handle = lua_newuserdatauv(L, sizeof *handle, 1);
  *handle = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &server_key);
  lua_setmetatable(L, -2);
  bide_server *s = bide__alloc(h, sizeof *s);
  if (!s) return luaL_error(L, "not enough memory");
  memset(s, 0, sizeof *s);
  s->host = h;
  bide__throttle_init(h, &s->told, tell_rest);
  s->refs = 1; /* of the handle */
  s->is_daemon = (unsigned char)is_daemon;
  s->site = bide__site_caller(L, h);
  *handle = s;
  bide_scope *parent = is_daemon ? &run->daemons : &run->root;
  int status = kind->open(h, where, o, on_conn, s, &s->listener);
  if (status) {
    lua_pop(L, 1);
    return status;
  }
  bide__listener_address(s->listener, &s->address);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, l_serve, 1);
  bide__name_value(L, h, -1, "server");
  lua_pushlightuserdata(L, s);
  lua_pushvalue(L, handler);
  bide_task *t =
      bide__spawn(L, h, 2, parent, (is_daemon ? BIDE_TF_DAEMON : 0) | BIDE_TF_QUIET, s->site);
  bide__link(&t->fut, &s->acceptor, on_acceptor_ended);
  bide__scope_open(&s->scope, parent, NULL, BIDE_SCOPE_RUN, 0);
  s->refs++; /* of the acceptor */
  lua_pop(L, 1);
  return 0;
}

/* ---- the handle ---- */

/* NULL when it is none, or was finalized by hand. */
static bide_server **to_server(lua_State *L) {
  bide_server **s = lua_touserdata(L, 1);
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &server_key);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same && *s ? s : NULL;
}

static bide_server *check_server(lua_State *L) {
  bide_server **s = to_server(L);
  if (!s) bide__type_error(L, 1, "server");
  return s ? *s : NULL;
}

static int l_address(lua_State *L) {
  char text[BIDE_ADDR_TEXT];
  const bide_server *s = check_server(L);
  if (s->address.sa.sa_family == AF_UNIX) return lua_getiuservalue(L, 1, 1), 1;
  lua_pushstring(L, bide__addr_text(&s->address, text, sizeof text));
  lua_pushinteger(L, bide__addr_port(&s->address));
  return 2;
}

static void abort_wait(bide_wait *w, int status) {
  waiter *op = bide_container(w, waiter, wait), **at = &op->server->waiters;
  while (*at != op) at = &(*at)->next;
  *at = op->next;
  op->server = NULL;
  bide__wake(w, status);
}

static void drop_wait(bide_wait *w) {
  waiter *op = bide_container(w, waiter, wait), **at;
  if (op->server) {
    for (at = &op->server->waiters; *at != op; at = &(*at)->next) continue;
    *at = op->next;
  }
  bide__free(op->host, op, sizeof *op);
}

static const bide_waitops wait_ops = {"server:wait", abort_wait, NULL, drop_wait, 1};

static int k_wait(lua_State *L, bide_host *h, bide_wait *w) {
  waiter *op = bide_container(w, waiter, wait);
  int status = w->status;
  bide__free(h, op, sizeof *op);
  return status < 0 ? bide__raise_status(L, h, status, "server:wait") : 0;
}

static int wait_over(lua_State *L, bide_host *h, bide_server *s) {
  if (s->over) return 0;
  waiter *op = bide__alloc(h, sizeof *op);
  if (!op) return luaL_error(L, "not enough memory");
  *op = (waiter){.host = h, .server = s, .next = s->waiters};
  s->waiters = op;
  return bide__suspend(L, h, &op->wait, &wait_ops, k_wait);
}

/* Does the running task belong to a handler of `s`? It can't wait for its own end. */
static int is_handler(const bide_host *h, const bide_server *s) {
  for (const bide_scope *at = h->current->scope; at; at = at->parent)
    if (at == &s->scope) return 1;
  return 0;
}

static int l_wait(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_server *s = check_server(L);
  if (bide__checkpoint(L, h, "server:wait")) return bide__refuse(L, h);
  if (!s->over && is_handler(h, s))
    return bide__error(L, h, "EDEADLK", "server:wait", "a handler cannot wait for its own server");
  return wait_over(L, h, s);
}

static void on_grace(bide_alarm *a) {
  cancel_handlers(bide_container(a, bide_server, grace));
}

/* Stops accepting, gives the handlers `grace` seconds (0), cancels those that are left, waits. */
static int l_close(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_server *s = check_server(L);
  double grace = lua_isnumber(L, 2) || !lua_isnoneornil(L, 2) ? bide__check_seconds(L, 2) : 0;
  if (s->over || h->closed) return 0;
  stop_listening(s);
  if (grace == 0 || bide__alarm_again(h, &s->grace, grace, on_grace)) cancel_handlers(s);
  maybe_last(s);
  if (!h->current || L != h->top || !lua_isyieldable(L) || is_handler(h, s)) return 0;
  if (bide__checkpoint(L, h, "server:close")) {
    cancel_handlers(s);
    return bide__refuse(L, h);
  }
  return wait_over(L, h, s);
}

/* __close: the value at 2 is the error of the block, not a grace. */
static int l_close_now(lua_State *L) {
  lua_settop(L, 1);
  return l_close(L);
}

static int l_gc(lua_State *L) {
  bide_server **s = to_server(L);
  if (!s) return 0;
  unref(*s);
  *s = NULL;
  return 0;
}

void bide__open_servers(lua_State *L, int host) {
  static const luaL_Reg methods[] = {
      {"address", l_address}, {"close", l_close}, {"wait", l_wait}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__close", l_close_now}, {"__gc", l_gc}, {NULL, NULL}};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &server_key) == LUA_TNIL) {
    bide__new_metatable(L, host, "bide.server", methods, metamethods);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &server_key);
  }
  lua_pop(L, 1);
}
