/* SPDX-License-Identifier: MIT */
/* secure.h: options of TLS, contexts made of them, handshakes of streams: what bide.tls, streams
 * and bide.http share. (Files named tls* are the module that uses OpenSSL.) */
#ifndef BIDE_SECURE_H
#define BIDE_SECURE_H

#include "options.h"
#include "net/secure.h"
#include "stream.h"

/* Names for bide__check_options. */
#define BIDE_TLS_CLIENT_OPTIONS "verify", "ca", "cert", "key", "alpn", "version", "servername"
#define BIDE_TLS_SERVER_OPTIONS                                                                    \
  "verify", "ca", "cert", "key", "alpn", "version", "sni", "handshake_timeout"

/* A context that Lua holds: given back when it is collected. */
typedef struct bide_tls_hold {
  const bide_tls_module *module;
  bide_tls_context *context; /* a reference */
} bide_tls_hold;

/* The context of a client with these options, whose strings Lua holds; `idx`: the argument they
 * came in, for errors. Loads the module if need be. Raises argument errors, and ETLS when a
 * certificate can't be read. Borrowed: to be referred to before anything else runs. */
bide_tls_context *bide__tls_client_find(lua_State *L, bide_host *h, int idx,
                                        const bide_tls_config *config);
/* The same for the options in the table at idx (or none), as a hold, which is pushed. `alpn`: the
 * protocols when the options name none, as in bide_tls_config, or NULL. */
bide_tls_hold *bide__tls_client_push(lua_State *L, bide_host *h, int idx, const char *alpn);
/* The same for a server, which needs `cert`; made anew each time, with those of its `sni`. */
bide_tls_hold *bide__tls_server_push(lua_State *L, bide_host *h, int idx, const char *alpn);

/* The hold at idx, or NULL. */
bide_tls_hold *bide__test_tls_hold(lua_State *L, int idx);

/* Encrypts the stream at 1 from here on, as stream:starttls does: the last a function of Lua's
 * does. What is above it on the stack stays referred to meanwhile. `name` (of clients): what the
 * certificate must be for; NULL: whoever shows a trusted one. */
int bide__stream_secure(lua_State *L, bide_host *h, bide_stream *s, const bide_tls_hold *hold,
                        const char *name, double timeout);

/* Adds reason, names and the like to the error on top, whose code is ETLS. NULL: nothing known. */
void bide__tls_error_fields(lua_State *L, const bide_tls_failure *why);
/* Pushes an error: "where: text (ETLS)". */
void bide__tls_error_push(lua_State *L, bide_host *h, const bide_tls_failure *why, const char *op,
                          const char *where);

extern const luaL_Reg bide__stream_security[];

#endif
