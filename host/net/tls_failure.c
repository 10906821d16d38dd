/* SPDX-License-Identifier: MIT */
/* tls_failure.c: why it failed, in a word for programs and a line for people (contract in tls.h).
 *
 * What a peer sends (names, dates, alerts) is made printable and cut to size before it is shown. */
#include "tls.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int bide__tls_explain(bide_tls_failure *why, const char *reason, const char *fmt, ...) {
  va_list ap;
  if (!why) return BIDE_ETLS;
  why->reason = reason;
  va_start(ap, fmt);
  vsnprintf(why->text, sizeof why->text, fmt, ap);
  va_end(ap);
  return BIDE_ETLS;
}

const char *bide__tls_last_error(char *buf, size_t size) {
  const char *text = NULL;
  int flags = 0;
  unsigned long code = ERR_peek_last_error_all(NULL, NULL, NULL, NULL, &flags);
  if (ERR_SYSTEM_ERROR(code)) snprintf(buf, size, "%s", strerror(ERR_GET_REASON(code)));
  else if ((text = ERR_reason_error_string(code))) snprintf(buf, size, "%s", text);
  else snprintf(buf, size, "error %lx", code);
  return buf;
}

/* The connection's failure, made at first need; NULL without memory. */
static bide_tls_failure *failure(bide_tls *t) {
  if (t->failure) return t->failure;
  t->failure = t->core->alloc(t->conn.host, sizeof *t->failure);
  if (!t->failure) return NULL;
  memset(t->failure, 0, sizeof *t->failure);
  t->failure->reason = "protocol";
  return t->failure;
}

/* ---- certificates ---- */

/* Appends one name, as far as there is room for it and the end. */
static size_t put_name(char *buf, size_t at, size_t size, const char *p, size_t n) {
  if (at + n + 2 > size) return at;
  for (size_t i = 0; i < n; i++) buf[at + i] = p[i] > ' ' && p[i] < 127 ? p[i] : '?';
  buf[at + n] = 0;
  buf[at + n + 1] = 0;
  return at + n + 1;
}

static size_t put_address(char *buf, size_t at, size_t size, const ASN1_OCTET_STRING *ip) {
  char text[INET6_ADDRSTRLEN];
  int n = ASN1_STRING_length(ip);
  if (n != 4 && n != 16) return at;
  inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof text);
  return put_name(buf, at, size, text, strlen(text));
}

void bide__tls_cert_names(X509 *cert, char *buf, size_t size) {
  GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  size_t at = 0;
  buf[0] = buf[1] = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(all) && i < BIDE_TLS_SHOWN_NAMES; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS)
      at = put_name(buf, at, size, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                    (size_t)ASN1_STRING_length(name->d.dNSName));
    else if (name->type == GEN_IPADD) at = put_address(buf, at, size, name->d.iPAddress);
  }
  GENERAL_NAMES_free(all);
}

static const char *date_text(const ASN1_TIME *date, char *buf, size_t size) {
  struct tm tm;
  if (!ASN1_TIME_to_tm(date, &tm) || !strftime(buf, size, "%Y-%m-%d %H:%M:%S UTC", &tm))
    snprintf(buf, size, "an unreadable date");
  return buf;
}

/* "a.example, b.example" */
static const char *list_text(const char *names, char *buf, size_t size) {
  size_t at = 0;
  snprintf(buf, size, "no host");
  for (const char *p = names; *p && at < size; p += strlen(p) + 1) {
    int n = snprintf(buf + at, size - at, "%s%s", at ? ", " : "", p);
    at += n > 0 ? (size_t)n : 0;
  }
  return buf;
}

static const char *subject_text(X509 *cert, char *buf, size_t size) {
  X509_NAME_oneline(X509_get_subject_name(cert), buf, (int)size);
  for (char *p = buf; *p; p++)
    if (*p < ' ' || *p == 127) *p = '?';
  return buf;
}

static const struct {
  int error;
  const char *reason, *text;
} verify_errors[] = {
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "self_signed",
     "is signed by itself and not trusted here"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "unknown_issuer",
     "leads to a root that is not trusted here"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "unknown_issuer",
     "is of an issuer that is not known here"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "unknown_issuer",
     "is of an issuer that is not known here"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "unknown_issuer",
     "is of an issuer that is not known here"},
    {X509_V_ERR_CERT_REVOKED, "revoked", "has been revoked"},
    {X509_V_ERR_INVALID_PURPOSE, "wrong_purpose", "is not made for this purpose"},
    {X509_V_ERR_INVALID_CA, "wrong_purpose", "is signed by one that must not sign"},
};

static void explain_name(bide_tls *t, bide_tls_failure *why) {
  char list[256];
  bide__tls_explain(why, "wrong_host", "the certificate is for %s, not for %s",
                    list_text(why->names, list, sizeof list), t->host);
}

static void explain_chain(bide_tls *t, bide_tls_failure *why, X509_STORE_CTX *chain) {
  X509 *cert = X509_STORE_CTX_get_current_cert(chain);
  int error = X509_STORE_CTX_get_error(chain), depth = X509_STORE_CTX_get_error_depth(chain);
  char who[200], subject[160], date[48];
  const char *side = t->context->server ? "client certificate" : "certificate";
  snprintf(who, sizeof who, "the %s", side);
  if (depth > 0 && cert)
    snprintf(who, sizeof who, "the certificate %s above it",
             subject_text(cert, subject, sizeof subject));
  if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    explain_name(t, why);
    return;
  }
  if (error == X509_V_ERR_CERT_HAS_EXPIRED && cert) {
    bide__tls_explain(why, "expired", "%s expired on %s", who,
                      date_text(X509_get0_notAfter(cert), date, sizeof date));
    return;
  }
  if (error == X509_V_ERR_CERT_NOT_YET_VALID && cert) {
    bide__tls_explain(why, "not_yet_valid", "%s is not valid before %s", who,
                      date_text(X509_get0_notBefore(cert), date, sizeof date));
    return;
  }
  for (size_t i = 0; i < sizeof verify_errors / sizeof verify_errors[0]; i++)
    if (verify_errors[i].error == error) {
      bide__tls_explain(why, verify_errors[i].reason, "%s %s", who, verify_errors[i].text);
      return;
    }
  bide__tls_explain(why, "bad_certificate", "%s: %s", who, X509_verify_cert_error_string(error));
}

int bide__tls_on_verify(int ok, X509_STORE_CTX *chain) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
  bide_tls *t = bide__tls_of(ssl);
  X509 *leaf = X509_STORE_CTX_get0_cert(chain);
  if (ok || !failure(t)) return ok;
  if (leaf) bide__tls_cert_names(leaf, t->failure->names, sizeof t->failure->names);
  explain_chain(t, t->failure, chain);
  return 0;
}

/* ---- the protocol ---- */

static const struct {
  int code;
  const char *reason, *text;
} protocol_errors[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, "version", "no TLS version in common: 1.2 or newer is needed"},
    {SSL_R_VERSION_TOO_LOW, "version", "no TLS version in common: 1.2 or newer is needed"},
    {SSL_R_NO_PROTOCOLS_AVAILABLE, "version", "no TLS version is allowed on this system"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "version", "the peer refuses this version of TLS"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "certificate_required",
     "the server asks for a client certificate (options cert and key)"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "certificate_required",
     "the client gave no certificate"},
    {SSL_R_NO_SHARED_CIPHER, "no_shared_cipher", "no cipher in common"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "alpn", "no protocol (ALPN) in common"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, "alpn", "no protocol (ALPN) in common"},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, "truncated",
     "the connection was cut: it ended without close_notify, so bytes may be missing"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "bad_record", "a record was changed on its way"},
    {SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, "bad_record", "a record was changed on its way"},
};

static const int not_tls[] = {SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST,
                              SSL_R_HTTPS_PROXY_REQUEST, SSL_R_UNKNOWN_PROTOCOL};

/* What can begin a TLS connection: an alert or a handshake record. */
static int is_foreign(const bide_tls *t, int code) {
  if (t->state == BIDE_TLS_OPEN || !t->heard) return 0;
  if (t->first != SSL3_RT_ALERT && t->first != SSL3_RT_HANDSHAKE) return 1;
  for (size_t i = 0; i < sizeof not_tls / sizeof not_tls[0]; i++)
    if (not_tls[i] == code) return 1;
  return 0;
}

static void explain_code(const bide_tls *t, bide_tls_failure *why, unsigned long error) {
  int code = ERR_GET_REASON(error);
  const char *text = ERR_reason_error_string(error);
  for (size_t i = 0; i < sizeof protocol_errors / sizeof protocol_errors[0]; i++)
    if (protocol_errors[i].code == code) {
      bide__tls_explain(why, protocol_errors[i].reason, "%s", protocol_errors[i].text);
      return;
    }
  if (code == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE && t->lacked_cert)
    bide__tls_explain(why, "certificate_required",
                      "the server asks for a client certificate (options cert and key)");
  else if (code > SSL_AD_REASON_OFFSET)
    bide__tls_explain(why, "alert", "the peer refused: %s",
                      SSL_alert_desc_string_long(code - SSL_AD_REASON_OFFSET));
  else bide__tls_explain(why, "protocol", "%s", text ? text : "TLS failed");
}

int bide__tls_fail(bide_tls *t) {
  unsigned long error = ERR_peek_error();
  int told = t->failure != NULL; /* by a certificate */
  bide_tls_failure *why = failure(t);
  if (told || !why) {
    /* said, or no memory to say it */
  } else if (is_foreign(t, ERR_GET_REASON(error))) {
    bide__tls_explain(why, "not_tls", "the peer does not speak TLS");
  } else if (t->eof && t->state != BIDE_TLS_OPEN) {
    bide__tls_explain(why, "closed", "the peer closed the connection during the handshake");
  } else {
    explain_code(t, why, error);
  }
  if (why) why->heard = t->heard;
  ERR_clear_error();
  return BIDE_ETLS;
}
