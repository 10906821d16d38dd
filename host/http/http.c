/* SPDX-License-Identifier: MIT */
/* http.c: the state of the http floor (contract in http.h). */
#include "http.h"
#include "client.h"
#include "server.h"

#include <string.h>
#include <time.h>

static void free_slots(bide_http *http);

static void on_host_close(bide_tenant *tenant) {
  bide_http *http = bide_container(tenant, bide_http, tenant);
  bide_hserver *s, *next;
  bide_hpool *p, *pnext;
  if (http->closed) return;
  http->closed = true;
  for (s = http->servers; s; s = next) {
    next = s->next;
    bide__hserver_abandon(s);
  }
  for (p = http->pools; p; p = pnext) {
    pnext = p->next;
    bide__hpool_close(p);
  }
  if (http->pool) bide__hpool_unref(http->pool);
  http->pool = NULL;
  if (http->making) bide__hx_unref(http->making);
  http->making = NULL;
  bide__hpool_sweep_close(http);
  bide__hserver_free_spares(http);
  bide__hx_free_spares(http);
  bide__tenant_remove(tenant);
  free_slots(http);
}

void bide__http_init(bide_http *http, bide_host *h) {
  memset(http, 0, offsetof(bide_http, fields));
  http->host = h;
  http->date_at = -1;
  http->tenant.close = on_host_close;
  bide__tenant_add(h, &http->tenant);
}

/* ---- slots ---- */

/* Once the host has closed, with the last of them. */
static void free_slots(bide_http *http) {
  if (!http->closed || http->slots_used) return;
  bide__free(http->host, http->slots, http->slots_n * sizeof *http->slots);
  http->slots = NULL;
  http->slots_n = http->slots_free = 0;
}

static bool grow_slots(bide_http *http) {
  uint32_t i, n = http->slots_n ? http->slots_n * 2 : 64;
  bide_hslot *p = bide__realloc(http->host, http->slots, http->slots_n * sizeof *p, n * sizeof *p);
  if (!p) return false;
  http->slots = p;
  for (i = n; i > http->slots_n; i--) {
    p[i - 1] = (bide_hslot){NULL, 0, http->slots_free};
    http->slots_free = i;
  }
  http->slots_n = n;
  return true;
}

uint32_t bide__http_slot_take(bide_http *http, void *p, uint32_t *gen) {
  uint32_t slot;
  if (http->slots_free == 0 && !grow_slots(http)) return 0;
  slot = http->slots_free;
  http->slots_free = http->slots[slot - 1].next;
  http->slots[slot - 1].p = p;
  *gen = http->slots[slot - 1].gen;
  http->slots_used++;
  return slot;
}

void bide__http_slot_give(bide_http *http, uint32_t slot) {
  bide_hslot *s = &http->slots[slot - 1];
  s->p = NULL;
  s->gen++;
  s->next = http->slots_free;
  http->slots_free = slot;
  http->slots_used--;
  free_slots(http);
}

/* ---- time ---- */

const char *bide__http_date(bide_http *http) {
  int64_t now = (int64_t)time(NULL);
  if (now != http->date_at) {
    http->date_at = now;
    bide__h1_format_date(http->date, now);
  }
  return http->date;
}

int bide__lazy_set_at(bide_host *h, bide_lazy *z, uint64_t at, void (*fire)(bide_alarm *a)) {
  uint64_t now;
  z->at = at;
  if (BIDE_LIKELY(z->alarm.timer.pos && bide__heap_when(&h->alarms, &z->alarm.timer) <= at))
    return 0;
  if (at == BIDE_NEVER) return 0;
  now = bide__now_ns(h);
  return bide__alarm_again(h, &z->alarm, at > now ? (double)(at - now) / 1e9 : 0, fire);
}

int bide__lazy_set(bide_host *h, bide_lazy *z, double seconds, void (*fire)(bide_alarm *a)) {
  return bide__lazy_set_at(h, z, bide__deadline_ns(bide__http_now(h), seconds), fire);
}

bool bide__lazy_due(bide_host *h, bide_lazy *z) {
  uint64_t now = bide__now_ns(h);
  if (z->at <= now) return true;
  /* The alarm has just left the heap, so there is room for it: this can't fail. */
  if (z->at != BIDE_NEVER)
    (void)bide__alarm_start(h, &z->alarm, (double)(z->at - now) / 1e9, z->alarm.fire);
  return false;
}

void bide__lazy_stop(bide_host *h, bide_lazy *z) {
  z->at = BIDE_NEVER;
  bide__alarm_stop(h, &z->alarm);
}
