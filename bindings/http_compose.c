/* SPDX-License-Identifier: MIT */
/* http_compose.c: from options to the bytes of a request's head.
 *
 * Options that need no more than a look are read here; the others (query, json, form, …) are
 * rewritten into these by lua/bide/http.lua first. Nothing is allocated but what Lua owns. */
#include "http_client.h"
#include "options.h"
#include "core/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- options ---- */

enum {
  O_HEADERS,
  O_BODY,
  O_TIMEOUT,
  O_REDIRECTS,
  O_MAX_BODY,
  O_DECOMPRESS,
  O_STREAM,
  O_METHOD,
  O_URL,
  O_PROXY,
  O_VERIFY,
  O_CA,
  O_CERT,
  O_KEY,
  O_COMPLEX
};

static const struct {
  const char *name;
  int id;
} names[] = {
    {"headers", O_HEADERS},
    {"timeout", O_TIMEOUT},
    {"body", O_BODY},
    {"stream", O_STREAM},
    {"redirects", O_REDIRECTS},
    {"max_body", O_MAX_BODY},
    {"method", O_METHOD},
    {"decompress", O_DECOMPRESS},
    {"url", O_URL},
    {"query", O_COMPLEX},
    {"json", O_COMPLEX},
    {"form", O_COMPLEX},
    {"auth", O_COMPLEX},
    {"multipart", O_COMPLEX},
    {"proxy", O_PROXY},
    {"verify", O_VERIFY},
    {"ca", O_CA},
    {"cert", O_CERT},
    {"key", O_KEY},
};
enum { NAME_COUNT = sizeof names / sizeof names[0] };

static int find_option(lua_State *L, int arg) {
  const char *name;
  size_t i;
  if (lua_type(L, -2) == LUA_TSTRING) {
    name = lua_tostring(L, -2);
    for (i = 0; i < NAME_COUNT; i++)
      if (strcmp(names[i].name, name) == 0) return names[i].id;
  }
  lua_pushvalue(L, -2);
  luaL_argerror(L, arg, lua_pushfstring(L, "unknown option '%s'", luaL_tolstring(L, -1, NULL)));
  return -1;
}

/* The number on top, not negative and not NaN. */
static double number(lua_State *L, int arg, const char *name, const char *expected) {
  double v = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(v >= 0)) bide__opt_refuse(L, arg, name, expected);
  return v;
}

#define SECONDS "seconds (a number, 0 or more)"

static void read_timeouts(lua_State *L, int arg, bide_hspec *spec) {
  int i;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    for (i = 0; i < BIDE_HP_COUNT; i++)
      if (strcmp(name, bide__hphase_names[i]) == 0) break;
    if (i == BIDE_HP_COUNT)
      luaL_argerror(L, arg, lua_pushfstring(L, "unknown option 'timeout.%s'", name));
    {
      char full[32];
      snprintf(full, sizeof full, "timeout.%s", name);
      spec->timeout[i] = number(L, arg, full, SECONDS);
    }
    lua_pop(L, 1);
  }
}

static bool callable(lua_State *L) {
  if (lua_isfunction(L, -1)) return true;
  if (luaL_getmetafield(L, -1, "__call") == LUA_TNIL) return false;
  lua_pop(L, 1);
  return true;
}

static bool boolean(lua_State *L, int arg, const char *name) {
  if (!lua_isboolean(L, -1)) bide__opt_refuse(L, arg, name, "boolean");
  return lua_toboolean(L, -1);
}

/* A certificate or key: the string is the table's. */
static void read_pem(lua_State *L, int arg, bide_tls_pem *pem) {
  if (lua_type(L, -1) != LUA_TSTRING) bide__opt_refuse(L, arg, lua_tostring(L, -2), "string");
  pem->p = lua_tolstring(L, -1, &pem->n);
}

/* Value on top. Headers and body are kept in the places reserved for them. */
static void read_option(lua_State *L, int id, int arg, bide_hspec *spec, int keep) {
  int type = lua_type(L, -1);
  double v;
  switch (id) {
  case O_HEADERS:
    if (type != LUA_TTABLE && type != LUA_TUSERDATA) bide__opt_refuse(L, arg, "headers", "table");
    lua_pushvalue(L, -1);
    lua_replace(L, keep);
    spec->headers = keep;
    break;
  case O_BODY:
    if (type != LUA_TSTRING) {
      if (!callable(L)) bide__opt_refuse(L, arg, "body", "string or function");
      spec->feeding = true;
    }
    lua_pushvalue(L, -1);
    lua_replace(L, keep + 1);
    spec->body = keep + 1;
    break;
  case O_TIMEOUT:
    if (type == LUA_TTABLE) read_timeouts(L, arg, spec);
    else spec->timeout[BIDE_HP_TOTAL] = number(L, arg, "timeout", SECONDS " or table by phase");
    break;
  case O_REDIRECTS:
    v = number(L, arg, "redirects", "number, 0 or more,");
    spec->redirects = v < 1000 ? (int)v : 1000;
    break;
  case O_MAX_BODY:
    v = number(L, arg, "max_body", "number, 0 or more,");
    spec->max_body = v < 9e18 ? (uint64_t)v : UINT64_MAX;
    spec->bounded = true;
    break;
  case O_DECOMPRESS: spec->decompress = boolean(L, arg, "decompress"); break;
  case O_STREAM: spec->stream = boolean(L, arg, "stream"); break;
  case O_PROXY:
    if (type != LUA_TSTRING) bide__opt_refuse(L, arg, "proxy", "string");
    spec->proxy.p = lua_tolstring(L, -1, &spec->proxy.n);
    if (memchr(spec->proxy.p, '@', spec->proxy.n)) spec->complex = true; /* credentials */
    break;
  case O_VERIFY:
    spec->tls.verify = boolean(L, arg, "verify") ? BIDE_TLS_REQUIRED : BIDE_TLS_NONE;
    break;
  case O_CA: read_pem(L, arg, &spec->tls.ca); break;
  case O_CERT: read_pem(L, arg, &spec->tls.cert); break;
  case O_KEY: read_pem(L, arg, &spec->tls.key); break;
  case O_COMPLEX: spec->complex = true; break;
  default: break; /* method, url: looked at by the caller */
  }
}

void bide__options_read(lua_State *L, int idx, int arg, bide_hspec *spec) {
  static const bide_hspec defaults = {
      .timeout = {HUGE_VAL, BIDE_CONNECT_TIMEOUT, 10, 60, 30, HUGE_VAL},
      .max_body = 64 * 1024 * 1024,
      .redirects = 10,
      .decompress = true,
      .tls = {.verify = BIDE_TLS_REQUIRED,
              .version = 12,
              .alpn = "\x08http/1.1",
              .alpn_n = sizeof "\x08http/1.1" - 1}};
  int keep = lua_gettop(L) + 1;
  *spec = defaults;
  spec->arg = arg;
  lua_settop(L, keep + 1);
  if (!lua_istable(L, idx)) return;
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    read_option(L, find_option(L, arg), arg, spec, keep);
    lua_settop(L, keep + 2);
  }
}

/* ---- the head ---- */

typedef struct compose {
  bide_out out;
  bide_hspec *spec;
  lua_State *L;
  bool agent, accept, encoding, given_length;
} compose;

static uint64_t parse_length(lua_State *L, int arg, bide_slice v) {
  uint64_t n = 0;
  size_t i;
  for (i = 0; i < v.n && i < 18 && bide__is_digit(v.p[i]); i++)
    n = n * 10 + (uint64_t)(v.p[i] - '0');
  if (v.n == 0 || i != v.n) luaL_argerror(L, arg, "header 'content-length' must be a number");
  return n;
}

static int put_header(void *arg, bide_slice name, bide_slice value) {
  compose *c = arg;
  switch (bide__h1_name_id(name.p, name.n)) {
  case BIDE_H_HOST: return 0; /* stands first already */
  case BIDE_H_CONTENT_LENGTH:
    c->given_length = true;
    c->spec->length = parse_length(c->L, c->spec->arg, value);
    return 0;
  case BIDE_H_TRANSFER_ENCODING:
    luaL_argerror(c->L, c->spec->arg,
                  "header 'transfer-encoding' cannot be set: it follows from the body");
    return 0;
  case BIDE_H_CONNECTION:
    if (bide__h1_list_has(value, BIDE_SLICE("close"))) c->spec->close = true;
    break;
  case BIDE_H_PROXY_AUTHORIZATION: /* the proxy's alone: it stands in the CONNECT */
    if (!c->spec->tunnel) break;
    if (!bide__h1_valid_value(value.p, value.n)) return BIDE_H1_EINVALID;
    c->spec->proxy_auth.n = 0;
    bide__out_slice_put(&c->spec->proxy_auth, value);
    return 0;
  case BIDE_H_USER_AGENT: c->agent = true; break;
  case BIDE_H_ACCEPT: c->accept = true; break;
  case BIDE_H_ACCEPT_ENCODING: c->encoding = true; break;
  default: break;
  }
  return bide__h1_put_field(&c->out, name, value);
}

static int put_host(void *arg, bide_slice name, bide_slice value) {
  compose *c = arg;
  if (bide__h1_name_id(name.p, name.n) != BIDE_H_HOST || c->given_length) return 0;
  c->given_length = true; /* borrowed as "host found" until the other headers are looked at */
  return bide__h1_put_field(&c->out, BIDE_SLICE("host"), value);
}

static void put_length(compose *c, bool has_body, size_t body_n, bool expects_body) {
  bide_hspec *spec = c->spec;
  if (spec->feeding) {
    spec->has_length = c->given_length;
    if (c->given_length) bide__h1_put_length(&c->out, spec->length);
    else bide__out_slice_put(&c->out, BIDE_SLICE("transfer-encoding: chunked\r\n"));
    return;
  }
  if (c->given_length && spec->length != body_n)
    luaL_argerror(c->L, spec->arg, "header 'content-length' is not the length of the body");
  if (has_body || expects_body || c->given_length) bide__h1_put_length(&c->out, body_n);
}

static void put_request(lua_State *L, bide_httplib *lib, compose *c, bide_slice method,
                        const bide_url *url, bool absolute) {
  bide_hspec *spec = c->spec;
  bide_h1_method id = bide__h1_method_id(method.p, method.n);
  bool expects = id == BIDE_M_POST || id == BIDE_M_PUT || id == BIDE_M_PATCH;
  bide_slice none = {"", 0};
  (void)none;
  bide__out_slice_put(&c->out, method);
  bide__out_byte(&c->out, ' ');
  if (absolute) bide__url_put_normal(&c->out, url, false);
  else bide__url_put_target(&c->out, url);
  bide__out_slice_put(&c->out, BIDE_SLICE(" HTTP/1.1\r\n"));
  c->given_length = false;
  if (spec->headers) bide__each_header(L, lib, spec->headers, spec->arg, put_host, c);
  if (!c->given_length) {
    bide__out_slice_put(&c->out, BIDE_SLICE("host: "));
    bide__url_put_host(&c->out, url);
    bide__out_slice_put(&c->out, BIDE_SLICE("\r\n"));
  }
  c->given_length = c->agent = c->accept = c->encoding = false;
  if (spec->headers) bide__each_header(L, lib, spec->headers, spec->arg, put_header, c);
  if (!c->agent) bide__out_slice_put(&c->out, BIDE_SLICE("user-agent: bide\r\n"));
  if (!c->accept) bide__out_slice_put(&c->out, BIDE_SLICE("accept: */*\r\n"));
  if (!c->encoding && spec->decompress)
    bide__out_slice_put(&c->out, BIDE_SLICE("accept-encoding: gzip, deflate\r\n"));
  put_length(c, spec->body != 0, spec->body && !spec->feeding ? lua_rawlen(L, spec->body) : 0,
             expects);
  bide__h1_put_end(&c->out);
}

bide_slice bide__compose(lua_State *L, bide_httplib *lib, bide_slice method, const bide_url *url,
                         bide_hspec *spec, bool absolute) {
  compose c = {.spec = spec, .L = L};
  c.out = bide__out(lib->http.scratch, sizeof lib->http.scratch);
  put_request(L, lib, &c, method, url, absolute);
  if (!bide__out_ok(&c.out)) {
    size_t n = c.out.n;
    c.out = bide__out(lua_newuserdatauv(L, n, 0), n);
    put_request(L, lib, &c, method, url, absolute);
  }
  return bide__out_slice(&c.out);
}
