/* SPDX-License-Identifier: MIT */
/* stream_write.c: writing to streams.
 *
 * The socket is tried first; what it does not take is queued, as it is: the strings are held in the
 * registry until they have left. A writer returns when no more than BIDE_WRITE_HIGH bytes are
 * queued, else waits until there are no more than BIDE_WRITE_LOW. What was given to write is on its
 * way: a writer that is cancelled only stops waiting, so that the stream never carries half a
 * message. */
#include "stream.h"
#include "core/error.h"

#include <string.h>

#define PIECES 16 /* strings of one write that need no memory for their table */

typedef struct queued {
  bide_write write;
  bide_host *host;
  int ref; /* the strings, in the registry */
  unsigned n;
  uv_buf_t bufs[];
} queued;

static void on_written(bide_write *w, int status) {
  queued *q = bide_container(w, queued, write);
  bide_host *h = q->host;
  (void)status; /* the connection remembers it */
  luaL_unref(h->in_loop ? h->from : h->main, LUA_REGISTRYINDEX, q->ref);
  bide__free(h, q, sizeof *q + q->n * sizeof *q->bufs);
}

void bide__stream_wake_writers(bide_stream *s, int status) {
  bide_task *t = s->writers;
  s->writers = NULL;
  while (t) {
    bide_task *next = bide__io(t)->next;
    bide__io(t)->data = NULL;
    if (!t->own.set) bide__wake(&t->own, status);
    t = next;
  }
}

void bide__stream_on_drain(bide_conn *c) {
  bide__stream_wake_writers(c->user, 0);
}

static void remove_writer(bide_task *t) {
  bide_stream *s = bide__io(t)->data;
  bide_task **at;
  if (!s) return;
  for (at = &s->writers; *at && *at != t; at = &bide__io(*at)->next) continue;
  if (*at) *at = bide__io(t)->next;
  bide__io(t)->data = NULL;
}

static void abort_write(bide_wait *w, int status) {
  remove_writer(w->task);
  bide__wake(w, status);
}

static void drop_write(bide_wait *w) {
  remove_writer(bide__wait_owner(w));
}

static void describe_write(const bide_wait *w, char *buf, size_t size) {
  const bide_stream *s = bide__io(w->task)->data;
  memcpy(buf, "write ", 6);
  if (s) bide__stream_text(s, buf + 6, size - 6);
}

static const bide_waitops write_ops = {"write", abort_write, describe_write, drop_write, 0};

static int k_write(lua_State *L, bide_host *h, bide_wait *w) {
  bide_stream *s = lua_touserdata(L, 1);
  if (w->status < 0) return bide__stream_fail(L, h, s, w->status, "write");
  if (s->conn && s->conn->error) return bide__stream_fail(L, h, s, s->conn->error, "write");
  lua_settop(L, 1);
  return 1;
}

static int wait_drained(lua_State *L, bide_host *h, bide_stream *s) {
  bide_task *t = h->current, **at = &s->writers;
  bide__wait_init(h, &t->own, &write_ops);
  bide__io(t)->data = s;
  bide__io(t)->next = NULL;
  while (*at) at = &bide__io(*at)->next;
  *at = t;
  return bide__suspend(L, h, &t->own, &write_ops, k_write);
}

/* Queues what is left of the arguments 2…; may raise, then nothing is queued. */
static void queue(lua_State *L, bide_host *h, bide_stream *s, const bide_write *rest, int first) {
  int top = lua_gettop(L);
  if (top == first) {
    lua_pushvalue(L, top);
  } else {
    lua_createtable(L, top - first + 1, 0);
    for (int i = first; i <= top; i++) {
      lua_pushvalue(L, i);
      lua_rawseti(L, -2, i - first + 1);
    }
  }
  int ref = luaL_ref(L, LUA_REGISTRYINDEX);
  queued *q = bide__alloc(h, sizeof *q + rest->n * sizeof *q->bufs);
  if (!q) {
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
    luaL_error(L, "not enough memory");
    return;
  }
  q->host = h;
  q->ref = ref;
  q->n = rest->n;
  memcpy(q->bufs, rest->bufs, rest->n * sizeof *q->bufs);
  q->write = (bide_write){.bufs = q->bufs, .n = rest->n, .done = on_written};
  bide__conn_queue_write(s->conn, &q->write);
}

static int l_write(lua_State *L) {
  bide_host *h = bide__host(L);
  int n = lua_gettop(L) - 1, status = 0;
  uv_buf_t few[PIECES], *bufs = few;
  bide__check_stream(L);
  for (int i = 2; i <= n + 1; i++) {
    if (!lua_isstring(L, i)) bide__type_error(L, i, "string");
    lua_tostring(L, i);
  }
  bide_stream *s = bide__stream_begin(L, h, "write");
  if (!s) return bide__refuse(L, h);
  if (n > PIECES) {
    luaL_checkstack(L, 8, NULL);
    bufs = lua_newuserdatauv(L, (size_t)n * sizeof *bufs, 0);
    lua_insert(L, 2);
  }
  int first = lua_gettop(L) - n + 1;
  for (int i = 0; i < n; i++) {
    size_t len;
    bufs[i].base = (char *)(uintptr_t)lua_tolstring(L, first + i, &len);
    bufs[i].len = len;
    bide__io_weigh(h, len);
  }
  bide_write rest = {.bufs = bufs, .n = (unsigned)n};
  if (!s->conn->last) status = bide__conn_try_write(s->conn, &rest);
  else status = bide__conn_refusal(s->conn);
  if (status < 0) return bide__stream_fail(L, h, s, status, "write");
  if (!status && rest.n) {
    s->conn->error = UV_ENOMEM; /* if this raises, half a message has left: nothing may follow it */
    queue(L, h, s, &rest, first + n - (int)rest.n);
    s->conn->error = 0;
  }
  if (bide__conn_is_full(s->conn)) return wait_drained(L, h, s);
  return bide__complete(L, h, &h->current->own, 0, k_write);
}

/* No more will be written; the peer reads the end once everything queued has been sent. */
static int l_shutdown(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_stream *s = bide__check_stream(L);
  if (!s->conn) return bide__stream_fail(L, h, s, UV_EBADF, "shutdown");
  int status = bide__conn_shutdown(s->conn);
  if (status < 0 && status != UV_ENOTCONN) return bide__stream_fail(L, h, s, status, "shutdown");
  lua_settop(L, 1);
  return 1;
}

const luaL_Reg bide__stream_writers[] = {
    {"write", l_write}, {"shutdown", l_shutdown}, {NULL, NULL}};
