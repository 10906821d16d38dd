/* SPDX-License-Identifier: MIT */
/* test_options.c: what bide_new does with its options, and what C reads of tasks and errors. What
 * it refuses is in test_refusals.c. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

static int told; /* calls of what a test hands in */

static void version_of_header_and_library(void) {
  char text[40];
  snprintf(text, sizeof text, "%d.%d.%d", BIDE_VERSION_MAJOR, BIDE_VERSION_MINOR,
           BIDE_VERSION_PATCH);
  CHECK_STR(bide_version(), BIDE_VERSION);
  CHECK_STR(text, BIDE_VERSION);
}

/* ---- libraries ---- */

static const char *libs_of(const char *libs) {
  static char names[200];
  bide_options o = BIDE_OPTIONS;
  held h;
  bide_host *host;
  o.libs = libs;
  host = begin_host(&o, &h);
  CHECK(run_script(host, "local names = ''\n"
                         "for _, name in pairs{'coroutine', 'package', 'table', 'io', 'os',\n"
                         "    'string', 'math', 'utf8', 'debug'} do\n"
                         "  if _G[name] then names = names .. name .. ' ' end\n"
                         "end\n"
                         "local bide = require 'bide' bide.sleep(0)\n"
                         "return names") == 0);
  snprintf(names, sizeof names, "%s", result(host));
  end_host(host, &h);
  return names;
}

static void opens_the_libraries_it_is_told(void) {
  CHECK_STR(libs_of(NULL), "coroutine package table io os string math utf8 debug ");
  CHECK_STR(libs_of(""), "coroutine package ");
  CHECK_STR(libs_of(" utf8  table"), "coroutine package table utf8 ");
}

/* Bide's own modules run on those that the header names. */
static void bides_modules_need_few_libraries(void) {
  bide_options o = BIDE_OPTIONS;
  held h;
  bide_host *host;
  o.libs = "string table math os";
  host = begin_host(&o, &h);
  CHECK(run_script(host,
                   "local bide = require 'bide' assert(io == nil and debug == nil)\n"
                   "local s = bide.http.serve({port = 0}, function(req) return req.body end)\n"
                   "local _, port = s:address()\n"
                   "local res = bide.http.post('http://127.0.0.1:' .. port, {body = 'echo'})\n"
                   "s:close() require 'bide.socket'.tcp():close() return res.body") == 0);
  CHECK_STR(result(host), "echo");
  end_host(host, &h);
}

/* A caller that was built with an older header knows of fewer options. */
static void takes_options_of_an_older_header(void) {
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.size = offsetof(bide_options, libs);
  o.libs = "not looked at";
  host = bide_new(&o);
  CHECK(host != NULL);
  bide_free(host);
}

static void frees_nothing(void) {
  bide_free(NULL);
}

/* ---- loading ---- */

static char code[2000]; /* of a function that returns 7 */
static size_t code_size;

static int keep_code(lua_State *L, const void *p, size_t size, void *ud) {
  (void)L;
  (void)ud;
  if (code_size + size > sizeof code) return 1;
  memcpy(code + code_size, p, size);
  code_size += size;
  return 0;
}

static int load_as_file(bide_host *host) {
  char path[] = "/tmp/bide-code-XXXXXX";
  int fd = mkstemp(path), status;
  CHECK(fd >= 0 && write(fd, code, code_size) == (ssize_t)code_size);
  status = bide_load_file(host, path);
  close(fd);
  unlink(path);
  return status;
}

static void bytecode_is_not_for_a_sandbox(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host = begin_host(NULL, &h);
  code_size = 0;
  CHECK(luaL_loadstring(bide_lua(host), "return 7") == 0);
  CHECK(lua_dump(bide_lua(host), keep_code, NULL, 1) == 0);
  CHECK(bide_load_string(host, code, code_size, "=code") == 0);
  CHECK(load_as_file(host) == 0);
  CHECK(bide_call(host, 0, 1) == 0 && lua_tointeger(bide_lua(host), -1) == 7);
  end_host(host, &h);
  o.sandbox = 1;
  host = begin_host(&o, &h);
  CHECK(bide_load_string(host, code, code_size, "=code") == BIDE_ERROR);
  CHECK(strstr(lua_tostring(bide_lua(host), -1), "binary chunk") != NULL);
  CHECK(load_as_file(host) == BIDE_ERROR);
  CHECK(strstr(lua_tostring(bide_lua(host), -1), "binary chunk") != NULL);
  CHECK(run_script(host, "return 'text'") == 0);
  CHECK_STR(result(host), "text");
  end_host(host, &h);
}

/* ---- results and errors ---- */

static void reads_results_of_tasks(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  lua_State *L = bide_lua(host);
  CHECK(spawn_script(host, "require 'bide'.sleep(0) return 1, nil, 'three'") == 0);
  CHECK(bide_result(host, -1) == UV_EAGAIN);
  CHECK(lua_gettop(L) == 1);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(bide_result(host, 1) == 3);
  CHECK(lua_gettop(L) == 4 && lua_tointeger(L, 2) == 1 && lua_isnil(L, 3));
  CHECK_STR(lua_tostring(L, 4), "three");
  CHECK(bide_result(host, 1) == 3); /* once more */
  lua_settop(L, 0);
  lua_pushinteger(L, 5);
  CHECK(bide_result(host, -1) == UV_EINVAL);
  end_host(host, &h);
}

static void on_failed(bide_host *host, int ok, void *arg) {
  CHECK(!ok);
  CHECK(bide_result(host, 1) == BIDE_ERROR);
  CHECK_STR(lua_tostring(bide_lua(host), -1), "wrong");
  *(int *)arg = 1;
}

/* Who reads the error has handled it. */
static void reads_errors_of_tasks(void) {
  held h;
  int seen = 0;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, "error('wrong', 0)") == 0);
  CHECK(bide_on_done(host, 1, on_failed, &seen) == 0);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(seen && bide_unhandled(host) == 0 && reports == 0);
  end_host(host, &h);
}

static void cancels_one_task(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  lua_State *L = bide_lua(host);
  CHECK(spawn_script(host, "require 'bide'.sleep(60)") == 0);
  CHECK(luaL_loadstring(L, "require 'bide'.sleep(0.01) return 'other'") == 0);
  CHECK(bide_spawn(host, 0) == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 2);
  CHECK(bide_cancel_task(host, 1) == 1);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(bide_cancel_task(host, 1) == 0);
  CHECK(bide_result(host, 2) == 1);
  CHECK_STR(lua_tostring(L, -1), "other");
  CHECK(bide_result(host, 1) == BIDE_ERROR);
  lua_getfield(L, -1, "code");
  CHECK_STR(lua_tostring(L, -1), "ECANCELED");
  CHECK(bide_cancel_task(host, -1) == UV_EINVAL);
  end_host(host, &h);
}

static int l_raise(lua_State *L) {
  return bide_raise(L, luaL_checkstring(L, 1), luaL_optstring(L, 2, NULL),
                    luaL_optstring(L, 3, NULL));
}

static void raises_errors_with_a_code(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  lua_register(bide_lua(host), "raise", l_raise);
  CHECK(run_script(host, "local bide = require 'bide'\n"
                         "local ok, err = pcall(raise, 'EIO', 'read', 'short read')\n"
                         "assert(getmetatable(err) == getmetatable(select(2, pcall(\n"
                         "  bide.timeout, 0, bide.sleep, 1))))\n"
                         "local ok, bare = pcall(raise, 'EIO')\n"
                         "return tostring(err) .. ', ' .. tostring(bare)") == 0);
  CHECK_STR(result(host), "read: short read (EIO), EIO (EIO)");
  end_host(host, &h);
}

/* ---- the caller's pointer ---- */

static char mine;

static void read_data(void *host) {
  CHECK(bide_data(host) == &mine);
  bide_set_data(host, NULL);
}

static int l_check_data(lua_State *L) {
  CHECK(bide_data(bide_host_of(L)) == &mine);
  told++;
  return 0;
}

/* Of any thread's, and as long as the host's. */
static void keeps_a_pointer(void) {
  held h;
  uv_thread_t thread;
  bide_host *host = begin_host(NULL, &h);
  CHECK(bide_data(host) == NULL);
  bide_set_data(host, &mine);
  CHECK(uv_thread_create(&thread, read_data, host) == 0);
  uv_thread_join(&thread);
  CHECK(bide_data(host) == NULL);
  bide_set_data(host, &mine);
  told = 0;
  lua_register(bide_lua(host), "check_data", l_check_data);
  CHECK(run_script(host, "check_data() keep = setmetatable({}, {__gc = check_data})") == 0);
  end_host(host, &h);
  CHECK(told == 2);
}

/* ---- what cannot be done ---- */

static int lacking; /* memory, for whatever would grow */

static void *lacking_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  if (nsize > 0 && lacking && (!p || nsize > osize)) return NULL;
  return held_alloc(ud, p, osize, nsize);
}

static void on_report(void *ud, const char *message) {
  (void)ud;
  reports++;
  snprintf(last_report, sizeof last_report, "%s", message);
}

static void tells_of_lacking_memory(void) {
  bide_options o = BIDE_OPTIONS;
  held h = {0};
  bide_host *host;
  o.alloc = lacking_alloc;
  o.alloc_ud = &h;
  o.report = on_report;
  host = bide_new(&o);
  CHECK(luaL_loadstring(bide_lua(host), "return 1") == 0);
  reports = 0;
  lacking = 1;
  bide_dump(host);
  CHECK(reports == 1);
  CHECK_STR(last_report, "bide: cannot show the tasks: not enough memory");
  CHECK(bide_debug(host, 1) == BIDE_ERROR && lua_gettop(bide_lua(host)) == 2);
  CHECK_STR(lua_tostring(bide_lua(host), -1), "not enough memory");
  lua_pushinteger(bide_lua(host), 1); /* an argument */
  lua_remove(bide_lua(host), 2);
  CHECK(bide_spawn(host, 1) == UV_ENOMEM && lua_gettop(bide_lua(host)) == 0);
  lacking = 0;
  end_host(host, &h);
}

static int l_spawn_late(lua_State *L) {
  bide_host *host = bide_host_of(L);
  int top = lua_gettop(bide_lua(host));
  lua_pushcfunction(bide_lua(host), l_spawn_late);
  lua_pushinteger(bide_lua(host), 1);
  CHECK(bide_spawn(host, 1) == UV_ECANCELED && lua_gettop(bide_lua(host)) == top);
  told++;
  return 0;
}

static void spawns_nothing_in_a_host_being_freed(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  told = 0;
  lua_register(bide_lua(host), "spawn_late", l_spawn_late);
  CHECK(run_script(host, "keep = setmetatable({}, {__gc = spawn_late})") == 0);
  end_host(host, &h);
  CHECK(told == 1);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"version_of_header_and_library", version_of_header_and_library},
      {"opens_the_libraries_it_is_told", opens_the_libraries_it_is_told},
      {"bides_modules_need_few_libraries", bides_modules_need_few_libraries},
      {"takes_options_of_an_older_header", takes_options_of_an_older_header},
      {"frees_nothing", frees_nothing},
      {"bytecode_is_not_for_a_sandbox", bytecode_is_not_for_a_sandbox},
      {"reads_results_of_tasks", reads_results_of_tasks},
      {"reads_errors_of_tasks", reads_errors_of_tasks},
      {"cancels_one_task", cancels_one_task},
      {"raises_errors_with_a_code", raises_errors_with_a_code},
      {"keeps_a_pointer", keeps_a_pointer},
      {"tells_of_lacking_memory", tells_of_lacking_memory},
      {"spawns_nothing_in_a_host_being_freed", spawns_nothing_in_a_host_being_freed},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
