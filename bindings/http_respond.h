/* SPDX-License-Identifier: MIT */
/* http_respond.h: what the task of a request runs. */
#ifndef BIDE_BINDINGS_HTTP_RESPOND_H
#define BIDE_BINDINGS_HTTP_RESPOND_H

#include "http.h"

/* (handler, req): calls the handler, sends what it returns: `status, headers, body`, or `body`. */
int bide__http_handle(lua_State *L);

#endif
