/* SPDX-License-Identifier: MIT */
/* test_alloc.c: what does not allocate once it is warm: sleeping, waking, awaiting what is there,
 * waiting in a coroutine, handing over through a channel; a lock or semaphore only its guard. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

static lua_Integer calls; /* of the allocator that ask for memory */

static void *counting_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  (void)ud;
  (void)osize;
  if (nsize == 0) {
    free(p);
    return NULL;
  }
  calls++;
  return realloc(p, nsize);
}

static int l_calls(lua_State *L) {
  lua_pushinteger(L, calls);
  return 1;
}

/* Runs `body` as the function `step(n)` once to warm up and once to count; the collector rests.
 * `expected`: how many calls of the allocator a thousand steps make. */
static void allocates(const char *body, const char *expected) {
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.alloc = counting_alloc;
  host = bide_new(&o);
  lua_register(bide_lua(host), "calls", l_calls);
  lua_pushfstring(bide_lua(host),
                  "local bide = require 'bide'\n"
                  "local calls, n, before, after = calls, 1000\n"
                  "collectgarbage 'stop'\n"
                  "%s\n"
                  "step(n) before = calls() step(n) after = calls()\n"
                  "return after - before",
                  body);
  CHECK(run_script(host, lua_tostring(bide_lua(host), -1)) == 0);
  CHECK_STR(result(host), expected);
  bide_free(host);
}

static void allocates_nothing(const char *body) {
  allocates(body, "0");
}

static void sleeping(void) {
  allocates_nothing("local function step(n) for _ = 1, n // 100 do bide.sleep(0.0001) end end");
}

static void a_turn_of_the_others(void) {
  allocates_nothing("local function step(n) for _ = 1, n do bide.sleep(0) end end");
}

static void awaiting_what_is_there(void) {
  allocates_nothing("local f = bide.future() f:resolve(1, 2)\n"
                    "local function step(n) for _ = 1, n do f:await() end end");
}

static void waking_a_task(void) {
  allocates_nothing("local n_done, fs = 0, {}\n"
                    "for i = 1, 2100 do fs[i] = bide.future() end\n"
                    "local at = 0\n"
                    "bide.daemon(function() for i = 1, #fs do fs[i]:await() n_done = i end end)\n"
                    "bide.sleep(0)\n"
                    "local function step(n)\n"
                    "  for _ = 1, n do at = at + 1 fs[at]:resolve() bide.sleep(0) end\n"
                    "  assert(n_done == at)\n"
                    "end");
}

static void waiting_in_a_coroutine(void) {
  allocates_nothing("local co = coroutine.wrap(function()\n"
                    "  while true do bide.sleep(0) coroutine.yield(1) end end)\n"
                    "local function step(n) for _ = 1, n do co() end end");
}

/* Each value is received before the next is sent; then through a buffer; then with both sides of
 * the hand-over in a select. */
static void handing_over(void) {
  allocates_nothing(
      "local ch = bide.channel()\n"
      "bide.daemon(function() local i = 0 while true do i = i + 1 ch:send(i) end end)\n"
      "local function step(n) for _ = 1, n do ch:recv() end end");
  allocates_nothing("local ch = bide.channel()\n"
                    "bide.daemon(function() while true do ch:recv() end end)\n"
                    "local function step(n) for i = 1, n do ch:send(i) end end");
  allocates_nothing("local ch, sum = bide.channel(16), 0\n"
                    "bide.daemon(function() for v in ch do sum = sum + v end end)\n"
                    "local function step(n) for i = 1, n do ch:send(i) end end");
  allocates_nothing("local ch = bide.channel(math.huge)\n"
                    "local function step(n)\n"
                    "  for i = 1, n do ch:try_send(i) end\n"
                    "  for _ = 1, n do ch:recv() end\n"
                    "end");
}

static void handing_over_among_many(void) {
  allocates_nothing(
      "local a, b = bide.channel(), bide.channel()\n"
      "for i = 1, 10 do\n"
      "  bide.daemon(function() for v in a do b:send(v) end end)\n"
      "end\n"
      "bide.daemon(function() local i = 0 while true do i = i + 1 a:send(i) end end)\n"
      "local function step(n) for _ = 1, n do b:recv() end end");
}

static void waiting_for_an_event(void) {
  allocates_nothing("local e = bide.event()\n"
                    "bide.daemon(function() while true do e:set() bide.sleep(0) end end)\n"
                    "local function step(n) for _ = 1, n do e:clear() e:wait() end end");
}

/* What is allocated is the guard, one for each acquire, that has to wait or not. */
static void acquiring(void) {
  static const char hand_over[] =
      "local lock = bide.%s\n"
      "local function hold() local g <close> = lock:acquire() bide.sleep(0) end\n"
      "bide.daemon(function() while true do hold() end end)\n"
      "local function step(n) for _ = 1, n // 2 do hold() end end";
  char body[sizeof hand_over + 32];
  allocates("local lock = bide.lock()\n"
            "local function step(n) for _ = 1, n do lock:acquire():release() end end",
            "1000");
  snprintf(body, sizeof body, hand_over, "lock()");
  allocates(body, "1000");
  snprintf(body, sizeof body, hand_over, "semaphore(1)");
  allocates(body, "1000");
}

/* The guard is the notifier's. */
static void waiting_for_a_condition(void) {
  allocates("local c = bide.condition()\n"
            "bide.daemon(function()\n"
            "  while true do c:with(c.notify, c) bide.sleep(0) end end)\n"
            "local g = c:acquire()\n"
            "local function step(n) for _ = 1, n do c:wait() end end",
            "1000");
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"sleeping", sleeping},
      {"a turn of the others", a_turn_of_the_others},
      {"awaiting what is there", awaiting_what_is_there},
      {"waking a task", waking_a_task},
      {"waiting in a coroutine", waiting_in_a_coroutine},
      {"handing over", handing_over},
      {"handing over among many", handing_over_among_many},
      {"waiting for an event", waiting_for_an_event},
      {"acquiring", acquiring},
      {"waiting for a condition", waiting_for_a_condition},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
