/* SPDX-License-Identifier: MIT */
/* test_future.c: C functions that wait, in all the ways in which their two ends can let go. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

static bide_future *made; /* by the last l_wait */
static int cancelled, dropped, pushed;
static int hook_drops; /* the cancel hook drops the future itself */

static void on_cancel(bide_future *f, void *arg) {
  cancelled++;
  CHECK(arg == &cancelled);
  if (hook_drops) bide_future_drop(f);
}

static int l_wait(lua_State *L) {
  made = bide_future_new(L);
  bide_future_on_cancel(made, on_cancel, &cancelled);
  return bide_await(L, made);
}

/* Makes a future that is awaited later, by another function. */
static int l_begin(lua_State *L) {
  made = bide_future_new(L);
  bide_future_on_cancel(made, on_cancel, &cancelled);
  return 0;
}

static int l_finish(lua_State *L) {
  return bide_await(L, made);
}

static int l_forget(lua_State *L) {
  (void)L;
  bide_future_forget(made);
  return 0;
}

static int l_fill(lua_State *L) {
  bide_resolve_integer(made, luaL_optinteger(L, 1, 7));
  return 0;
}

static void on_drop(void *arg) {
  (void)arg;
  dropped++;
}

static int push_two(lua_State *L, void *arg) {
  pushed++;
  lua_pushstring(L, arg);
  lua_pushliteral(L, "two");
  return 2;
}

static int push_error(lua_State *L, void *arg) {
  return luaL_error(L, "%s", (const char *)arg);
}

/* Work on the pool. */
typedef struct sum {
  int from, to;
  long total;
  int fails;
} sum;

static void add_up(void *arg) {
  sum *s = arg;
  int i;
  for (i = s->from; i <= s->to; i++) s->total += i;
  usleep(2000);
}

static int push_sum(lua_State *L, void *arg) {
  const sum *s = arg;
  if (s->fails) return luaL_error(L, "no sum");
  lua_pushinteger(L, s->total);
  return 1;
}

static void drop_sum(void *arg) {
  dropped++;
  free(arg);
}

static const bide_job sum_job = {add_up, push_sum, NULL, drop_sum};

static int l_sum(lua_State *L) {
  sum *s = calloc(1, sizeof *s);
  s->from = 1;
  s->to = (int)lua_tointeger(L, 1);
  s->fails = lua_toboolean(L, 2);
  return bide_work(L, &sum_job, s);
}

static bide_host *begin(held *h) {
  bide_host *host = begin_host(NULL, h);
  lua_State *L = bide_lua(host);
  made = NULL;
  cancelled = dropped = pushed = hook_drops = 0;
  lua_register(L, "wait", l_wait);
  lua_register(L, "begin", l_begin);
  lua_register(L, "finish", l_finish);
  lua_register(L, "forget", l_forget);
  lua_register(L, "fill", l_fill);
  CHECK(luaL_dostring(L, "bide = require 'bide'") == 0);
  return host;
}

/* ---- filling ---- */

static void fill_in_all_ways(void) {
  static const char *const expected[] = {
      "one,two,3",
      "nil,nil,1",
      "5,nil,2",
      "bytes,nil,2",
      "try it (EWHY),nil,2",
      "await: the C function dropped its future (EDEADLK),nil,2",
      "from push,nil,2",
  };
  held h;
  size_t i;
  for (i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    bide_host *host = begin(&h);
    CHECK(spawn_script(host, "result = (function() local list = {pcall(wait)} return "
                             "tostring(list[2]) .. \",\" .. tostring(list[3]) .. \",\" .. #list "
                             "end)()") == 0);
    CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
    switch (i) {
    case 0: bide_resolve(made, push_two, (void *)"one", on_drop); break;
    case 1: bide_resolve_nothing(made); break;
    case 2: bide_resolve_integer(made, 5); break;
    case 3: bide_resolve_string(made, "bytes\0more", 5); break;
    case 4: bide_reject(made, "EWHY", "try", "try it"); break;
    case 5: bide_future_drop(made); break;
    default: bide_resolve(made, push_error, (void *)"from push", on_drop); break;
    }
    CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
    lua_settop(bide_lua(host), 0);
    lua_getglobal(bide_lua(host), "result");
    CHECK_STR(result(host), expected[i]);
    CHECK(dropped == 0 && cancelled == 0 && reports == 0);
    end_host(host, &h);
  }
}

static void fill_before_the_await(void) {
  held h;
  bide_host *host = begin(&h);
  CHECK(run_script(host, "begin() fill(3) bide.sleep(0) return finish()") == 0);
  CHECK_STR(result(host), "3");
  CHECK(run_script(host, "begin() fill(3) forget()") == 0);
  CHECK(run_script(host, "begin() forget() fill(3)") == 0);
  CHECK(cancelled == 1);
  end_host(host, &h);
}

static int l_fill_twice(lua_State *L) {
  (void)L;
  bide_resolve_integer(made, 1);
  bide_resolve_integer(made, 2);
  bide_resolve_string(made, "three", 5);
  bide_reject(made, "EFOUR", NULL, NULL);
  bide_future_drop(made);
  return 0;
}

/* While it has not been continued, it is still there. */
static void the_first_to_fill_counts(void) {
  held h;
  bide_host *host = begin(&h);
  lua_register(bide_lua(host), "fill_twice", l_fill_twice);
  CHECK(run_script(host, "local t = bide.spawn(wait) bide.sleep(0) fill_twice()\n"
                         "return t:await()") == 0);
  CHECK_STR(result(host), "1");
  end_host(host, &h);
}

static void await_twice_raises(void) {
  held h;
  bide_host *host = begin(&h);
  CHECK(run_script(host,
                   "local t = bide.spawn(wait) bide.sleep(0)\n"
                   "local ok, err = pcall(finish) fill(4)\n"
                   "assert(not ok and err:find 'awaited already', err) return t:await()") == 0);
  CHECK_STR(result(host), "4");
  end_host(host, &h);
}

static void await_where_lua_cannot_yield(void) {
  held h;
  bide_host *host = begin(&h);
  CHECK(run_script(host, "begin()\n"
                         "local t = setmetatable({}, {__index = function() finish() end})\n"
                         "local ok, err = pcall(table.concat, t, '', 1, 2) fill()\n"
                         "assert(not ok and err.code == 'ENOYIELD', tostring(err))") == 0);
  CHECK(cancelled == 1);
  CHECK(run_script(host, "local ok, err = pcall(bide.run, function() end) assert(ok)") == 0);
  CHECK(luaL_dostring(bide_lua(host), "wait()") != 0); /* outside of a run */
  end_host(host, &h);
}

/* Lua calls a handler of errors once more for the error that is raised in it: a wait then has that
 * error as its result, so that it ends. */
static void await_in_a_handler_of_errors(void) {
  held h;
  bide_host *host = begin(&h);
  hook_drops = 1;
  lua_register(bide_lua(host), "sum", l_sum);
  CHECK(run_script(host, "local n = 0 begin()\n"
                         "xpcall(error, function() n = n + 1 if n == 1 then finish() end end)\n"
                         "return n") == 0);
  CHECK_STR(result(host), "2");
  CHECK(cancelled == 1);
  CHECK(run_script(host, "local n = 0\n"
                         "local _, err = xpcall(error, function() n = n + 1 return sum(1) end)\n"
                         "assert(n == 2 and err.op == 'work') return err") == 0);
  CHECK_STR(result(host), "ENOYIELD");
  CHECK(dropped == 2);
  end_host(host, &h);
}

/* ---- cancelling ---- */

static void cancel_calls_the_hook_once(void) {
  held h;
  bide_host *host = begin(&h);
  CHECK(run_script(host, "local t = bide.spawn(wait) bide.sleep(0)\n"
                         "t:cancel() t:cancel() local ok, err = pcall(t.await, t)\n"
                         "return err") == 0);
  CHECK_STR(result(host), "ECANCELED");
  CHECK(cancelled == 1);
  /* filled after it: the value is dropped, not pushed */
  bide_resolve(made, push_two, NULL, on_drop);
  CHECK(dropped == 1 && pushed == 0);
  hook_drops = 1;
  CHECK(run_script(host, "local t = bide.spawn(wait) bide.sleep(0) t:cancel()\n"
                         "pcall(t.await, t) return t:status()") == 0);
  CHECK_STR(result(host), "cancelled");
  CHECK(cancelled == 2);
  end_host(host, &h);
}

static void await_in_a_cancelled_task(void) {
  held h;
  bide_host *host = begin(&h);
  hook_drops = 1;
  CHECK(run_script(host, "local n = 0\n"
                         "local t = bide.spawn(function()\n"
                         "  pcall(bide.sleep, 60)\n"
                         "  for i = 1, 3 do if not pcall(wait) then n = n + 1 end end\n"
                         "end) bide.sleep(0) t:cancel() pcall(t.await, t) return n") == 0);
  CHECK_STR(result(host), "3");
  CHECK(cancelled == 3);
  end_host(host, &h);
}

static void completion_beats_cancellation(void) {
  held h;
  bide_host *host = begin(&h);
  CHECK(run_script(host, "local t = bide.spawn(function() return wait() end) bide.sleep(0)\n"
                         "fill(9) t:cancel() return t:await()") == 0);
  CHECK_STR(result(host), "9");
  CHECK(cancelled == 0);
  end_host(host, &h);
}

/* ---- hosts that go first ---- */

static void host_freed_while_awaited(void) {
  held h;
  bide_host *host = begin(&h);
  CHECK(spawn_script(host, "wait()") == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
  end_host(host, &h);
  CHECK(cancelled == 1);
  bide_resolve(made, push_two, NULL, on_drop); /* late: frees it */
  CHECK(dropped == 1 && pushed == 0);
}

static void host_freed_before_the_await(void) {
  held h;
  bide_host *host = begin(&h);
  CHECK(spawn_script(host, "begin()") == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 0);
  end_host(host, &h);
  CHECK(cancelled == 1);
  bide_future_drop(made);
  host = begin(&h);
  CHECK(spawn_script(host, "begin() fill()") == 0); /* filled, never awaited */
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  end_host(host, &h);
  CHECK(cancelled == 0);
}

/* ---- work on the pool ---- */

static void work_on_the_pool(void) {
  held h;
  bide_host *host = begin(&h);
  lua_register(bide_lua(host), "sum", l_sum);
  CHECK(run_script(host, "local function of(n) return function() return sum(n) end end\n"
                         "local a, b = bide.gather(of(100), of(10)) return a * 1000 + b") == 0);
  CHECK_STR(result(host), "5050055");
  CHECK(dropped == 2);
  CHECK(run_script(host, "local ok, err = pcall(sum, 1, true) return err") == 0);
  CHECK(strstr(result(host), "no sum") != NULL && dropped == 3);
  CHECK(luaL_dostring(bide_lua(host), "sum(1)") != 0); /* outside of a run */
  CHECK(dropped == 4);
  CHECK(run_script(host, "local t = {} for i = 1, 20 do t[i] = bide.spawn(sum, i) end\n"
                         "bide.sleep(0) for i = 1, 20 do t[i]:cancel() end\n"
                         "local ok, err = pcall(t[20].await, t[20]) return err") == 0);
  CHECK_STR(result(host), "ECANCELED");
  CHECK(spawn_script(host, "for i = 1, 20 do bide.spawn(sum, i) end") == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) > 0);
  end_host(host, &h); /* waits for what has begun */
  CHECK(dropped == 44);
}

/* Work that ends early when it is told to, as a query of a database can. */
typedef struct patient {
  uv_sem_t begun, stop;
  int stopped;
} patient;

static void wait_for_stop(void *arg) {
  patient *p = arg;
  uv_sem_post(&p->begun);
  uv_sem_wait(&p->stop);
}

static void stop_waiting(void *arg) {
  patient *p = arg;
  p->stopped++;
  uv_sem_post(&p->stop);
}

static void drop_patient(void *arg) {
  (void)arg;
  dropped++;
}

static patient waiting;

static int l_patient(lua_State *L) {
  static const bide_job job = {wait_for_stop, NULL, stop_waiting, drop_patient};
  return bide_work(L, &job, &waiting);
}

static void begin_waiting(bide_host *host) {
  uv_sem_init(&waiting.begun, 0);
  uv_sem_init(&waiting.stop, 0);
  waiting.stopped = dropped = 0;
  CHECK(spawn_script(host, "patient()") == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
  uv_sem_wait(&waiting.begun);
}

static void end_waiting(void) {
  CHECK(waiting.stopped == 1 && dropped == 1);
  uv_sem_destroy(&waiting.begun);
  uv_sem_destroy(&waiting.stop);
}

/* The task is free at once; the host waits for the work, which its hook ends. */
static void work_is_told_to_end_early(void) {
  held h;
  bide_host *host = begin(&h);
  lua_register(bide_lua(host), "patient", l_patient);
  begin_waiting(host);
  CHECK(bide_cancel_task(host, 1) == 1);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  while (!dropped) uv_run(bide_loop(host), UV_RUN_ONCE);
  end_waiting();
  begin_waiting(host);
  end_host(host, &h);
  end_waiting();
}

/* ---- posting ---- */

static int calls;

static void on_post(bide_host *host, void *arg) {
  CHECK(bide_lua(host) != NULL);
  CHECK(calls == *(int *)arg);
  calls++;
}

static void run_poster(void *arg) {
  static int order[100];
  int i;
  for (i = 0; i < 100; i++) {
    order[i] = i;
    CHECK(bide_post(arg, on_post, &order[i]) == 0);
  }
}

static void post_from_a_thread(void) {
  held h;
  uv_thread_t thread;
  bide_host *host = begin(&h);
  calls = 0;
  CHECK(spawn_script(host, "bide.sleep(0.05)") == 0);
  uv_thread_create(&thread, run_poster, host);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  uv_thread_join(&thread);
  CHECK(calls == 100);
  calls = 0;
  run_poster(host); /* not run by a loop any more: bide_free does */
  end_host(host, &h);
  CHECK(calls == 100);
}

static void on_late_post(bide_host *host, void *arg) {
  (void)host;
  (void)arg;
  CHECK(0);
}

static int l_post_late(lua_State *L) {
  CHECK(bide_post(bide_host_of(L), on_late_post, NULL) == UV_ECANCELED);
  calls++;
  return 0;
}

static void post_to_a_host_being_freed(void) {
  held h;
  bide_host *host = begin(&h);
  calls = 0;
  lua_register(bide_lua(host), "post_late", l_post_late);
  CHECK(run_script(host, "keep = setmetatable({}, {__gc = post_late})") == 0);
  end_host(host, &h);
  CHECK(calls == 1);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"fill_in_all_ways", fill_in_all_ways},
      {"fill_before_the_await", fill_before_the_await},
      {"the_first_to_fill_counts", the_first_to_fill_counts},
      {"await_twice_raises", await_twice_raises},
      {"await_where_lua_cannot_yield", await_where_lua_cannot_yield},
      {"await_in_a_handler_of_errors", await_in_a_handler_of_errors},
      {"cancel_calls_the_hook_once", cancel_calls_the_hook_once},
      {"await_in_a_cancelled_task", await_in_a_cancelled_task},
      {"completion_beats_cancellation", completion_beats_cancellation},
      {"host_freed_while_awaited", host_freed_while_awaited},
      {"host_freed_before_the_await", host_freed_before_the_await},
      {"work_on_the_pool", work_on_the_pool},
      {"work_is_told_to_end_early", work_is_told_to_end_early},
      {"post_from_a_thread", post_from_a_thread},
      {"post_to_a_host_being_freed", post_to_a_host_being_freed},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
