/* SPDX-License-Identifier: MIT */
/* threads.c: threads of the program's own behind an await: a request goes to a worker thread by a
 * queue, its answer comes back by bide_post and fills the future on the loop's thread.
 *
 *     cc -o threads threads.c $(pkg-config --cflags --libs bide)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bide.h>
#include <lauxlib.h>

static const char script[] = "local bide = require 'bide'\n"
                             "local numbers = {}\n"
                             "for i = 1, 20 do numbers[i] = i end\n"
                             "local squares = bide.map(numbers, square)\n"
                             "local sum = 0\n"
                             "for i = 1, 20 do sum = sum + squares[i] end\n"
                             "print('sum of squares', sum)\n"
                             "for i = 1, 20 do\n"
                             "  local t = bide.spawn(square, i)\n"
                             "  bide.sleep(0)\n"
                             "  t:cancel() -- the answer may come later; nobody takes it\n"
                             "end\n";

/* A request belongs to one thread at a time: the loop's, a worker's, the loop's again. */
typedef struct request {
  bide_future *future; /* used on the loop's thread only */
  bide_host *host;
  long in, out;
  struct request *next;
} request;

enum { WORKERS = 4 };

static struct {
  uv_mutex_t mutex;
  uv_cond_t filled;
  request *first, **last;
  int over;
} line;

/* ---- on a worker's thread ---- */

static request *take(void) {
  request *r;
  uv_mutex_lock(&line.mutex);
  while (!line.first && !line.over) uv_cond_wait(&line.filled, &line.mutex);
  r = line.first;
  if (r && !(line.first = r->next)) line.last = &line.first;
  uv_mutex_unlock(&line.mutex);
  return r;
}

static void on_answer(bide_host *host, void *arg);

static void run_worker(void *arg) {
  request *r;
  (void)arg;
  while ((r = take()) != NULL) {
    r->out = r->in * r->in;
    /* Workers end before bide_free begins, so this cannot be refused but for lack of memory. */
    if (bide_post(r->host, on_answer, r) != 0) abort();
  }
}

/* ---- on the loop's thread ---- */

/* The future takes an answer even when nobody waits for it any more. */
static void on_answer(bide_host *host, void *arg) {
  request *r = arg;
  (void)host;
  bide_resolve_integer(r->future, r->out);
  free(r);
}

static int l_square(lua_State *L) {
  long n = (long)luaL_checkinteger(L, 1);
  bide_future *f = bide_future_new(L);
  request *r = malloc(sizeof *r);
  if (!r) {
    bide_reject(f, "ENOMEM", "square", NULL);
    return bide_await(L, f);
  }
  *r = (request){f, bide_host_of(L), n, 0, NULL};
  uv_mutex_lock(&line.mutex);
  *line.last = r;
  line.last = &r->next;
  uv_cond_signal(&line.filled);
  uv_mutex_unlock(&line.mutex);
  return bide_await(L, f); /* the outstanding future keeps the loop alive */
}

static void end_workers(uv_thread_t *workers) {
  uv_mutex_lock(&line.mutex);
  line.over = 1;
  uv_cond_broadcast(&line.filled);
  uv_mutex_unlock(&line.mutex);
  for (int i = 0; i < WORKERS; i++) uv_thread_join(&workers[i]);
}

int main(void) {
  uv_thread_t workers[WORKERS];
  line.last = &line.first;
  uv_mutex_init(&line.mutex);
  uv_cond_init(&line.filled);
  for (int i = 0; i < WORKERS; i++) uv_thread_create(&workers[i], run_worker, NULL);
  bide_host *host = bide_new(NULL);
  if (!host) return 1;
  lua_register(bide_lua(host), "square", l_square);
  int status = bide_load_string(host, script, strlen(script), "=script");
  if (status == 0) status = bide_call(host, 0, 0);
  if (status != 0) fprintf(stderr, "%s\n", luaL_tolstring(bide_lua(host), 1, NULL));
  end_workers(workers); /* all answers are posted now, */
  bide_free(host);      /* and the last of them delivered here */
  return status == 0 ? 0 : 1;
}
