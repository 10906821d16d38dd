/* SPDX-License-Identifier: MIT */
/* embed_post.c: calls from other threads, and the caller's pointer. One mutex guards the list of
 * calls; it is never held while user code runs. It is malloc'd, as are the calls: the host's
 * allocator is not for other threads, and both are used until the host's state is gone. */
#include "embed.h"

#include "core/slice.h"
#include "core/stop.h"

#include <stdlib.h>

typedef struct call {
  struct call *next;
  bide_post_fn fn;
  void *arg;
} call;

struct bide_post {
  bide_tenant tenant;
  uv_async_t async;
  uv_mutex_t mutex;
  bide_host *host;
  call *first, **last; /* guarded */
  int closed;          /* guarded */
  uint32_t held;
};

static void run_calls(struct bide_post *p) {
  call *c;
  uv_mutex_lock(&p->mutex);
  c = p->first;
  p->first = NULL;
  p->last = &p->first;
  uv_mutex_unlock(&p->mutex);
  p->host->in_turn++;
  while (c) {
    call *next = c->next;
    c->fn(p->host, c->arg);
    free(c);
    c = next;
  }
  p->host->in_turn--;
}

static void on_async(uv_async_t *async) {
  run_calls(async->data);
}

static void on_closed(uv_handle_t *handle) {
  struct bide_post *p = handle->data;
  p->host->closing_handles--;
}

static void close_post(bide_tenant *tenant) {
  struct bide_post *p = bide_container(tenant, struct bide_post, tenant);
  uv_mutex_lock(&p->mutex);
  p->closed = 1;
  uv_mutex_unlock(&p->mutex);
  run_calls(p);
  bide__futures_close(p->host);
  p->host->closing_handles++;
  uv_close((uv_handle_t *)&p->async, on_closed);
}

int bide__post_open(bide_host *h) {
  struct bide_post *p = calloc(1, sizeof *p);
  int rc;
  if (!p) return UV_ENOMEM;
  p->host = h;
  p->last = &p->first;
  if ((rc = uv_mutex_init(&p->mutex)) != 0) {
    free(p);
    return rc;
  }
  if ((rc = uv_async_init(h->loop, &p->async, on_async)) != 0) {
    bide__post_free(p);
    return rc;
  }
  p->async.data = p;
  uv_unref((uv_handle_t *)&p->async);
  p->tenant.close = close_post;
  bide__tenant_add(h, &p->tenant);
  h->post = p;
  return 0;
}

void bide__post_free(struct bide_post *p) {
  if (!p) return;
  uv_mutex_destroy(&p->mutex);
  free(p);
}

void bide__post_wake(bide_host *h) {
  struct bide_post *p = h->post;
  uv_mutex_lock(&p->mutex);
  if (!p->closed) uv_async_send(&p->async);
  uv_mutex_unlock(&p->mutex);
}

void bide__post_hold(bide_host *h) {
  if (h->post && h->post->held++ == 0) uv_ref((uv_handle_t *)&h->post->async);
}

void bide__post_let_go(bide_host *h) {
  if (h->post && --h->post->held == 0) uv_unref((uv_handle_t *)&h->post->async);
}

int bide_post(bide_host *h, bide_post_fn fn, void *arg) {
  struct bide_post *p = h->post;
  call *c;
  int closed;
  if (!p) return UV_ECANCELED;
  c = malloc(sizeof *c);
  if (!c) return UV_ENOMEM;
  c->fn = fn;
  c->arg = arg;
  c->next = NULL;
  uv_mutex_lock(&p->mutex);
  closed = p->closed;
  if (!closed) {
    *p->last = c;
    p->last = &c->next;
    uv_async_send(&p->async);
  }
  uv_mutex_unlock(&p->mutex);
  if (!closed) return 0;
  free(c);
  return UV_ECANCELED;
}

void bide_set_data(bide_host *h, void *data) {
  atomic_store_explicit(&h->data, data, memory_order_release);
}

void *bide_data(const bide_host *h) {
  return atomic_load_explicit(&h->data, memory_order_acquire);
}

int bide_interrupt(bide_host *h) {
  if (!bide__stop(h, BIDE_STOP_INTERRUPT)) return 0; /* told already: signals would pile up */
  if (h->post) bide__post_wake(h);
  return bide__slicer_poke(h);
}
