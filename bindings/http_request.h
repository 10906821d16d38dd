/* SPDX-License-Identifier: MIT */
/* http_request.h: the request object of a handler. */
#ifndef BIDE_BINDINGS_HTTP_REQUEST_H
#define BIDE_BINDINGS_HTTP_REQUEST_H

#include "http.h"
#include "http/server.h"
#include "http/url.h"

typedef struct bide_request {
  bide_msg msg;       /* first */
  uint32_t slot, gen; /* of the request in flight */
} bide_request;

/* Pushes the object for a request whose head is still in `r`. */
void bide__request_push(lua_State *L, bide_httplib *lib, const bide_hsreq *r);
/* The request in flight, or NULL once its handler has ended. */
bide_hsreq *bide__request_live(const bide_httplib *lib, const bide_request *q);

#endif
