/* SPDX-License-Identifier: MIT */
/* secure.c: options of TLS and the contexts made of them (contract in secure.h).
 *
 * The module that uses OpenSSL is loaded here, at the first option table that is read: a script
 * without TLS never comes by. */
#include "secure.h"
#include "core/error.h"

#include <string.h>

static const char hold_key = 0; /* its address: the metatable's place in the registry */

/* ---- the module ---- */

/* Pushes what `require "bide.openssl"` gives; where that is built in, what the registry has, for a
 * script could put another address there. */
static void require_module(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, BIDE_TLS_MODULE) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    lua_getglobal(L, "require");
  }
  lua_pushliteral(L, BIDE_TLS_MODULE);
  lua_call(L, 1, 1);
}

static const bide_tls_module *load(lua_State *L, bide_host *h) {
  const bide_tls_module *m = bide__tls_module(h);
  if (m) return m;
  require_module(L);
  m = lua_islightuserdata(L, -1) ? lua_touserdata(L, -1) : NULL;
  lua_pop(L, 1);
  int status = m ? bide__tls_set_module(h, m) : UV_ENOTSUP;
  if (status == UV_ENOTSUP)
    bide__error(L, h, "ENOTSUP", "tls", "module '%s' is not of this bide", BIDE_TLS_MODULE);
  if (status) bide__error(L, h, bide__code_name(status), "tls", "%s", bide__code_text(status));
  return m;
}

/* ---- errors ---- */

void bide__tls_error_fields(lua_State *L, const bide_tls_failure *why) {
  int i = 0;
  if (!why) return;
  lua_pushstring(L, why->reason);
  lua_setfield(L, -2, "reason");
  if (!why->names[0]) return;
  lua_newtable(L);
  for (const char *p = why->names; *p; p += strlen(p) + 1) {
    lua_pushstring(L, p);
    lua_rawseti(L, -2, ++i);
  }
  lua_setfield(L, -2, "names");
}

void bide__tls_error_push(lua_State *L, bide_host *h, const bide_tls_failure *why, const char *op,
                          const char *where) {
  const char *text = why ? why->text : bide__code_text(BIDE_ETLS);
  if (where) bide__error_push(L, h, "ETLS", op, "%s: %s", where, text);
  else bide__error_push(L, h, "ETLS", op, "%s", text);
  bide__tls_error_fields(L, why);
}

/* ---- options ---- */

static void check_pem(lua_State *L, int idx, const char *name, const bide_tls_pem *pem) {
  if (pem->p && (!pem->n || strlen(pem->p) != pem->n))
    luaL_argerror(L, idx,
                  lua_pushfstring(L, "option '%s': path or PEM text without NUL expected", name));
}

static void check_pems(lua_State *L, int idx, const bide_tls_config *c) {
  check_pem(L, idx, "ca", &c->ca);
  check_pem(L, idx, "cert", &c->cert);
  check_pem(L, idx, "key", &c->key);
  if (c->key.p && !c->cert.p) luaL_argerror(L, idx, "option 'key': without option 'cert'");
}

#define ALPN_ROOM 512

/* What an option table says; the strings are the table's. */
typedef struct spec {
  bide_tls_config config;
  char alpn[ALPN_ROOM];
} spec;

static void add_protocol(lua_State *L, int idx, spec *o) {
  size_t len = 0, at = o->config.alpn_n;
  const char *p = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  if (!len || len > 255 || at + len + 1 > ALPN_ROOM)
    luaL_argerror(L, idx, "option 'alpn': list of protocols, of 1 to 255 bytes each, expected");
  o->alpn[at] = (char)len;
  memcpy(o->alpn + at + 1, p, len);
  o->config.alpn_n = at + len + 1;
}

static void read_alpn(lua_State *L, int idx, spec *o, const char *alpn) {
  if (lua_istable(L, idx) && lua_getfield(L, idx, "alpn") != LUA_TNIL) {
    if (!lua_istable(L, -1)) luaL_argerror(L, idx, "option 'alpn': list of protocols expected");
    o->config.alpn = o->alpn;
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, -1); i <= n; i++) {
      lua_rawgeti(L, -1, i);
      add_protocol(L, idx, o);
      lua_pop(L, 1);
    }
  } else if (alpn) {
    o->config.alpn = alpn;
    o->config.alpn_n = strlen(alpn);
  }
  if (lua_istable(L, idx)) lua_pop(L, 1);
}

static void read_version(lua_State *L, int idx, spec *o) {
  const char *version = bide__opt_string(L, idx, "version", NULL);
  o->config.version = 12;
  if (!version) return;
  if (!strcmp(version, "1.3")) o->config.version = 13;
  else if (strcmp(version, "1.2") != 0)
    luaL_argerror(L, idx, "option 'version': the least version, '1.2' or '1.3', expected");
}

static void read_spec(lua_State *L, int idx, spec *o, const char *alpn) {
  memset(o, 0, sizeof *o);
  o->config.ca.p = bide__opt_string(L, idx, "ca", &o->config.ca.n);
  o->config.cert.p = bide__opt_string(L, idx, "cert", &o->config.cert.n);
  o->config.key.p = bide__opt_string(L, idx, "key", &o->config.key.n);
  check_pems(L, idx, &o->config);
  read_version(L, idx, o);
  read_alpn(L, idx, o, alpn);
}

/* ---- holds ---- */

static int l_drop(lua_State *L) {
  bide_tls_hold *hold = lua_touserdata(L, 1);
  if (hold->context) hold->module->context_unref(hold->context);
  hold->context = NULL;
  return 0;
}

static bide_tls_hold *push_hold(lua_State *L, const bide_tls_module *m) {
  bide_tls_hold *hold = lua_newuserdatauv(L, sizeof *hold, 0);
  *hold = (bide_tls_hold){m, NULL};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hold_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_drop);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hold_key);
  }
  lua_setmetatable(L, -2);
  return hold;
}

bide_tls_hold *bide__test_tls_hold(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hold_key);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? lua_touserdata(L, idx) : NULL;
}

static void failed(lua_State *L, bide_host *h, int status, const bide_tls_failure *why) {
  if (status == UV_ENOMEM) luaL_error(L, "not enough memory");
  if (status != BIDE_ETLS)
    bide__error(L, h, bide__code_name(status), "tls", "%s", bide__code_text(status));
  bide__tls_error_push(L, h, why, "tls", NULL);
  lua_error(L);
}

static size_t key_size(const bide_tls_config *c) {
  return 2 + 4 * sizeof(size_t) + c->ca.n + c->cert.n + c->key.n + c->alpn_n;
}

static char *put_part(char *at, const char *p, size_t n) {
  memcpy(at, &n, sizeof n);
  if (n) memcpy(at + sizeof n, p, n);
  return at + sizeof n + n;
}

/* What tells one context of a client from another. */
static void put_key(char *at, const bide_tls_config *c) {
  *at++ = (char)c->verify;
  *at++ = (char)c->version;
  at = put_part(at, c->ca.p, c->ca.n);
  at = put_part(at, c->cert.p, c->cert.n);
  at = put_part(at, c->key.p, c->key.n);
  put_part(at, c->alpn, c->alpn_n);
}

bide_tls_context *bide__tls_client_find(lua_State *L, bide_host *h, int idx,
                                        const bide_tls_config *config) {
  bide_tls_failure why;
  bide_tls_context *x = NULL;
  char room[512], *key = room;
  size_t n = key_size(config);
  int top = lua_gettop(L), status;
  load(L, h);
  if (n > sizeof room) key = lua_newuserdatauv(L, n, 0);
  put_key(key, config);
  x = bide__tls_client_known(h, config, key, n);
  if (!x) {
    check_pems(L, idx, config);
    memset(&why, 0, sizeof why);
    status = bide__tls_client_context(h, config, key, n, &x, &why);
    if (status) failed(L, h, status, &why);
  }
  lua_settop(L, top);
  return x;
}

bide_tls_hold *bide__tls_client_push(lua_State *L, bide_host *h, int idx, const char *alpn) {
  spec o;
  luaL_checkstack(L, 10, NULL);
  read_spec(L, idx, &o, alpn);
  o.config.verify = bide__opt_boolean(L, idx, "verify", 1) ? BIDE_TLS_REQUIRED : BIDE_TLS_NONE;
  bide_tls_hold *hold = push_hold(L, load(L, h));
  hold->context = bide__tls_client_find(L, h, idx, &o.config);
  hold->module->context_ref(hold->context);
  return hold;
}

/* ---- servers ---- */

/* Clients' certificates are asked for when `ca` says who may issue them. */
static int read_client_certs(lua_State *L, int idx, const bide_tls_config *config) {
  const char *text;
  int verify = config->ca.p ? BIDE_TLS_REQUIRED : BIDE_TLS_NONE;
  if (!lua_istable(L, idx) || lua_getfield(L, idx, "verify") == LUA_TNIL) {
    if (lua_istable(L, idx)) lua_pop(L, 1);
    return verify;
  }
  text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (!strcmp(text, "optional")) verify = BIDE_TLS_OPTIONAL;
  else if (!lua_isboolean(L, -1))
    luaL_argerror(L, idx, "option 'verify': true, false or 'optional' expected");
  else verify = lua_toboolean(L, -1) ? BIDE_TLS_REQUIRED : BIDE_TLS_NONE;
  lua_pop(L, 1);
  if (verify && !config->ca.p)
    luaL_argerror(L, idx, "option 'verify': of servers, only together with option 'ca'");
  return verify;
}

static bide_tls_hold *push_one(lua_State *L, bide_host *h, int idx, const char *alpn) {
  bide_tls_failure why = {0};
  spec o;
  luaL_checkstack(L, 10, NULL);
  read_spec(L, idx, &o, alpn);
  o.config.server = 1;
  o.config.verify = (uint8_t)read_client_certs(L, idx, &o.config);
  if (!o.config.cert.p) luaL_argerror(L, idx, "option 'cert': a server needs a certificate");
  bide_tls_hold *hold = push_hold(L, load(L, h));
  int status = hold->module->context_new(&bide__tls_core, h, &o.config, &hold->context, &why);
  if (status) failed(L, h, status, &why);
  return hold;
}

/* Name at -2, its options at -1. */
static void add_name(lua_State *L, bide_host *h, int idx, bide_tls_hold *to, const char *alpn) {
  static const char *const names[] = {"verify", "ca", "cert", "key", "alpn", "version", NULL};
  size_t n = 0;
  const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &n) : NULL;
  if (!n || n > 255 || !lua_istable(L, -1))
    luaL_argerror(L, idx, "option 'sni': table of options by host name expected");
  int at = lua_gettop(L);
  bide__check_options(L, at, names);
  const bide_tls_hold *one = push_one(L, h, at, alpn);
  if (to->module->context_add_name(to->context, name, n, one->context))
    luaL_error(L, "not enough memory");
  lua_pop(L, 1);
}

bide_tls_hold *bide__tls_server_push(lua_State *L, bide_host *h, int idx, const char *alpn) {
  bide_tls_hold *hold = push_one(L, h, idx, alpn);
  if (lua_getfield(L, idx, "sni") != LUA_TNIL) {
    if (!lua_istable(L, -1))
      luaL_argerror(L, idx, "option 'sni': table of options by host name expected");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) add_name(L, h, idx, hold, alpn);
  }
  lua_pop(L, 1);
  return hold;
}
