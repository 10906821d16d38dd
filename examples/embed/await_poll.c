/* SPDX-License-Identifier: MIT */
/* await_poll.c: a library that has only a descriptor, made awaitable: the program's own uv_poll_t
 * behind a Lua function, readable(fd). The pattern for any callback of libuv's, or of another
 * library's on the same loop.
 *
 *     cc -o await_poll await_poll.c $(pkg-config --cflags --libs bide)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bide.h>
#include <lauxlib.h>

static const char script[] = "local bide = require 'bide'\n"
                             "local from, to = ...\n"
                             "bide.spawn(function()\n"
                             "  for i = 1, 3 do bide.sleep(0.01) put(to, 'message ' .. i) end\n"
                             "end)\n"
                             "for i = 1, 3 do readable(from) print('read ' .. take(from)) end\n"
                             "local ok, err = pcall(bide.timeout, 0.02, readable, from)\n"
                             "print('nothing more', err.code)\n"
                             "print(pcall(readable, 9999))\n"
                             "readable(from)\n"; /* the host is freed while this waits */

typedef struct watch {
  uv_poll_t poll;
  bide_future *future; /* NULL once it is filled */
} watch;

static int open_watches;

static void on_closed(uv_handle_t *handle) {
  open_watches--;
  free(handle->data);
}

/* The one place where a watch ends: closes the handle and forgets the future. */
static void end(watch *w) {
  w->future = NULL;
  uv_close((uv_handle_t *)&w->poll, on_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  watch *w = poll->data;
  bide_future *f = w->future;
  (void)events;
  end(w);
  if (status < 0) bide_reject(f, uv_err_name(status), "readable", uv_strerror(status));
  else bide_resolve_nothing(f);
}

/* Cancelled, or the host is being freed: undo what was begun. */
static void on_cancel(bide_future *f, void *arg) {
  end(arg);
  bide_future_drop(f);
}

static int l_readable(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1); /* what may raise comes first */
  bide_future *f = bide_future_new(L);
  watch *w = calloc(1, sizeof *w);
  int rc = w ? uv_poll_init(bide_loop(bide_host_of(L)), &w->poll, fd) : UV_ENOMEM;
  if (rc < 0) {
    free(w);
    bide_reject(f, uv_err_name(rc), "readable", uv_strerror(rc)); /* raised by the await */
    return bide_await(L, f);
  }
  open_watches++;
  w->future = f;
  w->poll.data = w;
  bide_future_on_cancel(f, on_cancel, w);
  uv_poll_start(&w->poll, UV_READABLE, on_readable);
  return bide_await(L, f);
}

static int l_take(lua_State *L) {
  char text[100];
  ssize_t n = read((int)luaL_checkinteger(L, 1), text, sizeof text);
  lua_pushlstring(L, text, n > 0 ? (size_t)n : 0);
  return 1;
}

static int l_put(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  if (write((int)luaL_checkinteger(L, 1), text, n) == (ssize_t)n) return 0;
  return bide_raise(L, "EIO", "put", "short write");
}

int main(void) {
  int fds[2], i;
  bide_host *host = bide_new(NULL);
  if (!host || pipe(fds) != 0) return 1;
  lua_State *L = bide_lua(host);
  lua_register(L, "readable", l_readable);
  lua_register(L, "take", l_take);
  lua_register(L, "put", l_put);
  if (bide_load_string(host, script, strlen(script), "=script") != 0) return 1;
  for (i = 0; i < 2; i++) lua_pushinteger(L, fds[i]);
  if (bide_spawn(host, 2) != 0) return 1;
  uint64_t end_at = uv_hrtime() + 200000000; /* the program has other things to do */
  while (uv_hrtime() < end_at && bide_run(host, UV_RUN_NOWAIT) > 0) usleep(1000);
  printf("%d watch is open\n", open_watches);
  bide_free(host);
  printf("%d watches after bide_free\n", open_watches);
  for (i = 0; i < 2; i++) close(fds[i]);
  return 0;
}
