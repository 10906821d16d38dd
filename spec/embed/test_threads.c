/* SPDX-License-Identifier: MIT */
/* test_threads.c: hosts on threads of their own that post to each other. For the thread sanitizer,
 * and for what it cannot see. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

enum { HOSTS = 8, MESSAGES = 200 };

typedef struct post_office {
  uv_mutex_t mutex;
  uv_barrier_t opened, closed;
  bide_host *host[HOSTS];
} post_office;

static post_office office;

typedef struct letter {
  int from, number;
} letter;

/* A message goes into the script's channel by a function that it has registered. */
static void deliver(bide_host *host, void *arg) {
  letter *l = arg;
  lua_State *L = bide_lua(host);
  lua_getglobal(L, "deliver");
  lua_pushinteger(L, l->from);
  lua_pushinteger(L, l->number);
  CHECK(lua_pcall(L, 2, 0, 0) == LUA_OK);
  free(l);
}

static int l_send(lua_State *L) {
  letter *l = malloc(sizeof *l);
  int to = (int)luaL_checkinteger(L, 2);
  l->from = (int)luaL_checkinteger(L, 1);
  l->number = (int)luaL_checkinteger(L, 3);
  CHECK(bide_post(office.host[to], deliver, l) == 0);
  return 0;
}

static const char setup[] = "seen, total = {}, 0\n"
                            "function deliver(from, number)\n"
                            "  assert(number == (seen[from] or 0) + 1)\n"
                            "  seen[from] = number total = total + 1\n"
                            "end\n";

static const char script[] = "local bide = require 'bide'\n"
                             "local me, hosts, messages = ...\n"
                             "for i = 1, messages do\n"
                             "  for to = 0, hosts - 1 do send(me, to, i) end\n"
                             "  if i % 10 == 0 then bide.sleep(0.001) end\n"
                             "end\n"
                             "while total < hosts * messages do bide.sleep(0.001) end\n"
                             "return total\n";

static void run_host(void *arg) {
  int me = (int)(intptr_t)arg;
  bide_host *host = bide_new(NULL);
  lua_State *L = bide_lua(host);
  lua_register(L, "send", l_send);
  CHECK(run_script(host, setup) == 0);
  office.host[me] = host;
  uv_barrier_wait(&office.opened);
  CHECK(bide_load_string(host, script, strlen(script), "=script") == 0);
  lua_pushinteger(L, me);
  lua_pushinteger(L, HOSTS);
  lua_pushinteger(L, MESSAGES);
  CHECK(bide_call(host, 3, 1) == 0);
  CHECK(lua_tointeger(L, -1) == HOSTS * MESSAGES);
  lua_settop(L, 0);
  uv_barrier_wait(&office.closed); /* nobody posts any more */
  bide_free(host);
}

static void eight_hosts_post_to_each_other(void) {
  uv_thread_t threads[HOSTS];
  int i;
  uv_barrier_init(&office.opened, HOSTS);
  uv_barrier_init(&office.closed, HOSTS);
  for (i = 0; i < HOSTS; i++) uv_thread_create(&threads[i], run_host, (void *)(intptr_t)i);
  for (i = 0; i < HOSTS; i++) uv_thread_join(&threads[i]);
  uv_barrier_destroy(&office.opened);
  uv_barrier_destroy(&office.closed);
}

static void run_short_hosts(void *arg) {
  int i;
  (void)arg;
  for (i = 0; i < 20; i++) {
    bide_options o = BIDE_OPTIONS;
    bide_host *host;
    o.cpu_budget = 10; /* each with a timer of its own on the one signal */
    o.memory_limit = 4 << 20;
    host = bide_new(&o);
    CHECK(run_script(host, "local bide = require 'bide' local function f() bide.sleep(0.001) end\n"
                           "bide.gather(f, f, f) return 1") == 0);
    bide_free(host);
  }
}

static void hosts_come_and_go_on_all_threads(void) {
  uv_thread_t threads[HOSTS];
  int i;
  for (i = 0; i < HOSTS; i++) uv_thread_create(&threads[i], run_short_hosts, NULL);
  for (i = 0; i < HOSTS; i++) uv_thread_join(&threads[i]);
}

typedef struct stop {
  bide_host *host;
  uv_sem_t ready;
} stop;

static void run_stopper(void *arg) {
  stop *s = arg;
  uv_sem_wait(&s->ready);
  bide_interrupt(s->host);
}

static int l_ready(lua_State *L) {
  uv_sem_post(lua_touserdata(L, lua_upvalueindex(1)));
  return 0;
}

/* A host moves from thread to thread; the interrupt finds it where it is. */
static void interrupts_find_the_thread(void) {
  bide_options o = BIDE_OPTIONS;
  stop s;
  int i;
  o.interruptible = 1;
  s.host = bide_new(&o);
  uv_sem_init(&s.ready, 0);
  lua_pushlightuserdata(bide_lua(s.host), &s.ready);
  lua_pushcclosure(bide_lua(s.host), l_ready, 1);
  lua_setglobal(bide_lua(s.host), "ready");
  for (i = 0; i < 20; i++) {
    uv_thread_t thread;
    uv_thread_create(&thread, run_stopper, &s);
    CHECK(run_script(s.host, "ready() while true do require 'bide'.sleep(0.001) end") ==
          BIDE_STOPPED);
    uv_thread_join(&thread);
  }
  bide_free(s.host);
  uv_sem_destroy(&s.ready);
}

/* ---- a host that is freed while others post to it ---- */

typedef struct poster {
  bide_host *host;
  uv_thread_t thread;
  int accepted;
} poster;

static poster posters[HOSTS];
static int delivered;

static void count_call(bide_host *host, void *arg) {
  (void)host;
  (void)arg;
  delivered++;
}

static void post_until_refused(void *arg) {
  poster *p = arg;
  while (bide_post(p->host, count_call, NULL) == 0) p->accepted++;
}

/* A finalizer: the host refuses posts by now, but still exists. */
static int l_join(lua_State *L) {
  int i;
  (void)L;
  for (i = 0; i < HOSTS; i++) uv_thread_join(&posters[i].thread);
  return 0;
}

static void posts_meet_the_end_of_the_host(void) {
  int i, accepted = 0;
  bide_host *host = bide_new(NULL);
  lua_register(bide_lua(host), "join", l_join);
  CHECK(run_script(host, "keep = setmetatable({}, {__gc = join})") == 0);
  delivered = 0;
  for (i = 0; i < HOSTS; i++) {
    posters[i] = (poster){.host = host};
    uv_thread_create(&posters[i].thread, post_until_refused, &posters[i]);
  }
  CHECK(run_script(host, "require 'bide'.sleep(0.005)") == 0);
  bide_free(host);
  for (i = 0; i < HOSTS; i++) accepted += posters[i].accepted;
  CHECK(delivered == accepted); /* what was not refused has run, once */
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"eight_hosts_post_to_each_other", eight_hosts_post_to_each_other},
      {"hosts_come_and_go_on_all_threads", hosts_come_and_go_on_all_threads},
      {"interrupts_find_the_thread", interrupts_find_the_thread},
      {"posts_meet_the_end_of_the_host", posts_meet_the_end_of_the_host},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
