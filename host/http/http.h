/* SPDX-License-Identifier: MIT */
/* http.h: what the http floor keeps per host: its servers and pools, its spare memory, its clock.
 *
 * It lives in a userdata that Lua keeps until the state ends; a tenant of the host. Scratch areas
 * are for use within one call: nothing may run in between that uses them too. */
#ifndef BIDE_HTTP_HTTP_H
#define BIDE_HTTP_HTTP_H

#include "core/host.h"
#include "body.h"

#define BIDE_HTTP_FIELDS 1000 /* most headers of one message, whatever the options say */

typedef struct bide_http bide_http;
typedef struct bide_hserver bide_hserver;
typedef struct bide_hsreq bide_hsreq;
typedef struct bide_hpool bide_hpool;
typedef struct bide_hx bide_hx;

/* Handles for what Lua refers to but does not own: a slot's generation changes when it is given
 * back, so a stale handle finds nothing. */
typedef struct bide_hslot {
  void *p;
  uint32_t gen, next;
} bide_hslot;

struct bide_http {
  bide_tenant tenant; /* first */
  bide_host *host;
  bide_hserver *servers; /* list */
  bide_hpool *pools;     /* list */
  bide_hpool *pool;      /* of the default session; NULL before the first request */
  bide_hslot *slots;     /* owned */
  uint32_t slots_n, slots_free, slots_used;
  bool closed;
  bide_hx *making;  /* owned; its response is being made in Lua's memory */
  uint32_t nactive; /* exchanges under way */
  uv_timer_t sweep; /* closes connections that were idle for too long; never keeps the loop */
  bool sweep_open, sweep_on;
  bide_hsreq *spare_reqs; /* owned, through `next` */
  bide_hx *spare_hx;      /* owned, through `next` */
  uint32_t spare_reqs_n, spare_hx_n;
  int64_t date_at; /* the second that `date` tells */
  char date[BIDE_H1_DATE];
  bide_h1_field fields[BIDE_HTTP_FIELDS]; /* scratch */
  char scratch[BIDE_BODY_SCRATCH];        /* scratch */
};

/* Makes the floor ready in the caller's memory, which must outlive the host's teardown. */
void bide__http_init(bide_http *http, bide_host *h);
/* A slot for `p` with its generation; index from 1, 0 when there is no memory. */
uint32_t bide__http_slot_take(bide_http *http, void *p, uint32_t *gen);
void bide__http_slot_give(bide_http *http, uint32_t slot);
/* What the handle stands for, or NULL. */
static inline void *bide__http_slot(const bide_http *http, uint32_t slot, uint32_t gen) {
  const bide_hslot *s = &http->slots[slot - 1];
  return s->gen == gen ? s->p : NULL;
}
/* The Date of now, BIDE_H1_DATE bytes. */
const char *bide__http_date(bide_http *http);

/* The time of this loop turn, on the host's clock: coarse, but it costs nothing. */
static inline uint64_t bide__http_now(const bide_host *h) {
  return h->virtual_clock ? h->vnow : uv_now(h->loop) * 1000000;
}

/* An alarm that is put off far more often than it fires: `at` moves freely, the heap is touched
 * only when the alarm must come earlier; when it fires too early, it is set again. */
typedef struct bide_lazy {
  bide_alarm alarm;
  uint64_t at; /* BIDE_NEVER: off */
} bide_lazy;
/* Sets it `seconds` from now. UV_ENOMEM only when it is not running. */
int bide__lazy_set(bide_host *h, bide_lazy *z, double seconds, void (*fire)(bide_alarm *a));
/* The same for a time on the host's clock. */
int bide__lazy_set_at(bide_host *h, bide_lazy *z, uint64_t at, void (*fire)(bide_alarm *a));
/* Off, while the alarm may still run out. */
static inline void bide__lazy_off(bide_lazy *z) {
  z->at = BIDE_NEVER;
}
/* In `fire`: true when it is time; else it has been set again. */
bool bide__lazy_due(bide_host *h, bide_lazy *z);
/* Stops the alarm: before its memory goes. */
void bide__lazy_stop(bide_host *h, bide_lazy *z);

#endif
