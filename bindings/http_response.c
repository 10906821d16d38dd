/* SPDX-License-Identifier: MIT */
/* http_response.c: the response object, and the error in its place.
 *
 * The object holds a copy of the head; a field becomes a Lua value when it is asked for. The body
 * is a user value: a string already. */
#include "http_client.h"
#include "secure.h"
#include "core/error.h"

#include <string.h>

typedef struct response {
  bide_msg msg; /* first */
  uint64_t elapsed;
} response;

enum { UV_BODY = 2, UV_URL = 3, UV_COUNT = 3 };

const char *const bide__response_fields[] = {"status",  "reason", "version", "elapsed",
                                             "headers", "url",    "body",    NULL};

void bide__response_push(lua_State *L, bide_httplib *lib, const bide_hx *hx, int url) {
  response *res = (response *)bide__msg_push(L, sizeof *res, UV_COUNT, &hx->head);
  res->elapsed = hx->elapsed;
  lua_pushlstring(L, hx->text.n ? bide__hbuf_at(&hx->text) : "", hx->text.n);
  lua_setiuservalue(L, -2, UV_BODY);
  lua_pushvalue(L, url);
  lua_setiuservalue(L, -2, UV_URL);
  bide__http_setmt(L, lib, BIDE_HT_RESPONSE);
}

void bide__response_field(lua_State *L, int field, const bide_h1_head *h, uint64_t elapsed) {
  switch (field) {
  case BIDE_RF_STATUS: lua_pushinteger(L, h->status); break;
  case BIDE_RF_REASON: bide__push_slice(L, bide__h1_text(h)); break;
  case BIDE_RF_VERSION: lua_pushstring(L, h->minor ? "1.1" : "1.0"); break;
  case BIDE_RF_ELAPSED: lua_pushnumber(L, (lua_Number)elapsed / 1e9); break;
  default: lua_pushnil(L); break;
  }
}

static int l_index(lua_State *L) {
  bide_httplib *lib = bide__httplib(L);
  response *res = bide__http_check(L, lib, 1, BIDE_HT_RESPONSE);
  int field;
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNUMBER) return 1;
  field = (int)lua_tointeger(L, 3);
  switch (field) {
  case BIDE_RF_BODY: lua_getiuservalue(L, 1, UV_BODY); break;
  case BIDE_RF_URL: lua_getiuservalue(L, 1, UV_URL); break;
  case BIDE_RF_HEADERS: bide__msg_push_headers(L, lib, 1, &res->msg.head); break;
  default: bide__response_field(L, field, &res->msg.head, res->elapsed); break;
  }
  return 1;
}

static int l_newindex(lua_State *L) {
  return luaL_error(L, "a response cannot be changed");
}

static int l_tostring(lua_State *L) {
  response *res = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_RESPONSE);
  lua_getiuservalue(L, 1, UV_URL);
  lua_pushfstring(L, "bide.http.response: %d %s", (int)res->msg.head.status, lua_tostring(L, -1));
  return 1;
}

/* A response is complete: closing it does nothing, so that `local res <close>` is always right. */
static int l_close(lua_State *L) {
  bide__http_check(L, bide__httplib(L), 1, BIDE_HT_RESPONSE);
  return 0;
}

static int l_json(lua_State *L) {
  return bide__http_json(L, BIDE_HT_RESPONSE, BIDE_HF_RESPONSE_JSON);
}

void bide__http_open_response(lua_State *L, bide_httplib *lib) {
  static const luaL_Reg meta[] = {
      {"__newindex", l_newindex}, {"__tostring", l_tostring}, {"__close", l_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", l_close}, {"json", l_json}, {NULL, NULL}};
  bide__http_type(L, lib, BIDE_HT_RESPONSE, "bide.http.response", meta, methods,
                  bide__response_fields, l_index);
}

/* ---- failures ---- */

/* The errors below begin with the URL, which is their target; then `via`: "proxy host:port: ", or
 * nothing. */
static void push_timeout(lua_State *L, bide_host *h, const bide_hx *hx, const char *method,
                         const char *url, const char *via) {
  static const char *const what[BIDE_HP_COUNT] = {"no free connection", "not connected",
                                                  "no TLS session",     "no complete response head",
                                                  "not a byte",         "not complete"};
  int phase = hx->error_phase;
  bide__error_push(L, h, "ETIMEDOUT", method, "%s: %s%s within %f s (%s timeout)", url, via,
                   what[phase], (LUAI_UACNUMBER)hx->timeout[phase], bide__hphase_names[phase]);
}

static void push_code(lua_State *L, bide_host *h, const bide_hx *hx, const char *method,
                      const char *url, const char *via) {
  int e = hx->error;
  if (e == BIDE_BODY_ETOOBIG) {
    bide__error_push(L, h, "ETOOBIG", method,
                     "%s: response body larger than %I bytes (option max_body)", url,
                     (LUAI_UACINT)hx->max_body);
  } else if (e == BIDE_BODY_ENOMEM || e == UV_ENOMEM) {
    bide__error_push(L, h, "ENOMEM", method, "%s: not enough memory", url);
  } else if (bide__hbody_is_code(e)) {
    bide__error_push(L, h, "EPROTO", method, "%s: %s%s", url, via, bide__hbody_error_text(e));
  } else if (e == BIDE_ETLS) { /* which is with the server, whatever stands between */
    bide__tls_error_push(L, h, hx->why, method, url);
  } else {
    bide__error_push(L, h, bide__code_name(e), method, "%s: %s%s", url, via,
                     hx->reason[0] ? hx->reason : bide__code_text(e));
  }
}

void bide__failure_set_url(lua_State *L, const char *url) {
  bide_url u;
  lua_pushstring(L, url);
  lua_setfield(L, -2, "url");
  if (bide__url_parse_http(&u, url, strlen(url), BIDE_URL_LAX, NULL) != 0) return;
  bide__push_slice(L, u.host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, u.port);
  lua_setfield(L, -2, "port");
}

void bide__failure_push_http(lua_State *L, bide_host *h, const bide_hx *hx, const char *method,
                             const char *url) {
  const char *via = hx->proxy ? lua_pushfstring(L, "proxy %s: ", hx->proxy) : "";
  if (hx->error == UV_ETIMEDOUT) push_timeout(L, h, hx, method, url, via);
  else push_code(L, h, hx, method, url, via);
  bide__failure_set_url(L, url);
  if (hx->proxy) {
    lua_pushstring(L, hx->proxy);
    lua_setfield(L, -2, "proxy");
  }
  if (hx->error == BIDE_EPROXY) {
    lua_pushinteger(L, hx->proxy_status);
    lua_setfield(L, -2, "status");
  }
  lua_pushstring(L, bide__hphase_names[hx->error_phase]);
  lua_setfield(L, -2, "phase");
}
