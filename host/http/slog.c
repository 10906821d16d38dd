/* SPDX-License-Identifier: MIT */
/* slog.c: what a server has to tell about requests that it refused (contract in server.h).
 *
 * The lines that the throttle admits are kept, for the dispatcher to tell; the count of those
 * beyond is a line of its own. Whatever clients do, this costs no more than that. */
#include "server.h"
#include "core/error.h"

#include <stdio.h>

static void push_line(bide_hserver *s, bide_hsline *line) {
  line->next = NULL;
  *s->log.tail = line;
  s->log.tail = &line->next;
  bide__hserver_wake(s);
}

static bide_hsline *new_line(bide_hserver *s) {
  bide_hsline *line = bide__alloc(s->http->host, sizeof *line);
  if (line) memset(line, 0, sizeof *line);
  return line;
}

static void tell_rest(bide_throttle *t, uint64_t count) {
  bide_hserver *s = bide_container(t, bide_hserver, log.rate);
  bide_hsline *line = new_line(s);
  if (!line) {
    t->left_out = count; /* for later */
    return;
  }
  line->count = count;
  push_line(s, line);
}

void bide__hslog_open(bide_hserver *s) {
  s->log.tail = &s->log.lines;
  bide__throttle_init(s->http->host, &s->log.rate, tell_rest);
}

void bide__hslog_sum(bide_hserver *s) {
  bide__throttle_sum(&s->log.rate);
}

/* Copies with whatever could confuse a terminal or a log written as \xNN, cut where it is too long.
 */
static uint16_t escape(char *to, bide_slice s, size_t most) {
  static const char hex[] = "0123456789abcdef";
  size_t i, n = 0;
  for (i = 0; i < s.n && i < most; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c > 0x20 && c < 0x7f && c != '\\') {
      to[n++] = (char)c;
    } else {
      memcpy(to + n, "\\x", 2);
      to[n + 2] = hex[c >> 4];
      to[n + 3] = hex[c & 15];
      n += 4;
    }
  }
  if (i < s.n) {
    memcpy(to + n, "...", 3);
    n += 3;
  }
  to[n] = '\0';
  return (uint16_t)n;
}

/* Method and target as far as they were found in the `have` bytes at h->base. */
static void note_request(bide_hsline *line, const bide_h1_head *h, size_t have) {
  bide_slice target = bide__h1_text(h);
  if (!h->base || h->method_n == 0) return;
  (void)escape(line->method, bide__h1_method(h), BIDE_HS_LOG_METHOD);
  if (target.n == 0 && have > h->text) target.n = have - h->text; /* it is the one too long */
  line->target_n = escape(line->target, target, BIDE_HS_LOG_TARGET);
}

const char *bide__hslog_request(const bide_h1_head *h, char *buf, size_t size) {
  char method[4 * BIDE_HS_LOG_METHOD + 4], target[4 * BIDE_HS_LOG_TARGET + 4];
  (void)escape(method, bide__h1_method(h), BIDE_HS_LOG_METHOD);
  (void)escape(target, bide__h1_text(h), BIDE_HS_LOG_TARGET);
  if ((size_t)snprintf(buf, size, "%s %s", method, target) >= size)
    memcpy(buf + size - 4, "...", 4);
  return buf;
}

/* A line about this connection, to be filled and pushed; NULL when it is one too many, or there is
 * no memory. */
static bide_hsline *begin_line(bide_hserver *s, const bide_conn *c) {
  const bide_addr *peer = bide__conn_peer(c);
  bide_hsline *line = s->log.on && bide__throttle_admit(&s->log.rate) ? new_line(s) : NULL;
  if (line && peer) {
    char host[BIDE_ADDR_TEXT];
    bide__addr_text(peer, host, sizeof host);
    (void)bide__host_port_text(host, bide__addr_port(peer), line->peer, sizeof line->peer);
  }
  return line;
}

void bide__hslog_refused(bide_hserver *s, const bide_conn *c, int status, const char *reason,
                         const bide_h1_head *head, size_t have) {
  bide_hsline *line = begin_line(s, c);
  if (!line) return;
  line->status = status;
  line->reason = reason;
  if (head) note_request(line, head, have);
  push_line(s, line);
}

/* What OpenSSL and tls_failure.c say is printable. */
void bide__hslog_handshake(bide_listener *l, const bide_conn *c, int status,
                           const bide_tls_failure *why) {
  bide_hserver *s = bide__listener_user(l);
  bide_hsline *line = begin_line(s, c);
  const char *text = why ? why->text : bide__code_text(status);
  if (!line) return;
  snprintf(line->text, sizeof line->text, "TLS handshake: %.230s",
           status == UV_ETIMEDOUT ? "not complete in time" : text);
  line->reason = line->text;
  push_line(s, line);
}

bide_hsline *bide__hslog_next(bide_hserver *s) {
  bide_hsline *line = s->log.lines;
  if (!line) return NULL;
  s->log.lines = line->next;
  if (!s->log.lines) s->log.tail = &s->log.lines;
  return line;
}

void bide__hslog_free(bide_hserver *s, bide_hsline *line) {
  bide__free(s->http->host, line, sizeof *line);
}

void bide__hslog_close(bide_hserver *s) {
  bide_hsline *line;
  s->log.on = false;
  bide__throttle_stop(&s->log.rate);
  while ((line = bide__hslog_next(s)) != NULL) bide__hslog_free(s, line);
}

const char *bide__hsline_text(const bide_hsline *line, char *buf, size_t size) {
  char status[16] = "closed";
  if (line->count) {
    snprintf(buf, size, "%llu more requests refused", (unsigned long long)line->count);
    return buf;
  }
  if (line->status) snprintf(status, sizeof status, "%d", line->status);
  snprintf(buf, size, "%s: %s: %s%s%s%s%s", line->peer[0] ? line->peer : "?", status, line->reason,
           line->method[0] ? ": " : "", line->method, line->target_n ? " " : "", line->target);
  return buf;
}
