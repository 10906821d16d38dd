/* SPDX-License-Identifier: MIT */
/* tls_trust.c: certificates, keys and trust, out of files, directories and texts (contract in
 * tls.h).
 *
 * The system's trust is taken from its hashed directory: OpenSSL opens the one file that it needs,
 * when it needs it. Only when nothing is found there, or there is no such directory, is the bundle
 * of all read. The environment's SSL_CERT_DIR and SSL_CERT_FILE name others. */
#include "tls.h"

#include <ctype.h>
#include <dirent.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_AT 10000 /* entries of a directory that are looked at for a hash */

static int is_text(bide_tls_pem pem) {
  return strstr(pem.p, "-----BEGIN") != NULL;
}

static BIO *open_pem(const bide_tls_context *x, bide_tls_pem pem) {
  FILE *file;
  BIO *in;
  int fd;
  if (is_text(pem)) return BIO_new_mem_buf(pem.p, (int)pem.n);
  fd = x->core->file_open(x->host, pem.p);
  if (fd < 0) {
    ERR_raise_data(ERR_LIB_SYS, -fd, "%.200s", pem.p);
    return NULL;
  }
  file = fdopen(fd, "r");
  in = file ? BIO_new_fp(file, BIO_CLOSE) : NULL;
  if (file && !in) fclose(file);
  else if (!file) close(fd);
  return in;
}

/* What to call it in an error: a path, never a key's text. */
static const char *name_of(bide_tls_pem pem, const char *option, char *buf, size_t size) {
  snprintf(buf, size, is_text(pem) ? "option '%s'" : "option '%s': %.200s", option, pem.p);
  return buf;
}

static int refuse(bide_tls_failure *why, bide_tls_pem pem, const char *option) {
  char name[256], error[128];
  bide__tls_explain(why, "config", "%s: %s", name_of(pem, option, name, sizeof name),
                    bide__tls_last_error(error, sizeof error));
  ERR_clear_error();
  return BIDE_ETLS;
}

/* Keys with a passphrase: OpenSSL would ask on the terminal, and block. */
static int no_password(char *buf, int size, int writing, void *arg) {
  (void)buf;
  (void)size;
  (void)writing;
  (void)arg;
  return -1;
}

/* The end of a text is an error of OpenSSL's, and none. */
static int at_end(int n) {
  unsigned long code = ERR_peek_last_error();
  if (!n || ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
    return 0;
  ERR_clear_error();
  return 1;
}

/* ---- trust ---- */

static int add_trusted(bide_tls_context *x, BIO *in) {
  X509_STORE *store = SSL_CTX_get_cert_store(x->ctx);
  X509 *cert;
  int n = 0;
  for (; (cert = PEM_read_bio_X509(in, NULL, no_password, NULL)); n++) {
    int ok =
        X509_STORE_add_cert(store, cert) && (!x->server || SSL_CTX_add_client_CA(x->ctx, cert));
    X509_free(cert);
    if (!ok) return 0;
  }
  return at_end(n);
}

static int is_directory(const char *path) {
  struct stat st;
  return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static int load_given(bide_tls_context *x, bide_tls_pem ca, bide_tls_failure *why) {
  int ok;
  if (!is_text(ca) && !x->host->policy && is_directory(ca.p)) {
    ok = SSL_CTX_load_verify_dir(x->ctx, ca.p);
  } else {
    BIO *in = open_pem(x, ca);
    ok = in && add_trusted(x, in);
    BIO_free(in);
  }
  /* What is given is trusted as it is, also when it is no root. */
  X509_STORE_set_flags(SSL_CTX_get_cert_store(x->ctx), X509_V_FLAG_PARTIAL_CHAIN);
  return ok ? 0 : refuse(why, ca, "ca");
}

/* "5ed36f99.0" */
static int is_hash(const char *name) {
  int i = 0;
  while (i < 8 && isxdigit((unsigned char)name[i])) i++;
  return i == 8 && name[8] == '.' && isdigit((unsigned char)name[9]);
}

static int is_hashed(const char *path) {
  DIR *dir = opendir(path);
  struct dirent *entry;
  int found = 0;
  for (int i = 0; dir && !found && i < LOOK_AT && (entry = readdir(dir)); i++)
    found = is_hash(entry->d_name);
  if (dir) closedir(dir);
  return found;
}

/* 1 when a directory of hashes serves. */
static int load_directory(bide_tls_context *x) {
  const char *given = getenv(X509_get_default_cert_dir_env());
  const char *dirs[] = {X509_get_default_cert_dir(), "/etc/ssl/certs", "/etc/pki/tls/certs"};
  if (given) return SSL_CTX_load_verify_dir(x->ctx, given);
  for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
    if (is_hashed(dirs[i]) && SSL_CTX_load_verify_dir(x->ctx, dirs[i])) return 1;
  return 0;
}

/* ---- bundles, read when a certificate's issuer is found nowhere else ---- */

static const char *bundle(void) {
  const char *files[] = {getenv(X509_get_default_cert_file_env()), X509_get_default_cert_file(),
                         "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                         "/etc/ssl/cert.pem"};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
    if (files[i] && !access(files[i], R_OK)) return files[i];
  return NULL;
}

/* Loads the bundle at the first question that comes so far; afterwards the store has it all. */
static int on_unknown(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name,
                      X509_OBJECT *found) {
  X509_STORE *store = X509_LOOKUP_get_store(lookup);
  const char *file = X509_LOOKUP_get_method_data(lookup);
  X509_OBJECT *object;
  if (!file || type != X509_LU_X509) return 0;
  X509_LOOKUP_set_method_data(lookup, NULL);
  ERR_set_mark();
  X509_STORE_load_file(store, file);
  ERR_pop_to_mark();
  X509_STORE_lock(store);
  object = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), type, name);
  X509 *cert = object ? X509_OBJECT_get0_X509(object) : NULL;
  int ok = cert && X509_OBJECT_set1_X509(found, cert);
  X509_STORE_unlock(store);
  return ok;
}

/* The method belongs to the context and goes after its store. */
static int add_bundle(bide_tls_context *x, const char *file) {
  X509_LOOKUP *lookup;
  x->bundle = X509_LOOKUP_meth_new("a bundle, when it is needed");
  if (!x->bundle || !X509_LOOKUP_meth_set_get_by_subject(x->bundle, on_unknown)) return 0;
  lookup = X509_STORE_add_lookup(SSL_CTX_get_cert_store(x->ctx), x->bundle);
  return lookup && X509_LOOKUP_set_method_data(lookup, (void *)(uintptr_t)file);
}

/* A system without any trust is no error here: each certificate will be of an unknown issuer. */
static int load_system(bide_tls_context *x) {
  const char *file = bundle();
  (void)load_directory(x);
  ERR_clear_error();
  return !file || add_bundle(x, file) ? 0 : UV_ENOMEM;
}

int bide__tls_load_trust(bide_tls_context *x, const bide_tls_config *config,
                         bide_tls_failure *why) {
  if (config->ca.p) return load_given(x, config->ca, why);
  return config->server || config->verify == BIDE_TLS_NONE ? 0 : load_system(x);
}

/* ---- our own certificate ---- */

static int use_chain(bide_tls_context *x, BIO *in) {
  X509 *cert = PEM_read_bio_X509_AUX(in, NULL, no_password, NULL);
  int ok = cert && SSL_CTX_use_certificate(x->ctx, cert) == 1;
  X509_free(cert);
  if (!ok) return 0;
  while ((cert = PEM_read_bio_X509(in, NULL, no_password, NULL)))
    if (!SSL_CTX_add0_chain_cert(x->ctx, cert)) {
      X509_free(cert);
      return 0;
    }
  return at_end(1);
}

static int use_key(bide_tls_context *x, BIO *in) {
  EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_password, NULL);
  int ok = key && SSL_CTX_use_PrivateKey(x->ctx, key) == 1;
  EVP_PKEY_free(key);
  return ok;
}

/* Without a key of its own, the certificate's file has it. */
int bide__tls_load_cert(bide_tls_context *x, const bide_tls_config *config, bide_tls_failure *why) {
  bide_tls_pem key = config->key.p ? config->key : config->cert;
  if (!config->cert.p) return 0;
  BIO *in = open_pem(x, config->cert);
  int ok = in && use_chain(x, in);
  BIO_free(in);
  if (!ok) return refuse(why, config->cert, "cert");
  in = open_pem(x, key);
  ok = in && use_key(x, in);
  BIO_free(in);
  if (!ok) return refuse(why, key, "key");
  return SSL_CTX_check_private_key(x->ctx) == 1 ? 0 : refuse(why, key, "key");
}
