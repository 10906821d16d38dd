/* SPDX-License-Identifier: MIT */
/* http_client.h: what the files of the client share: responses, streams, failures. */
#ifndef BIDE_BINDINGS_HTTP_CLIENT_H
#define BIDE_BINDINGS_HTTP_CLIENT_H

#include "http.h"
#include "http/client.h"

/* ---- streamed responses, and what guards an exchange while a body is fed (http_stream.c) ---- */

typedef struct bide_hstream {
  bide_hx *hx;          /* owned reference; NULL before it begins and once it is over */
  bide_hbuf rest;       /* decoded bytes that `lines` and `events` have not given out yet */
  struct bide_sse *sse; /* owned; of `events` */
  bide_host *host;
  bool ended, closed;
} bide_hstream;

enum { BIDE_STREAM_UV_HEADERS = 1, BIDE_STREAM_UV_URL = 2, BIDE_STREAM_UV_COUNT = 2 };

/* Pushes one without an exchange. */
bide_hstream *bide__hstream_push(lua_State *L, bide_httplib *lib);

/* ---- responses (http_response.c) ---- */

/* Pushes the response of a finished exchange; its URL is at idx `url`. */
void bide__response_push(lua_State *L, bide_httplib *lib, const bide_hx *hx, int url);
/* Pushes the error of a failed exchange. */
void bide__failure_push_http(lua_State *L, bide_host *h, const bide_hx *hx, const char *method,
                             const char *url);
/* Sets url, and its host and port, in the error on top. */
void bide__failure_set_url(lua_State *L, const char *url);
/* Pushes a field of a response's head (BIDE_RF_…). */
enum {
  BIDE_RF_STATUS = 1,
  BIDE_RF_REASON,
  BIDE_RF_VERSION,
  BIDE_RF_ELAPSED,
  BIDE_RF_HEADERS,
  BIDE_RF_URL,
  BIDE_RF_BODY
};
extern const char *const bide__response_fields[];
void bide__response_field(lua_State *L, int field, const bide_h1_head *h, uint64_t elapsed);

/* ---- requests (http_compose.c) ---- */

typedef struct bide_hspec { /* options that C understands; indices into the frame */
  double timeout[BIDE_HP_COUNT];
  uint64_t max_body;
  int redirects;
  bool decompress, stream;
  bool bounded;        /* max_body was given: it holds for streams too */
  bool complex;        /* there are options that lua/bide/http.lua must rewrite first */
  int headers, body;   /* stack indices, 0: none */
  int arg;             /* the argument they came in */
  bide_slice proxy;    /* its URL, borrowed from the table of options */
  bide_out proxy_auth; /* of a tunnel: what the proxy is told; the room is the caller's */
  bool tunnel;         /* https through a proxy */
  bide_tls_config tls; /* what https is to be verified with, borrowed alike */
  bool close;          /* the request says Connection: close */
  bool feeding;        /* the body is a function */
  bool has_length;     /* … of a length that the headers announce */
  uint64_t length;
} bide_hspec;

/* Reads the options at idx into `spec`; leaves headers and body on the stack. Raises an argument
 * error about argument `arg` of the running function. */
void bide__options_read(lua_State *L, int idx, int arg, bide_hspec *spec);
/* Writes the head of a request. Returns the bytes: in the http floor's scratch, or in a userdata
 * that is pushed. Raises what is wrong in the headers. */
bide_slice bide__compose(lua_State *L, bide_httplib *lib, bide_slice method, const bide_url *url,
                         bide_hspec *spec, bool absolute);

#endif
