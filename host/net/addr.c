/* SPDX-License-Identifier: MIT */
/* addr.c: socket addresses as values (contract in addr.h). */
#include "addr.h"

#include <net/if.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "%eth0" or "%2" behind a link-local address: the index of the interface, 0 when there is none. */
static unsigned zone_index(const char *zone) {
  char *end;
  unsigned long n = strtoul(zone, &end, 10);
  if (*zone >= '0' && *zone <= '9' && !*end && n <= UINT32_MAX) return (unsigned)n;
  return if_nametoindex(zone);
}

static int literal6(const char *host, bide_addr *out) {
  char text[INET6_ADDRSTRLEN];
  const char *zone = strchr(host, '%');
  size_t n = zone ? (size_t)(zone - host) : strlen(host);
  if (n >= sizeof text) return UV_EINVAL;
  memcpy(text, host, n);
  text[n] = 0;
  if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1) return UV_EINVAL;
  out->v6.sin6_family = AF_INET6;
  if (zone) out->v6.sin6_scope_id = zone_index(zone + 1);
  return zone && !out->v6.sin6_scope_id ? UV_EINVAL : 0;
}

int bide__addr_literal(const char *host, int port, bide_addr *out) {
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) out->v4.sin_family = AF_INET;
  else if (literal6(host, out)) return UV_EINVAL;
  bide__addr_set_port(out, port);
  return 0;
}

int bide__addr_is_localhost(const char *host) {
  size_t n = strlen(host);
  if (n && host[n - 1] == '.') n--;
  if (n < 9 || strncasecmp(host + n - 9, "localhost", 9)) return 0;
  return n == 9 || host[n - 10] == '.';
}

int bide__addr_host_valid(const char *host, size_t len) {
  if (len > 1 && host[len - 1] == '.') len--;
  if (!len || len > BIDE_HOST_MAX) return 0;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)host[i];
    if (c <= ' ' || c == 127) return 0;
  }
  return 1;
}

const char *bide__addr_text(const bide_addr *a, char *buf, size_t size) {
  buf[0] = 0;
  if (a->sa.sa_family == AF_INET) inet_ntop(AF_INET, &a->v4.sin_addr, buf, (socklen_t)size);
  if (a->sa.sa_family != AF_INET6) return buf;
  inet_ntop(AF_INET6, &a->v6.sin6_addr, buf, (socklen_t)size);
  if (a->v6.sin6_scope_id) {
    char name[IF_NAMESIZE];
    size_t n = strlen(buf);
    if (if_indextoname(a->v6.sin6_scope_id, name)) snprintf(buf + n, size - n, "%%%s", name);
    else snprintf(buf + n, size - n, "%%%u", (unsigned)a->v6.sin6_scope_id);
  }
  return buf;
}

int bide__addr_port(const bide_addr *a) {
  return ntohs(a->sa.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

void bide__addr_set_port(bide_addr *a, int port) {
  if (a->sa.sa_family == AF_INET6) a->v6.sin6_port = htons((uint16_t)port);
  else a->v4.sin_port = htons((uint16_t)port);
}

socklen_t bide__addr_len(const bide_addr *a) {
  return a->sa.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

void bide__addr_unmap(bide_addr *a) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = a->v6.sin6_port};
  if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) return;
  memcpy(&v4.sin_addr, a->v6.sin6_addr.s6_addr + 12, 4);
  memset(a, 0, sizeof *a);
  a->v4 = v4;
}

void bide__addr_map(bide_addr *a) {
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = a->v4.sin_port};
  if (a->sa.sa_family != AF_INET) return;
  v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
  memcpy(v6.sin6_addr.s6_addr + 12, &a->v4.sin_addr, 4);
  a->v6 = v6;
}

int bide__addr_equal(const bide_addr *a, const bide_addr *b) {
  if (a->sa.sa_family != b->sa.sa_family || bide__addr_port(a) != bide__addr_port(b)) return 0;
  if (a->sa.sa_family == AF_INET) return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
  return a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
         !memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr);
}

const char *bide__host_port_text(const char *host, int port, char *buf, size_t size) {
  snprintf(buf, size, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
  return buf;
}
