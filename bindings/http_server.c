/* SPDX-License-Identifier: MIT */
/* http_server.c: `bide.http.serve`: its options, its dispatcher, the server object.
 *
 * The dispatcher is one task per server: it starts a task for each request that the loop found,
 * since only in a task can a lack of memory be caught. It ends when the server is closed and all it
 * began has ended; cancelled, it closes the server at once. */
#include "http_request.h"
#include "http_respond.h"
#include "http_server.h"
#include "options.h"
#include "secure.h"
#include "core/error.h"
#include "core/limit.h"
#include "core/name.h"
#include "core/run.h"
#include "core/task.h"
#include "core/trace.h"

#include <math.h>
#include <string.h>

typedef struct server {
  bide_hserver *s; /* owned reference; NULL before it is made */
} server;

enum { SERVER_UV_HANDLER = 1, SERVER_UV_TASK = 2, SERVER_UV_LOG = 3, SERVER_UV_COUNT = 3 };

/* ---- the dispatcher ---- */

typedef struct dispatch {
  bide_hserver *s;
  bide_hsreq *r; /* taken from the queue and without a task yet */
} dispatch;

/* Runs protected: (handle, handler, dispatch). */
static int spawn_ready(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_httplib *lib = bide__httplib(L);
  dispatch *d = lua_touserdata(L, 3);
  bide_task *self = h->current;
  int flags = self->fut.flags & BIDE_TF_DAEMON;
  while ((d->r = bide__hserver_next(d->s)) != NULL) {
    bide_task *t;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    bide__request_push(L, lib, d->r);
    t = bide__spawn(L, h, 2, self->scope, flags, d->s->site);
    bide__hsreq_start(d->r, t);
    lua_settop(L, 3);
  }
  return 0;
}

/* A request that no task can be made for is refused; the others go on. */
static void start_all(lua_State *L, bide_httplib *lib, bide_hserver *s) {
  dispatch d = {s, NULL};
  while (s->ready) {
    d.r = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, lib->spawn_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, lib->handle_ref);
    lua_getiuservalue(L, 1, SERVER_UV_HANDLER);
    lua_pushlightuserdata(L, &d);
    if (lua_pcall(L, 3, 0, 0) == LUA_OK) return;
    if (!d.r) d.r = bide__hserver_next(s); /* not even the call was possible */
    if (d.r) bide__hsreq_refuse(d.r, bide__no_task_text(L, s->http->host, -1));
    lua_pop(L, 1);
  }
}

/* What was refused is told about. */
static void tell_all(lua_State *L, bide_httplib *lib, bide_hserver *s) {
  if (!s->log.lines) return;
  lua_getiuservalue(L, 1, SERVER_UV_LOG);
  bide__http_tell(L, lib, s, lua_gettop(L));
  lua_pop(L, 1);
}

static void abort_dispatch(bide_wait *w, int status) {
  bide_hserver *s = bide_container(w, bide_hserver, wait);
  s->waiting = false;
  bide__wake(w, status);
}

static void describe_dispatch(const bide_wait *w, char *buf, size_t size) {
  (void)w;
  snprintf(buf, size, "http server: next request");
}

static const bide_waitops dispatch_ops = {
    .op = "http.serve", .abort = abort_dispatch, .describe = describe_dispatch};

static int dispatch_more(lua_State *L, bide_host *h);

static int k_dispatch(lua_State *L, bide_host *h, bide_wait *w) {
  if (BIDE_LIKELY(w->status == 0)) return dispatch_more(L, h);
  return bide__raise_status(L, h, w->status, "http.serve");
}

static int dispatch_more(lua_State *L, bide_host *h) {
  server *sv = lua_touserdata(L, 1);
  bide_hserver *s = sv->s;
  start_all(L, bide__httplib(L), s);
  tell_all(L, bide__httplib(L), s);
  if (s->state == BIDE_HS_CLOSED) return 0;
  s->wait.task = NULL;
  bide__wait_init(h, &s->wait, &dispatch_ops);
  s->waiting = true;
  return bide__suspend(L, h, &s->wait, &dispatch_ops, k_dispatch);
}

/* (server): the dispatcher's function. */
static int l_dispatch(lua_State *L) {
  return dispatch_more(L, bide__host(L));
}

/* ---- options ---- */

typedef enum option_kind { SECONDS, COUNT, BYTES } option_kind;

typedef struct option {
  const char *name;
  option_kind kind;
  size_t offset;
  double def, max;
} option;

#define LIMIT(member) offsetof(bide_hslimits, member)

static const option options[] = {
    {"header_timeout", SECONDS, LIMIT(header_timeout), 15, HUGE_VAL},
    {"body_timeout", SECONDS, LIMIT(body_timeout), 30, HUGE_VAL},
    {"idle_timeout", SECONDS, LIMIT(idle_timeout), 60, HUGE_VAL},
    {"write_timeout", SECONDS, LIMIT(write_timeout), 30, HUGE_VAL},
    {"rate_grace", SECONDS, LIMIT(rate_grace), 30, HUGE_VAL},
    {"min_rate", BYTES, LIMIT(min_rate), 240, HUGE_VAL},
    {"max_body", BYTES, LIMIT(max_body), 64.0 * 1024 * 1024, HUGE_VAL},
    {"max_header_size", COUNT, LIMIT(head.max_head), 65536, BIDE_H1_MAX_HEAD},
    {"max_headers", COUNT, LIMIT(max_headers), 100, BIDE_HTTP_FIELDS},
    {"max_connections", COUNT, LIMIT(max_connections), 10000, UINT32_MAX},
    {"max_requests", COUNT, LIMIT(max_requests), UINT32_MAX, UINT32_MAX},
};
enum { OPTION_COUNT = sizeof options / sizeof options[0] };

static const char *const other_options[] = {
    "host",       "port", "backlog",         "daemon",
    "reuse_port", "log",  "cancel_on_close", BIDE_TLS_SERVER_OPTIONS,
    NULL};

static void set_option(bide_hslimits *limits, const option *o, double v) {
  char *p = (char *)limits + o->offset;
  if (o->kind == SECONDS) *(double *)(void *)p = v;
  else if (o->kind == BYTES) *(uint64_t *)(void *)p = v < 9e18 ? (uint64_t)v : UINT64_MAX;
  else *(uint32_t *)(void *)p = v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static void read_limit(lua_State *L, bide_hslimits *limits, const option *o) {
  double v = o->def;
  if (lua_getfield(L, 1, o->name) != LUA_TNIL) {
    int isnum;
    v = lua_tonumberx(L, -1, &isnum);
    if (!isnum || lua_type(L, -1) != LUA_TNUMBER || !(v >= (o->kind == COUNT ? 1 : 0)))
      bide__opt_refuse(L, 1, o->name,
                       o->kind == COUNT ? "number, 1 or more," : "number, 0 or more,");
    if (o->kind == COUNT && v > o->max && !isinf(v)) {
      char expected[32];
      snprintf(expected, sizeof expected, "at most %u", (unsigned)o->max);
      bide__opt_refuse(L, 1, o->name, expected);
    }
    if (o->kind == COUNT && v > o->max) v = o->max;
  }
  lua_pop(L, 1);
  set_option(limits, o, v);
}

static bool known(const char *name) {
  size_t i;
  for (i = 0; i < OPTION_COUNT; i++)
    if (strcmp(name, options[i].name) == 0) return true;
  for (i = 0; other_options[i]; i++)
    if (strcmp(name, other_options[i]) == 0) return true;
  return false;
}

static void check_names(lua_State *L) {
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING || !known(lua_tostring(L, -1)))
      luaL_argerror(L, 1, lua_pushfstring(L, "unknown option '%s'", luaL_tolstring(L, -1, NULL)));
  }
}

static void read_limits(lua_State *L, bide_hslimits *limits) {
  size_t i;
  memset(limits, 0, sizeof *limits);
  for (i = 0; i < OPTION_COUNT; i++) read_limit(L, limits, &options[i]);
  limits->head.max_first = limits->head.max_head < 8192 ? limits->head.max_head : 8192;
  limits->head.max_field = limits->head.max_head < 16384 ? limits->head.max_head : 16384;
}

static int int_option(lua_State *L, const char *name, int def, int max) {
  int isnum;
  lua_Integer v = def;
  if (lua_getfield(L, 1, name) != LUA_TNIL) {
    v = lua_tointegerx(L, -1, &isnum);
    if (!isnum || v < 0 || v > max) {
      char expected[40];
      snprintf(expected, sizeof expected, "integer from 0 to %d", max);
      bide__opt_refuse(L, 1, name, expected);
    }
  }
  lua_pop(L, 1);
  return (int)v;
}

static bool bool_option(lua_State *L, const char *name) {
  int type = lua_getfield(L, 1, name), v = lua_toboolean(L, -1);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN) bide__opt_refuse(L, 1, name, "boolean");
  lua_pop(L, 1);
  return v != 0;
}

/* log: true (told by the host's report), false, or a function: left on top, nil for no function. */
static bool log_option(lua_State *L) {
  int type = lua_getfield(L, 1, "log");
  bool on = type == LUA_TNIL || lua_toboolean(L, -1);
  if (type == LUA_TFUNCTION) return true;
  if (type != LUA_TNIL && type != LUA_TBOOLEAN)
    bide__opt_refuse(L, 1, "log", "boolean or function");
  lua_pop(L, 1);
  lua_pushnil(L);
  return on;
}

/* cancel_on_close: a boolean, or "half". */
static uint8_t cancel_option(lua_State *L) {
  int type = lua_getfield(L, 1, "cancel_on_close");
  uint8_t when = BIDE_HS_GONE_LOST;
  if (type == LUA_TSTRING && strcmp(lua_tostring(L, -1), "half") == 0) when = BIDE_HS_GONE_HALF;
  else if (type == LUA_TBOOLEAN) when = lua_toboolean(L, -1) ? when : BIDE_HS_GONE_NEVER;
  else if (type != LUA_TNIL) bide__opt_refuse(L, 1, "cancel_on_close", "boolean or \"half\"");
  lua_pop(L, 1);
  return when;
}

static void read_address(lua_State *L, bide_addr *addr) {
  int port = int_option(L, "port", 0, 65535);
  const char *host = "127.0.0.1";
  int type = lua_getfield(L, 1, "host");
  if (type == LUA_TSTRING) host = lua_tostring(L, -1);
  else if (type != LUA_TNIL) bide__opt_refuse(L, 1, "host", "string");
  if (bide__addr_is_localhost(host)) host = "127.0.0.1";
  else if (strcmp(host, "*") == 0) host = "::";
  if (bide__addr_literal(host, port, addr) != 0)
    bide__opt_refuse(L, 1, "host", "IP address, '*' or 'localhost'");
  lua_pop(L, 1);
}

/* ---- serve ---- */

/* Any option of TLS asks for https. */
static bool wants_tls(lua_State *L) {
  static const char *const names[] = {BIDE_TLS_SERVER_OPTIONS, NULL};
  bool found = false;
  for (int i = 0; names[i] && !found; i++) {
    found = lua_getfield(L, 1, names[i]) != LUA_TNIL;
    lua_pop(L, 1);
  }
  return found;
}

/* Leaves what holds the context on the stack. */
static bide_listen_layer *tls_layer(lua_State *L, bide_host *h) {
  double timeout = bide__opt_seconds(L, 1, "handshake_timeout", BIDE_TLS_TIMEOUT);
  bide_tls_hold *hold = bide__tls_server_push(L, h, 1, "\x08http/1.1");
  bide_listen_layer *layer;
  hold->module->context_ref(hold->context);
  layer = bide__tls_layer(h, hold->context, timeout, bide__hslog_handshake);
  if (!layer) luaL_error(L, "not enough memory");
  return layer;
}

static void listen_on(lua_State *L, bide_host *h, bide_hserver *s) {
  bide_listen_options o = {0};
  bide_addr addr;
  int rc, top = lua_gettop(L);
  read_address(L, &addr);
  o.backlog = int_option(L, "backlog", 511, 65535);
  o.reuse_port = bool_option(L, "reuse_port");
  o.max = s->limits.max_connections;
  if (o.max <= UINT32_MAX - BIDE_HS_OVER) o.max += BIDE_HS_OVER;
  s->secure = wants_tls(L);
  if (s->secure) o.layer = tls_layer(L, h);
  rc = bide__hserver_listen(s, &addr, &o);
  lua_settop(L, top);
  if (rc < 0) {
    char host[BIDE_ADDR_TEXT], text[BIDE_ADDR_TEXT + 16];
    bide__addr_text(&addr, host, sizeof host);
    bide__error_push_status(L, h, rc, "listen",
                            bide__host_port_text(host, bide__addr_port(&addr), text, sizeof text));
    lua_error(L);
  }
}

/* serve(opts, handler) → server */
static int l_serve(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_httplib *lib = bide__httplib(L);
  bide_hslimits limits;
  bide_runner *run;
  server *sv;
  bool daemon, log;
  luaL_checktype(L, 1, LUA_TTABLE);
  if (!lua_isfunction(L, 2) && !luaL_getmetafield(L, 2, "__call"))
    bide__type_error(L, 2, "function");
  lua_settop(L, 2);
  check_names(L);
  read_limits(L, &limits);
  limits.cancel = cancel_option(L);
  daemon = bool_option(L, "daemon");
  log = log_option(L);
  if (h->closed || !h->current) return bide__not_running(L, h, "http.serve");
  daemon = daemon || (h->current->fut.flags & BIDE_TF_DAEMON);
  run = h->current->scope->run;
  sv = lua_newuserdatauv(L, sizeof *sv, SERVER_UV_COUNT);
  sv->s = NULL;
  bide__http_setmt(L, lib, BIDE_HT_SERVER);
  lua_insert(L, 3);
  lua_setiuservalue(L, 3, SERVER_UV_LOG);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, SERVER_UV_HANDLER);
  sv->s = bide__hserver_new(&lib->http, &limits);
  if (!sv->s) return luaL_error(L, "not enough memory");
  sv->s->log.on = log;
  listen_on(L, h, sv->s);
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib->dispatch_ref);
  lua_pushvalue(L, 3);
  sv->s->site = bide__site_caller(L, h);
  bide__hserver_dispatched(sv->s,
                           bide__spawn(L, h, 1, daemon ? &run->daemons : &run->root,
                                       (daemon ? BIDE_TF_DAEMON : 0) | BIDE_TF_QUIET, sv->s->site));
  lua_setiuservalue(L, 3, SERVER_UV_TASK);
  return 1;
}

/* ---- the server object ---- */

static server *check(lua_State *L) {
  return bide__http_check(L, bide__httplib(L), 1, BIDE_HT_SERVER);
}

static int l_address(lua_State *L) {
  server *sv = check(L);
  bide_addr a;
  char host[BIDE_ADDR_TEXT];
  if (!sv->s || sv->s->state != BIDE_HS_OPEN || bide__listener_address(sv->s->listener, &a) != 0)
    return bide__error(L, bide__host(L), "EBADF", "address", "the server is closed");
  lua_pushstring(L, bide__addr_text(&a, host, sizeof host));
  lua_pushinteger(L, bide__addr_port(&a));
  return 2;
}

static void on_over(bide_link *link) {
  bide__wake(&bide_container(link, bide_task, op.await.link)->own, 0);
}

static void abort_wait(bide_wait *w, int status) {
  bide_task *t = bide_container(w, bide_task, own);
  bide__unlink(t->op.await.on, &t->op.await.link);
  bide__wake(w, status);
}

static const bide_waitops wait_ops = {.op = "server:wait", .abort = abort_wait, .inner = 1};

static int k_wait(lua_State *L, bide_host *h, bide_wait *w) {
  return w->status < 0 ? bide__raise_status(L, h, w->status, "server:wait") : 0;
}

static int wait_over(lua_State *L, bide_host *h) {
  bide_task *t = h->current;
  bide_fut *f;
  lua_getiuservalue(L, 1, SERVER_UV_TASK);
  f = bide__tofuture(L, -1);
  if (!f || f->state != BIDE_PENDING) return bide__complete(L, h, &t->own, 0, k_wait);
  bide__wait_init(h, &t->own, &wait_ops);
  t->op.await.on = f;
  bide__link(f, &t->op.await.link, on_over);
  return bide__suspend(L, h, &t->own, &wait_ops, k_wait);
}

/* A handler can't wait for its own end. */
static bool is_handler(const bide_host *h, const bide_hserver *s) {
  const bide_hsreq *r = s->running;
  while (r && r->task != h->current) r = r->next;
  return r != NULL;
}

/* server:wait(): until it is closed and everything it began has ended. */
static int l_wait(lua_State *L) {
  bide_host *h = bide__host(L);
  server *sv = check(L);
  if (bide__checkpoint(L, h, "server:wait")) return bide__refuse(L, h);
  if (sv->s && is_handler(h, sv->s))
    return bide__error(L, h, "EDEADLK", "server:wait", "a handler cannot wait for its own server");
  return wait_over(L, h);
}

/* server:close(grace = 0): stops accepting, closes idle connections, gives the handlers `grace`
 * seconds and cancels those that are left; waits for their end where it can. */
static int l_close(lua_State *L) {
  bide_host *h = bide__host(L);
  server *sv = check(L);
  double grace = lua_isnoneornil(L, 2) ? 0 : bide__check_seconds(L, 2);
  if (!sv->s || h->closed) return 0;
  bide__hserver_close(sv->s, grace);
  if (!h->current || L != h->top || !lua_isyieldable(L) || is_handler(h, sv->s)) return 0;
  if (bide__checkpoint(L, h, "server:close")) {
    bide__hserver_close(sv->s, 0);
    return bide__refuse(L, h);
  }
  return wait_over(L, h);
}

static int l_close_now(lua_State *L) {
  lua_settop(L, 1); /* the second argument is an error */
  return l_close(L);
}

static int l_gc(lua_State *L) {
  server *sv = check(L);
  bide_hserver *s = sv->s;
  sv->s = NULL;
  if (!s) return 0;
  /* Collected while open only when its dispatcher never came to be, or at the state's end. */
  if (!bide__host(L)->closed) bide__hserver_close(s, 0);
  bide__hserver_unref(s);
  return 0;
}

static int l_tostring(lua_State *L) {
  static const char *const states[] = {"open", "closing", "closed"};
  server *sv = check(L);
  lua_pushfstring(L, "bide.http.server: %s (%p)", sv->s ? states[sv->s->state] : "closed", sv);
  return 1;
}

/* `name`: of tasks that run it, or NULL. */
static int make_ref(lua_State *L, bide_httplib *lib, lua_CFunction f, const char *name) {
  lua_pushvalue(L, 1);
  lua_pushlightuserdata(L, lib);
  lua_pushcclosure(L, f, 2);
  if (name) bide__name_value(L, lib->http.host, -1, name);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

void bide__http_open_server(lua_State *L, bide_httplib *lib) {
  static const luaL_Reg meta[] = {
      {"__gc", l_gc}, {"__close", l_close_now}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"address", l_address}, {"close", l_close}, {"wait", l_wait}, {NULL, NULL}};
  bide__http_type(L, lib, BIDE_HT_SERVER, "bide.http.server", meta, methods, NULL, NULL);
  lib->handle_ref = make_ref(L, lib, bide__http_handle, BIDE_HS_TASK);
  lib->spawn_ref = make_ref(L, lib, spawn_ready, NULL);
  lib->dispatch_ref = make_ref(L, lib, l_dispatch, "http server");
  lib->log_ref = make_ref(L, lib, bide__http_spawn_log, NULL);
}

void bide__http_add_server(lua_State *L) {
  static const luaL_Reg funcs[] = {{"serve", l_serve}, {NULL, NULL}};
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  luaL_setfuncs(L, funcs, 2);
}
