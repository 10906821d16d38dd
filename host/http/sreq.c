/* SPDX-License-Identifier: MIT */
/* sreq.c: a server's request: its body on the way in, its response on the way out (server.h).
 *
 * Freed when the task has ended, no wait is in flight and the connection has let go. */
#include "server.h"
#include "core/failure.h"
#include "core/name.h"

#include <assert.h>

static void on_task_end(bide_link *link);

/* ---- memory ---- */

static bide_hsreq *take(bide_http *http) {
  bide_hsreq *r = http->spare_reqs;
  if (!r) return bide__alloc(http->host, sizeof *r);
  http->spare_reqs = r->next;
  http->spare_reqs_n--;
  return r;
}

static void give(bide_http *http, bide_hsreq *r) {
  if (!http->closed && http->spare_reqs_n < BIDE_HS_SPARE) {
    r->next = http->spare_reqs;
    http->spare_reqs = r;
    http->spare_reqs_n++;
  } else {
    bide__free(http->host, r, sizeof *r);
  }
}

void bide__hserver_free_spares(bide_http *http) {
  while (http->spare_reqs) {
    bide_hsreq *r = http->spare_reqs;
    http->spare_reqs = r->next;
    bide__free(http->host, r, sizeof *r);
  }
  http->spare_reqs_n = 0;
}

static void free_store(bide_hsreq *r) {
  if (r->store != (char *)r->fixed) bide__free(r->server->http->host, r->store, r->store_cap);
  r->store = (char *)r->fixed;
  r->store_cap = sizeof r->fixed;
}

int bide__hsreq_room(bide_hsreq *r, size_t n) {
  char *p;
  n += r->kept;
  if (n <= r->store_cap) return 0;
  p = bide__alloc(r->server->http->host, n);
  if (!p) return UV_ENOMEM;
  memcpy(p, r->store, r->kept);
  free_store(r);
  r->store = p;
  r->store_cap = n;
  r->head.base = p;
  r->head.fields = NULL; /* they stood there */
  return 0;
}

/* Where the fields stand: behind the bytes of the head. */
static size_t fields_at(const bide_h1_head *head) {
  return (head->size + 7) & ~(size_t)7;
}

static size_t kept_of(const bide_h1_head *head) {
  return head->text + (head->text_n < BIDE_HS_LOG_TARGET ? head->text_n : BIDE_HS_LOG_TARGET);
}

static void keep_head(bide_hsreq *r, const bide_h1_head *head) {
  size_t at = fields_at(head);
  r->head = *head;
  r->head.fields = (bide_h1_field *)(void *)(r->store + at);
  r->head.base = r->store;
  r->kept = kept_of(head);
  memcpy(r->store, head->base, head->size);
  memcpy(r->store + at, head->fields, head->count * sizeof(bide_h1_field));
}

bide_hsreq *bide__hsreq_new(bide_hsconn *sc, const bide_h1_head *head) {
  bide_hserver *s = sc->server;
  bide_hsreq *r = take(s->http);
  if (!r) return NULL;
  memset(r, 0, offsetof(bide_hsreq, read_by));
  r->rwait.task = r->wwait.task = NULL;
  r->server = s;
  r->store = (char *)r->fixed;
  r->store_cap = sizeof r->fixed;
  r->read_by = r->write_by = BIDE_NEVER;
  r->refs = 2; /* the connection's and the queue's, then the task's */
  if (bide__hsreq_room(r, fields_at(head) + head->count * sizeof(bide_h1_field)) != 0 ||
      (r->slot = bide__http_slot_take(s->http, r, &r->gen)) == 0) {
    free_store(r);
    give(s->http, r);
    return NULL;
  }
  keep_head(r, head);
  (void)bide__hbody_init(s->http->host, &r->body, &r->head,
                         false); /* without a coding: can't fail */
  r->sc = sc;
  r->body_done = head->kind == BIDE_H1_NONE;
  r->expect = (head->flags & BIDE_H1_CONTINUE) != 0 && !r->body_done;
  r->close = (head->flags & BIDE_H1_KEEP_ALIVE) == 0 || sc->served >= s->limits.max_requests;
  return r;
}

void bide__hsreq_unref(bide_hsreq *r) {
  bide_http *http = r->server->http;
  if (--r->refs > 0) return;
  if (r->slot) bide__http_slot_give(http, r->slot);
  bide__hbuf_free(http->host, &r->all);
  free_store(r);
  give(http, r);
}

/* ---- from the queue to the task and its end ---- */

void bide__hsreq_start(bide_hsreq *r, bide_task *t) {
  bide_hserver *s = r->server;
  r->task = t;
  r->next = s->running;
  if (r->next) r->next->prev = r;
  s->running = r;
  s->nrunning++;
  bide__link(&t->fut, &r->link, on_task_end);
  if (BIDE_UNLIKELY(!r->sc || r->sc->failed)) bide__hsreq_gone(r);
}

void bide__hsreq_gone(bide_hsreq *r) {
  if (r->server->limits.cancel != BIDE_HS_GONE_NEVER && r->task) bide__task_cancel(r->task);
}

/* The answer stands or never will: what of the connection? */
static void settle(bide_hsreq *r) {
  bide_hsconn *sc = r->sc;
  if (!sc) return;
  if (!r->answered) {
    bide__hsconn_close(sc, false);
    return;
  }
  if (!r->body_done && !bide__hsreq_drain(r)) r->close = true;
  if (r->body_done || r->close) {
    bide__hsconn_next(sc);
    return;
  }
  sc->state = BIDE_HSC_DRAIN;
  r->read_by = BIDE_NEVER;
  r->write_by =
      bide__deadline_ns(bide__http_now(r->server->http->host), r->server->limits.body_timeout);
  bide__hsconn_limit(sc);
  if (r->sc) bide__hsconn_resume(r->sc);
}

static void answer(bide_hsreq *r, int status) {
  r->close = r->close || bide__hsreq_must_close(r) || status != 500;
  if (!r->sc || r->head_sent) return;
  r->head_sent = true;
  r->answered = bide__hsconn_answer(r->sc, status, r->close) == 0;
}

static void tell(const bide_hsreq *r, int status, const char *reason) {
  if (r->sc && !r->head_sent)
    bide__hslog_refused(r->server, r->sc->conn, status, reason, &r->head, r->head.size);
}

void bide__hsreq_refuse(bide_hsreq *r, const char *why) {
  tell(r, 503, why);
  answer(r, 503);
  settle(r);
  bide__hsreq_unref(r);
}

/* Did the task fail with the error that a wrong body raised? Then it is told to the client, and
 * nobody else needs to hear of it. Calls nothing that allocates. */
static bool failed_by_client(bide_hsreq *r) {
  bide_host *h = r->server->http->host;
  lua_State *L = h->from;
  bide_witness *w = NULL;
  bool same = false;
  if (!r->fault || r->task->fut.native) return false;
  bide__push_task(L, h, r->task);
  lua_getiuservalue(L, -1, 1);
  if (lua_isuserdata(L, -1)) {
    w = lua_touserdata(L, -1);
    lua_getiuservalue(L, -1, 1);
    same = lua_topointer(L, -1) == r->fault;
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  if (same) bide__failure_seen(L, w);
  return same;
}

/* Protected: (task, request). A name that the handler gave stays. */
static int name_task(lua_State *L) {
  bide_host *h = bide__host_of(L);
  const bide_hsreq *r = lua_touserdata(L, 2);
  char name[100] = BIDE_HS_TASK " ", now[100];
  size_t n = sizeof BIDE_HS_TASK;
  if (strcmp(bide__task_name(L, h, 1, now, sizeof now), BIDE_HS_TASK) != 0) return 0;
  bide__hslog_request(&r->head, name + n, sizeof name - n);
  bide__name_value(L, h, 1, name);
  return 0;
}

/* The report says by the task's name which request it was. Raises nothing, runs no finalizer. */
static void name_failed(bide_hsreq *r) {
  lua_State *L = r->server->http->host->from;
  int collects = lua_gc(L, LUA_GCISRUNNING);
  if (!lua_checkstack(L, 6)) return;
  lua_gc(L, LUA_GCSTOP);
  lua_pushcfunction(L, name_task);
  bide__push_task(L, r->server->http->host, r->task);
  lua_pushlightuserdata(L, r);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
  if (collects) lua_gc(L, LUA_GCRESTART);
}

/* Nobody can await the task: its error is reported at once. Returns what to answer. */
static int report_failure(bide_hsreq *r) {
  bide_host *h = r->server->http->host;
  if (failed_by_client(r)) {
    tell(r, r->fault_status, r->fault_text ? r->fault_text : bide__hbody_error_text(r->body_error));
    return r->fault_status;
  }
  if (!r->task->fut.native) {
    name_failed(r);
    bide__failure_now(h);
  }
  return 500;
}

static void on_task_end(bide_link *link) {
  bide_hsreq *r = bide_container(link, bide_hsreq, link);
  bide_hserver *s = r->server;
  int state = r->task->fut.state;
  if (state == BIDE_FAILED) answer(r, report_failure(r));
  else if (state == BIDE_CANCELLED) answer(r, 503);
  r->task = NULL;
  if (r->prev) r->prev->next = r->next;
  else s->running = r->next;
  if (r->next) r->next->prev = r->prev;
  s->nrunning--;
  settle(r);
  bide__hsreq_unref(r);
  bide__hserver_check(s);
}

bool bide__hsreq_must_close(const bide_hsreq *r) {
  const bide_hsconn *sc = r->sc;
  if (r->close || !sc || r->server->state != BIDE_HS_OPEN || r->body_error) return true;
  if (r->body_done) return false;
  if (r->expect) return true; /* the client may send its body or not: no telling where it stands */
  return r->head.kind == BIDE_H1_LENGTH && r->body.wire.left > sc->in.n + BIDE_HS_DRAIN;
}

/* ---- the body ---- */

void bide__hsreq_want_body(bide_hsreq *r) {
  if (!r->expect) return;
  r->expect = false;
  if (r->sc && r->sc->in.n == 0 && !r->head_sent) (void)bide__hsconn_answer(r->sc, 100, false);
}

static int body_failed(bide_hsreq *r, int code) {
  r->body_error = code;
  return code;
}

int bide__hsreq_piece(bide_hsreq *r, bide_slice *piece) {
  bide_hsconn *sc = r->sc;
  size_t used;
  int rc;
  if (r->body_done) return BIDE_H1_DONE;
  if (r->body_error) return r->body_error;
  if (sc) bide__hsconn_resume(sc);
  sc = r->sc;
  if (!sc) return body_failed(r, BIDE_BODY_ELOST);
  rc = bide__hbody_next(&r->body, bide__hbuf_at(&sc->in), sc->in.n, &used, NULL, piece);
  bide__hbuf_take(&sc->in, used);
  if (rc == BIDE_H1_DONE) r->body_done = true;
  else if (rc < 0) return body_failed(r, rc);
  else if (rc == BIDE_H1_MORE && sc->eof) return body_failed(r, BIDE_H1_ETRUNCATED);
  if (rc == BIDE_H1_DATA) {
    r->got += piece->n;
    if (r->got > r->server->limits.max_body) return body_failed(r, BIDE_BODY_ETOOBIG);
  }
  return rc;
}

bool bide__hsreq_drain(bide_hsreq *r) {
  bide_slice piece;
  int rc;
  if (r->expect) return false;
  do {
    rc = bide__hsreq_piece(r, &piece);
    if (rc == BIDE_H1_DATA) r->write_left += piece.n;
  } while (rc == BIDE_H1_DATA && r->write_left <= BIDE_HS_DRAIN);
  return rc >= 0 && r->write_left <= BIDE_HS_DRAIN && r->sc;
}

/* Takes all that is there; false while more must come. */
static bool collect(bide_hsreq *r) {
  bide_slice piece;
  for (;;) {
    int rc = bide__hsreq_piece(r, &piece);
    if (rc == BIDE_H1_MORE) return false;
    if (rc != BIDE_H1_DATA) return true;
    if (bide__hbuf_put(r->server->http->host, &r->all, piece.p, piece.n) != 0) {
      body_failed(r, BIDE_BODY_ENOMEM);
      return true;
    }
  }
}

/* Each byte buys the client some time beyond the grace: when is it used up, given that `spent` has
 * been waited before this wait, which began at `from`? */
static uint64_t rate_by(const bide_hslimits *l, uint64_t from, uint64_t spent, uint64_t bytes) {
  double left;
  if (l->min_rate == 0) return BIDE_NEVER;
  left = l->rate_grace + (double)bytes / (double)l->min_rate - (double)spent / 1e9;
  return bide__deadline_ns(from, left > 0 ? left : 0);
}

static uint64_t sooner(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static void limit_read(bide_hsreq *r) {
  const bide_hslimits *l = &r->server->limits;
  uint64_t bytes = r->got + (r->sc ? r->sc->in.n : 0);
  r->read_by = sooner(bide__deadline_ns(bide__http_now(r->server->http->host), l->body_timeout),
                      rate_by(l, r->read_from, r->read_spent, bytes));
  if (r->sc) bide__hsconn_limit(r->sc);
}

static void wake_reader(bide_hsreq *r, int status) {
  r->read_spent += bide__http_now(r->server->http->host) - r->read_from;
  r->reading = BIDE_HS_READ_NONE;
  r->read_by = BIDE_NEVER;
  bide__wake(&r->rwait, status);
}

void bide__hsreq_input(bide_hsreq *r) {
  if (!r->reading) return;
  if (r->reading == BIDE_HS_READ_PIECE || collect(r)) {
    wake_reader(r, 0);
    return;
  }
  limit_read(r);
}

void bide__hsreq_wait_input(bide_hsreq *r, int how) {
  bide_host *h = r->server->http->host;
  r->rwait.task = NULL;
  bide__wait_init(h, &r->rwait, &bide__hsreq_read_ops);
  r->refs++;
  r->read_from = bide__http_now(h);
  r->reading = (uint8_t)how;
  if (r->body_done || r->body_error || !r->sc || (how == BIDE_HS_READ_ALL && collect(r))) {
    wake_reader(r, 0);
    return;
  }
  bide__hsreq_want_body(r);
  limit_read(r);
}

static void abort_read(bide_wait *w, int status) {
  wake_reader(bide_container(w, bide_hsreq, rwait), status);
}

static void drop_read(bide_wait *w) {
  bide__hsreq_unref(bide_container(w, bide_hsreq, rwait));
}

const bide_waitops bide__hsreq_read_ops = {
    .op = "read request body", .abort = abort_read, .drop = drop_read};

/* ---- the response ---- */

/* So much of the response is in the queue: what has left since the last look? */
static bool note_left(bide_hsreq *r, size_t left) {
  bool moved = left < r->write_left;
  if (moved) r->sent += r->write_left - left;
  r->write_left = left;
  return moved;
}

static void limit_write(bide_hsreq *r) {
  r->write_by =
      sooner(r->stuck_by, rate_by(&r->server->limits, r->write_from, r->write_spent, r->sent));
}

static void wake_writer(bide_hsreq *r, int status) {
  r->write_spent += bide__http_now(r->server->http->host) - r->write_from;
  if (status == 0) (void)note_left(r, 0);
  r->write_by = BIDE_NEVER;
  if (status == UV_ECANCELED) status = UV_ECONNRESET; /* closed, but not for the task's sake */
  if (r->wake_status) status = r->wake_status;
  r->wake_status = 0;
  bide__wake(&r->wwait, status);
}

static void on_sent(bide_write *w, int status) {
  bide_hsreq *r = bide_container(w, bide_hsreq, write);
  if (status < 0 && r->sc) r->sc->failed = true;
  wake_writer(r, status);
}

int bide__hsreq_send(bide_hsreq *r, const bide_slice *pieces, unsigned n) {
  bide_hsconn *sc = r->sc;
  bide_host *h = r->server->http->host;
  size_t size = 0;
  unsigned i;
  int rc;
  if (!sc || sc->failed) return UV_EPIPE;
  for (i = 0; i < n; i++) {
    r->bufs[i] = (uv_buf_t){.base = (char *)(uintptr_t)pieces[i].p, .len = pieces[i].n};
    size += pieces[i].n;
  }
  r->sent += size;
  if (BIDE_UNLIKELY(sc->batch != NULL)) bide__hsconn_flush(sc);
  rc = bide__conn_write(sc->conn, &r->write, r->bufs, n, on_sent);
  if (BIDE_LIKELY(rc == 1)) return 1;
  if (rc < 0) {
    sc->failed = true;
    return rc;
  }
  r->wwait.task = NULL;
  bide__wait_init(h, &r->wwait, &bide__hsreq_write_ops);
  r->refs++;
  r->sending = true;
  r->write_left = bide__conn_queued(sc->conn);
  r->sent -= r->write_left < r->sent ? r->write_left : r->sent;
  r->write_from = bide__http_now(h);
  r->stuck_by = bide__deadline_ns(r->write_from, r->server->limits.write_timeout);
  limit_write(r);
  bide__hsconn_limit(sc);
  return 0;
}

static void abort_write(bide_wait *w, int status) {
  bide_hsreq *r = bide_container(w, bide_hsreq, wwait);
  r->wake_status = status;
  bide__hsconn_close(r->sc, false); /* what is queued is dropped: on_sent wakes */
}

void bide__hsreq_sent(bide_hsreq *r) {
  if (!r->sending) return;
  r->sending = false;
  bide__hsreq_unref(r);
}

static void drop_write(bide_wait *w) {
  bide__hsreq_sent(bide_container(w, bide_hsreq, wwait));
}

const bide_waitops bide__hsreq_write_ops = {
    .op = "write response", .abort = abort_write, .drop = drop_write};

/* ---- what the connection tells ---- */

void bide__hsreq_lost(bide_hsreq *r) {
  r->sc = NULL;
  if (!r->body_done && !r->body_error) r->body_error = BIDE_BODY_ELOST;
  if (r->reading) wake_reader(r, 0);
  bide__hsreq_gone(r);
  bide__hsreq_unref(r);
}

/* The writer's deadline has come: does it get another? */
static bool write_late(bide_hsreq *r, uint64_t now) {
  if (note_left(r, bide__conn_queued(r->sc->conn)))
    r->stuck_by = bide__deadline_ns(now, r->server->limits.write_timeout);
  limit_write(r);
  if (now < r->write_by) return false;
  bide__hslog_refused(r->server, r->sc->conn, 0, "the response was not taken in time", NULL, 0);
  return true;
}

bool bide__hsreq_late(bide_hsreq *r, uint64_t now) {
  bide_hsconn *sc = r->sc;
  if (sc->state == BIDE_HSC_DRAIN) return now >= r->write_by;
  if (now >= r->write_by && write_late(r, now)) return true;
  if (now >= r->read_by) {
    body_failed(r, BIDE_BODY_ETIME);
    if (r->reading) wake_reader(r, 0);
  }
  return false;
}
