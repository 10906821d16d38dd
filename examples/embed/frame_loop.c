/* SPDX-License-Identifier: MIT */
/* frame_loop.c: a game: 60 frames a second, of which the scripts get 2 ms each. What they do not
 * finish they do in the next frames; one that computes without a wait is suspended in mid-code.
 *
 *     cc -o frame_loop frame_loop.c $(pkg-config --cflags --libs bide)
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bide.h>

static const char script[] = "local bide = require 'bide'\n"
                             "local paths = 0\n"
                             "-- an actor: thinks a little in each frame\n"
                             "for i = 1, 200 do bide.spawn(function()\n"
                             "  for step = 1, 10 do\n"
                             "    local x = 0\n"
                             "    for k = 1, 2000 do x = x + k % 7 end\n"
                             "    next_frame()\n"
                             "  end\n"
                             "end) end\n"
                             "-- a search through the whole map: 500 ms in one go\n"
                             "local past = os.clock() + 0.5\n"
                             "while os.clock() < past do paths = paths + 1 end\n"
                             "return paths > 0\n";

enum { BUDGET_US = 2000, FRAME_US = 16667 };

/* Tasks that wait for the next frame. A future has a place for what C wants to link it by. */
typedef struct waiting {
  bide_future *future;
  struct waiting *next;
} waiting;

static waiting *first, spare[4096];
static int used;

/* The actor may be cancelled while it waits: its future is dropped, the slot goes on empty. */
static void on_cancel(bide_future *future, void *arg) {
  ((waiting *)arg)->future = NULL;
  bide_future_drop(future);
}

static int l_next_frame(lua_State *L) {
  if (used == (int)(sizeof spare / sizeof spare[0]))
    return bide_raise(L, "ENOSPC", "next_frame", "too many wait for the next frame");
  bide_future *future = bide_future_new(L); /* may raise: before anything is linked */
  waiting *w = &spare[used++];
  *w = (waiting){future, first};
  first = w;
  bide_future_on_cancel(future, on_cancel, w);
  return bide_await(L, future);
}

static void begin_frame(void) {
  waiting *w = first;
  first = NULL;
  used = 0;
  for (; w; w = w->next)
    if (w->future) bide_resolve_nothing(w->future);
}

/* Time of this thread: what other programs take of the frame is not the scripts' doing. */
static double busy_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(void) {
  bide_options options = BIDE_OPTIONS;
  options.cpu_slice = BUDGET_US / 1e6; /* nobody computes for longer in one go */
  bide_host *host = bide_new(&options);
  if (!host) return 1;
  lua_register(bide_lua(host), "next_frame", l_next_frame);
  if (bide_load_string(host, script, strlen(script), "=script") != 0) return 1;
  if (bide_spawn(host, 0) != 0) return 1;
  int frames = 0, late = 0, left;
  do {
    double start = busy_us();
    begin_frame();
    left = bide_step(host, BUDGET_US / 1e6);
    if (busy_us() - start > FRAME_US) late++;
    frames++;
    /* here the game would draw, and wait for the screen */
  } while (left > 0 && frames < 5000);
  printf("the scripts took many frames: %s\n", frames > 20 ? "yes" : "no");
  printf("and left time to draw in most: %s\n", late <= frames / 10 ? "yes" : "no");
  printf("%d tasks left, result %s\n", left,
         bide_result(host, 1) == 1 && lua_toboolean(bide_lua(host), -1) ? "true" : "missing");
  bide_free(host);
  return 0;
}
