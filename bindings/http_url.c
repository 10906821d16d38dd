/* SPDX-License-Identifier: MIT */
/* http_url.c: URLs for lua/bide/http: parse, resolve, compare, encode. Pure functions; a wrong URL
 * is nil and a message. */
#include "http.h"
#include "http/url.h"

static int fail(lua_State *L, int code) {
  lua_pushnil(L);
  lua_pushstring(L, bide__url_error_text(code));
  return 2;
}

/* parse(url) → {scheme=, user=, host=, port=, path=, query=, fragment=, origin=}: http and https
 * only. */
static int l_parse(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  char text[512];
  bide_out key = bide__out(text, sizeof text);
  bide_url u;
  int rc = bide__url_parse_http(&u, p, n, BIDE_URL_LAX | BIDE_URL_SPACES, NULL);
  if (rc < 0) return fail(L, rc);
  bide__url_put_origin(&key, &u);
  lua_createtable(L, 0, 8);
  bide__push_slice(L, u.scheme), lua_setfield(L, -2, "scheme");
  bide__push_slice(L, u.host), lua_setfield(L, -2, "host");
  bide__push_slice(L, u.path), lua_setfield(L, -2, "path");
  bide__push_slice(L, bide__out_slice(&key)), lua_setfield(L, -2, "origin");
  if (u.has & BIDE_URL_HAS_USER) bide__push_slice(L, u.user), lua_setfield(L, -2, "user");
  if (u.has & BIDE_URL_HAS_QUERY) bide__push_slice(L, u.query), lua_setfield(L, -2, "query");
  lua_pushinteger(L, u.port), lua_setfield(L, -2, "port");
  lua_pushboolean(L, bide__url_is_secure(&u)), lua_setfield(L, -2, "secure");
  return 1;
}

/* resolve(base, reference, redirect) → URL (RFC 3986 section 5). A redirect keeps the fragment, and
 * may have spaces, which servers send. */
static int l_resolve(lua_State *L) {
  size_t base_n, ref_n, room;
  const char *base = luaL_checklstring(L, 1, &base_n), *ref = luaL_checklstring(L, 2, &ref_n);
  bool redirect = lua_toboolean(L, 3);
  unsigned mode = BIDE_URL_LAX | (redirect ? BIDE_URL_SPACES : 0);
  bide_url b, r, u;
  bide_out o;
  luaL_Buffer buf;
  int rc = bide__url_parse_http(&b, base, base_n, mode, NULL);
  if (rc == 0 && ref_n > 0) rc = bide__url_parse(&r, ref, ref_n, mode, NULL);
  if (rc < 0) return fail(L, rc);
  if (ref_n == 0) {
    lua_settop(L, 1);
    return 1;
  }
  room = base_n + ref_n + 8;
  o = bide__out(luaL_buffinitsize(L, &buf, room), room);
  rc = bide__url_resolve(&b, &r, redirect, &o);
  luaL_pushresultsize(&buf, rc == 0 && bide__out_ok(&o) ? o.n : 0);
  if (rc == 0) rc = bide__url_parse_http(&u, o.p, bide__out_slice(&o).n, mode, NULL);
  if (rc < 0) return fail(L, rc);
  {
    luaL_Buffer clean; /* what laxer rules let in is encoded now */
    bide_out c;
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    (void)bide__url_parse_http(&u, p, n, mode, NULL);
    c = bide__out(luaL_buffinitsize(L, &clean, n * 3 + 16), n * 3 + 16);
    bide__url_put_normal(&c, &u, true);
    luaL_pushresultsize(&clean, bide__out_slice(&c).n);
    lua_pushboolean(L, (u.has & BIDE_URL_HAS_USER) != 0);
  }
  return 2;
}

/* encode(text, form) → text, percent-encoded for a query. */
static int l_encode(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  bide_out o = bide__out(luaL_buffinitsize(L, &b, n * 3 + 1), n * 3 + 1);
  bide__url_encode(&o, p, n, lua_toboolean(L, 2) ? BIDE_URL_FORM : BIDE_URL_UNRESERVED);
  luaL_pushresultsize(&b, o.n);
  return 1;
}

void bide__http_add_url(lua_State *L) {
  static const luaL_Reg funcs[] = {
      {"parse", l_parse}, {"resolve", l_resolve}, {"encode", l_encode}, {NULL, NULL}};
  luaL_newlib(L, funcs);
  lua_setfield(L, -2, "url");
}
