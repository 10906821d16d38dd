/* SPDX-License-Identifier: MIT */
/* userdata.c: a C object whose methods wait: a printer that takes its time for each page and does
 * one at a time. What waits in it is undone when the task is cancelled or the object closed.
 *
 *     cc -o userdata userdata.c $(pkg-config --cflags --libs bide)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bide.h>
#include <lauxlib.h>

static const char script[] =
    "local bide = require 'bide'\n"
    "local p <close> = printer()\n"
    "local pages = bide.map({ 'a', 'b', 'c' }, function(text) return p:print(text) end)\n"
    "print('pages', table.concat(pages, ' '))\n"
    "local ok, err = pcall(bide.timeout, 0.005, p.print, p, 'too slow')\n"
    "print(err.code, 'in line', p:in_line())\n"
    "local t = bide.spawn(function() return pcall(p.print, p, 'late') end)\n"
    "bide.sleep(0)\n"
    "p:close()\n"
    "print(select(2, t:await()).code)\n"
    "print(select(2, pcall(p.print, p, 'more')).code)\n";

typedef struct printer {
  uv_timer_t timer;
  struct page *first; /* being printed; behind it those in line */
  int printed;
} printer;

typedef struct page {
  bide_future *future;
  printer *printer;
  struct page *next;
} page;

enum { PAGE_MS = 20 };

static void on_printed(uv_timer_t *timer);

static void print_next(printer *p) {
  if (p->first) uv_timer_start(&p->timer, on_printed, PAGE_MS, 0);
  else uv_timer_stop(&p->timer);
}

/* Takes a page out of the line; whoever calls this fills the future. */
static bide_future *leave(page *g) {
  printer *p = g->printer;
  bide_future *f = g->future;
  page **at = &p->first;
  int was_first = p->first == g;
  while (*at != g) at = &(*at)->next;
  *at = g->next;
  if (was_first) print_next(p);
  free(g);
  return f;
}

static void on_printed(uv_timer_t *timer) {
  printer *p = timer->data;
  bide_resolve_integer(leave(p->first), ++p->printed);
}

static void on_cancel(bide_future *f, void *arg) {
  leave(arg);
  bide_future_drop(f);
}

/* ---- methods ---- */

/* The userdata holds a pointer: the timer must live until its close callback, and finalizers run
 * in bide_free too, while the loop is still there. */
static printer *check_printer(lua_State *L) {
  printer **box = luaL_checkudata(L, 1, "example.printer");
  if (!*box) bide_raise(L, "EBADF", "print", "the printer is closed");
  return *box;
}

static int l_print(lua_State *L) {
  printer *p = check_printer(L);
  luaL_checkstring(L, 2);
  bide_future *f = bide_future_new(L); /* raises outside of a task; nothing is held yet */
  page *g = calloc(1, sizeof *g), **last = &p->first;
  if (!g) {
    bide_reject(f, "ENOMEM", "print", "not enough memory");
    return bide_await(L, f);
  }
  *g = (page){f, p, NULL};
  while (*last) last = &(*last)->next;
  *last = g;
  if (p->first == g) print_next(p);
  bide_future_on_cancel(f, on_cancel, g);
  return bide_await(L, f);
}

static int l_in_line(lua_State *L) {
  int n = 0;
  for (page *g = check_printer(L)->first; g; g = g->next) n++;
  lua_pushinteger(L, n);
  return 1;
}

static void on_closed(uv_handle_t *handle) {
  free(handle->data);
}

/* close, __close and __gc: idempotent. Those in line are told. */
static int l_close(lua_State *L) {
  printer **box = luaL_checkudata(L, 1, "example.printer"), *p = *box;
  *box = NULL;
  if (!p) return 0;
  while (p->first) bide_reject(leave(p->first), "EBADF", "print", "the printer was closed");
  uv_close((uv_handle_t *)&p->timer, on_closed);
  return 0;
}

static int l_printer(lua_State *L) {
  printer **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL; /* closed until it is whole */
  luaL_setmetatable(L, "example.printer");
  printer *p = calloc(1, sizeof *p);
  if (!p) return luaL_error(L, "not enough memory");
  uv_timer_init(bide_loop(bide_host_of(L)), &p->timer);
  p->timer.data = p;
  *box = p;
  return 1;
}

static void open_printer(lua_State *L) {
  static const luaL_Reg methods[] = {{"print", l_print}, {"in_line", l_in_line},
                                     {"close", l_close}, {"__close", l_close},
                                     {"__gc", l_close},  {NULL, NULL}};
  luaL_newmetatable(L, "example.printer");
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_register(L, "printer", l_printer);
}

static int run(bide_host *host, const char *chunk) {
  lua_State *L = bide_lua(host);
  int status = bide_load_string(host, chunk, strlen(chunk), "=script");
  if (status == 0) status = bide_call(host, 0, 0);
  if (status != 0) fprintf(stderr, "%s\n", luaL_tolstring(L, 1, NULL));
  return status;
}

int main(void) {
  bide_host *host = bide_new(NULL);
  if (!host) return 1;
  open_printer(bide_lua(host));
  int status = run(host, script);
  if (status == 0) status = run(host, "left = printer()"); /* closed by bide_free */
  bide_free(host);
  return status == 0 ? 0 : 1;
}
