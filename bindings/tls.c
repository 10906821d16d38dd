/* SPDX-License-Identifier: MIT */
/* tls.c: the entry of the TLS module, bide.openssl, and what it tells Lua about a connection.
 *
 * `require` gives a light userdata, the module's table of functions (host/net/secure.h): it is for
 * bide's own use and holds nothing that a script could call. */
#include "tls.h"
#include "net/tls.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>

#define TEXT 512

/* RFC 4514 style, unprintable characters escaped; binary names can't get through as they are. */
static void set_name(lua_State *L, const char *key, const X509_NAME *name) {
  BIO *b = BIO_new(BIO_s_mem());
  char *p;
  long n = 0;
  if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) >= 0) n = BIO_get_mem_data(b, &p);
  char text[TEXT];
  if (n > TEXT) n = TEXT;
  if (n > 0) memcpy(text, p, (size_t)n);
  BIO_free(b);
  lua_pushlstring(L, n > 0 ? text : "", n > 0 ? (size_t)n : 0);
  lua_setfield(L, -2, key);
}

static void set_time(lua_State *L, const char *key, const ASN1_TIME *date) {
  struct tm tm;
  if (!ASN1_TIME_to_tm(date, &tm)) return;
  lua_pushinteger(L, (lua_Integer)timegm(&tm));
  lua_setfield(L, -2, key);
}

static void set_fingerprint(lua_State *L, const X509 *cert) {
  static const char digits[] = "0123456789abcdef";
  unsigned char md[EVP_MAX_MD_SIZE];
  char text[2 * EVP_MAX_MD_SIZE];
  unsigned n = 0;
  if (!X509_digest(cert, EVP_sha256(), md, &n)) return;
  for (unsigned i = 0; i < n; i++) {
    text[2 * i] = digits[md[i] >> 4];
    text[2 * i + 1] = digits[md[i] & 15];
  }
  lua_pushlstring(L, text, 2 * (size_t)n);
  lua_setfield(L, -2, "sha256");
}

static void set_names(lua_State *L, X509 *cert) {
  char names[1024];
  int i = 0;
  bide__tls_cert_names(cert, names, sizeof names);
  lua_newtable(L);
  for (const char *p = names; *p; p += strlen(p) + 1) {
    lua_pushstring(L, p);
    lua_rawseti(L, -2, ++i);
  }
  lua_setfield(L, -2, "names");
}

/* The certificate is the connection's own: nothing is held here when Lua raises. */
static void push_cert(lua_State *L, X509 *cert) {
  lua_createtable(L, 0, 6);
  set_name(L, "subject", X509_get_subject_name(cert));
  set_name(L, "issuer", X509_get_issuer_name(cert));
  set_names(L, cert);
  set_time(L, "not_before", X509_get0_notBefore(cert));
  set_time(L, "not_after", X509_get0_notAfter(cert));
  set_fingerprint(L, cert);
}

static void push_info(lua_State *L, const bide_conn *c) {
  SSL *ssl = bide__tls_ssl(c);
  const unsigned char *alpn = NULL;
  unsigned n = 0;
  X509 *cert = SSL_get0_peer_certificate(ssl);
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 7);
  lua_pushstring(L, SSL_get_version(ssl));
  lua_setfield(L, -2, "version");
  lua_pushstring(L, SSL_get_cipher_name(ssl));
  lua_setfield(L, -2, "cipher");
  SSL_get0_alpn_selected(ssl, &alpn, &n);
  if (n) {
    lua_pushlstring(L, (const char *)alpn, n);
    lua_setfield(L, -2, "alpn");
  }
  if (name) {
    lua_pushstring(L, name);
    lua_setfield(L, -2, "server_name");
  }
  lua_pushboolean(L, SSL_session_reused(ssl));
  lua_setfield(L, -2, "resumed");
  lua_pushboolean(L, cert && bide__tls_of(ssl)->context->verify != BIDE_TLS_NONE);
  lua_setfield(L, -2, "verified");
  if (cert) {
    push_cert(L, cert);
    lua_setfield(L, -2, "peer");
  }
}

const bide_tls_module bide__tls_openssl = {
    .abi = BIDE_TLS_ABI,
    .context_new = bide__tls_context_new,
    .context_ref = bide__tls_context_ref,
    .context_unref = bide__tls_context_unref,
    .context_add_name = bide__tls_add_name,
    .wrap = bide__tls_wrap,
    .handshake = bide__tls_handshake,
    .failure = bide__tls_failure_of,
    .push_info = push_info,
};

int luaopen_bide_openssl(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&bide__tls_openssl);
  return 1;
}
