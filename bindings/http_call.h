/* SPDX-License-Identifier: MIT */
/* http_call.h: one call of bide.http.get and its kin: the frame that its files share. */
#ifndef BIDE_BINDINGS_HTTP_CALL_H
#define BIDE_BINDINGS_HTTP_CALL_H

#include "http_client.h"

/* Places on the Lua stack of a call: given by the caller, then kept over redirects, then made for
 * each attempt. */
enum { SESSION = 1, URL, OPTS, METHOD, HOPS, BEGUN, HEADERS, BODY, STREAM, FRAME = BEGUN };

enum { SESSION_UV_CONFIG = 1 };

typedef struct bide_session {
  bide_hpool *pool; /* owned reference; NULL once closed */
  bool plain;       /* nothing to rewrite */
} bide_session;

/* session (or nil), url, opts (or nil) and method stand at 1 to 4. `url_arg`, `arg`: the arguments
 * of the running function that URL and options came in, for errors. Waits; returns the response. */
int bide__http_call(lua_State *L, int url_arg, int arg);
/* The wait of an exchange is over: its response, or its failure raised. */
int bide__http_k_response(lua_State *L, bide_host *h, bide_wait *w);
/* Lets go of the exchange of a stream or guard. */
void bide__http_end_stream(bide_hstream *st);
/* The connection is there, or a piece has left: feeds on from the function at BODY (http_feed.c).
 */
int bide__http_k_fed(lua_State *L, bide_host *h, bide_wait *w);

#endif
