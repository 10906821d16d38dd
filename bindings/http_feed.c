/* SPDX-License-Identifier: MIT */
/* http_feed.c: a request's body that a function gives, piece by piece.
 *
 * The exchange is owned by the guard at STREAM. It ends early when the response is there before the
 * body is through; the function is not called again then. */
#include "http_call.h"
#include "core/body.h"
#include "core/error.h"
#include "core/limit.h"

static int feed(lua_State *L, bide_hx *hx);

static int await_response(lua_State *L, bide_hx *hx) {
  bide__hx_fed(hx, false);
  bide__hx_wait(hx, BIDE_HX_FOR_RESPONSE);
  return bide__suspend(L, bide__host(L), &hx->wait, &bide__hx_ops, bide__http_k_response);
}

static int fail_feed(lua_State *L, const char *message) {
  bide_hstream *st = lua_touserdata(L, STREAM);
  bide__hx_stop(st->hx);
  bide__http_end_stream(st);
  return luaL_error(L, "request body: %s", message);
}

int bide__http_k_fed(lua_State *L, bide_host *h, bide_wait *w) {
  bide_hx *hx = bide_container(w, bide_hx, wait);
  if (w->status < 0 || hx->failed || hx->has_head || hx->done) {
    if (w->status < 0) return bide__http_k_response(L, h, w);
    return await_response(L, hx);
  }
  lua_settop(L, STREAM);
  return hx->feeding ? feed(L, hx) : await_response(L, hx);
}

static int await_write(lua_State *L, bide_hx *hx, int rc) {
  if (rc == 1) return 0;
  if (rc < 0) return await_response(L, hx);
  bide__hx_wait(hx, BIDE_HX_FOR_WRITE);
  return bide__suspend(L, bide__host(L), &hx->wait, &bide__hx_ops, bide__http_k_fed);
}

/* Piece at STREAM + 1. 1: call again for the next; else the caller returns *result. */
static int send_piece(lua_State *L, bide_hx *hx, int *result) {
  size_t n;
  const char *p;
  bide_slice pieces[3];
  int type = lua_type(L, STREAM + 1), rc;
  if (type == LUA_TNIL) {
    if (hx->announced != BIDE_HX_CHUNKED && hx->announced > 0)
      return *result = fail_feed(L, "shorter than its content-length"), 0;
    bide__hx_fed(hx, true);
    pieces[0] = BIDE_SLICE(BIDE_H1_LAST_CHUNK);
    rc = hx->announced == BIDE_HX_CHUNKED ? bide__hx_feed(hx, pieces, 1) : 1;
    *result = rc == 1 ? await_response(L, hx) : await_write(L, hx, rc);
    return 0;
  }
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    return *result = fail_feed(L, "its function must return strings, and nil at the end"), 0;
  p = lua_tolstring(L, STREAM + 1, &n);
  if (n == 0) return 1;
  if (hx->announced == BIDE_HX_CHUNKED) {
    /* The head of a chunk lies where the request's head was, which has left. */
    pieces[0] = bide__slice(hx->out.p, bide__h1_chunk_head(hx->out.p, n));
    pieces[1] = bide__slice(p, n);
    pieces[2] = BIDE_SLICE("\r\n");
    rc = bide__hx_feed(hx, pieces, 3);
  } else {
    if (n > hx->announced) return *result = fail_feed(L, "longer than its content-length"), 0;
    hx->announced -= n;
    pieces[0] = bide__slice(p, n);
    rc = bide__hx_feed(hx, pieces, 1);
  }
  if (rc == 1) return 1;
  *result = await_write(L, hx, rc);
  return 0;
}

static int k_piece(lua_State *L, int status, lua_KContext ctx) {
  bide_hstream *st = lua_touserdata(L, STREAM);
  bide_body *b = (bide_body *)ctx;
  int result, expired = b && bide__body_leave(b);
  if (status != LUA_OK && status != LUA_YIELD) { /* the function failed: so does the request */
    if (expired && bide__error_is_own_cancel(L, bide__host(L), -1)) {
      lua_settop(L, STREAM);
      bide__hx_fail(st->hx, UV_ETIMEDOUT, BIDE_HP_TOTAL);
      return await_response(L, st->hx);
    }
    bide__hx_stop(st->hx);
    bide__http_end_stream(st);
    return lua_error(L);
  }
  if (!send_piece(L, st->hx, &result)) return result;
  return feed(L, st->hx);
}

/* The function waits in the calling task, where nothing but a deadline ends that. NULL in *b when
 * there is no limit of time for the whole. */
static bool limit_piece(bide_host *h, const bide_hx *hx, bide_body **b) {
  uint64_t now;
  *b = NULL;
  if (hx->total_at == BIDE_NEVER) return true;
  now = bide__now_ns(h);
  *b = bide__body_enter(h, hx->total_at > now ? (double)(hx->total_at - now) / 1e9 : 0);
  return *b != NULL;
}

static int feed(lua_State *L, bide_hx *hx) {
  int result, status;
  bide_body *b;
  do {
    if (bide__checkpoint(L, bide__host(L), "request")) {
      bide__hx_stop(hx);
      bide__http_end_stream(lua_touserdata(L, STREAM));
      return bide__refuse(L, bide__host(L));
    }
    lua_settop(L, STREAM);
    lua_pushvalue(L, BODY);
    if (!limit_piece(bide__host(L), hx, &b)) {
      bide__hx_stop(hx);
      bide__http_end_stream(lua_touserdata(L, STREAM));
      return bide__timer_error(L, bide__host(L), "request");
    }
    status = lua_pcallk(L, 0, 1, 0, (lua_KContext)b, k_piece);
    if (status != LUA_OK) return k_piece(L, status, (lua_KContext)b);
    if (b) bide__body_leave(b);
  } while (send_piece(L, hx, &result));
  return result;
}
