/* SPDX-License-Identifier: MIT */
/* test_sandbox.c: what a sandboxed script cannot reach, and that what it can do ends. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

static const char *const allowed[] = {"127.0.0.1:1", "example.org:*", NULL};

static bide_host *begin(held *h, const char *const *network) {
  bide_options o = BIDE_OPTIONS;
  o.sandbox = 1;
  o.network = network;
  o.cpu_budget = 2;
  o.memory_limit = 32 << 20;
  return begin_host(&o, h);
}

/* Each must be true inside. */
static void hides_what_reaches_out(void) {
  static const char *const facts[] = {
      "io == nil and debug == nil and dofile == nil and loadfile == nil",
      "os.execute == nil and os.getenv == nil and os.exit == nil and os.remove == nil",
      "os.time() > 0 and os.date() ~= ''",
      "package.loadlib == nil and package.path == nil and package.cpath == nil",
      "package.loaded.io == nil and package.loaded.debug == nil",
      "string.dump == nil",
      "not pcall(require, 'io') and not pcall(require, 'debug') and not pcall(require, 'lfs')",
      "load('\\27Lua') == nil and load('return 1')() == 1",
      "load('return x', 'x', 'bt', {x = 3})() == 3",
      "not pcall(setmetatable, {}, {__gc = print})",
      "not pcall(rawset, {}, '__gc', print)",
      "not pcall(function() require 'bide'.Error.__gc = print end)",
      "getmetatable(require 'bide'.Error) == false",
      "getmetatable(setmetatable({}, {__index = {}})) ~= nil",
      "getmetatable(coroutine.create(print)) == nil",
      "require 'bide'.unix == nil and require 'bide'.udp == nil",
      "require 'bide.core'.testing == nil",
      "not pcall(collectgarbage, 'stop')",
  };
  held h;
  size_t i;
  char script[400];
  bide_host *host = begin(&h, NULL);
  for (i = 0; i < sizeof facts / sizeof facts[0]; i++) {
    snprintf(script, sizeof script, "return %s", facts[i]);
    CHECK(run_script(host, script) == 0);
    if (strcmp(result(host), "true") != 0) printf("%s\n", script);
    CHECK_STR(result(host), "true");
  }
  end_host(host, &h);
}

static void opens_what_is_listed_alone(void) {
  static const char *const refused[] = {
      "bide.tcp.connect('127.0.0.1', 2)",
      "bide.tcp.listen('127.0.0.1', 0, print)",
      "bide.http_get('http://127.0.0.2/')",
      "bide.http.serve({port = 0}, print)",
  };
  held h;
  size_t i;
  char script[400];
  bide_host *host = begin(&h, allowed);
  for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    snprintf(script, sizeof script,
             "local bide = require 'bide' local ok, err = pcall(function() %s end) return err",
             refused[i]);
    CHECK(run_script(host, script) == 0);
    CHECK_STR(result(host), "EACCES");
  }
  CHECK(run_script(host, "local ok, err = pcall(require 'bide'.tcp.connect, '127.0.0.1', 1) return "
                         "err") == 0);
  CHECK_STR(result(host), "ECONNREFUSED");
  end_host(host, &h);
}

/* What would keep C busy: each ends, by an error or a result. */
static void ends_what_c_would_not(void) {
  static const char *const scripts[] = {
      "return ('a'):rep(1e6):find(('a?'):rep(30) .. ('a'):rep(30) .. 'b')",
      "return ('a'):rep(3e5):find('.-.-.-.-b')",
      "return ('a'):rep(3e5):match('a*a*a*a*b')",
      "return ('('):rep(1e6):find('%b()')",
      "return ('('):rep(1e6):gsub('%b()', '')",
      "for x in ('a'):rep(3e5):gmatch('.-.-.-b') do end",
      "return ('a'):rep(1e6):find(('a'):rep(5e5) .. 'b', 1, true)",
      "return (''):rep(1e15)",
      "return ('x'):rep(1e15)",
      "return table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1e15)",
      "table.move({}, 1, 1e15, 2)",
      "table.insert(setmetatable({}, {__len = function() return 1e15 end}), 1, 1)",
      "table.remove(setmetatable({}, {__len = function() return 1e15 end}), 1)",
      "table.unpack({}, 1, 1e8)",
      "string.rep(('x'):rep(1e6), 1e6)",
      "local s = 'x' while true do s = s .. s end",
      "local t = {} for i = 1, 1e9 do t[i] = i end",
      "while true do end",
      "load(function() return ' ' end)",
      "xpcall(function() while true do end end, function() while true do end end)",
      "local bide = require 'bide' local t = bide.compute(function() xpcall(function() while true "
      "do "
      "end end, function() while true do end end) end) bide.sleep(0.05) t:cancel() t:await()",
      "string.format('%99999s', 'x')",
      "local function f() return f() + 1 end f()",
      "local function f() pcall(f) while true do pcall(f) end end f()",
  };
  held h;
  size_t i;
  for (i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
    bide_host *host = begin(&h, NULL);
    double start = cpu_now();
    run_script(host, scripts[i]);
    if (cpu_now() - start > 12) printf("%.1f s: %s\n", cpu_now() - start, scripts[i]);
    CHECK(cpu_now() - start < 12);
    CHECK(run_script(host, "return 'alive'") == 0);
    CHECK_STR(result(host), "alive");
    end_host(host, &h);
  }
}

/* The functions that were replaced do what Lua's do. */
static void does_what_lua_does(void) {
  static const char *const same[] = {
      "('hello world'):find('o w')",
      "('hello'):find('l', 1, true)",
      "('hello'):find('', 10)",
      "('hello'):find('')",
      "('hello'):find('', 6)",
      "('hello'):find('(l)(l)')",
      "('hello'):find('xyz')",
      "('hello'):find('^h')",
      "('hello'):find('^e')",
      "('hello'):find('l+', -2)",
      "('hello'):find('.', -100)",
      "('a.b'):find('.', 2, true)",
      "('a\\0b'):find('\\0')",
      "('a\\0b'):find('%z')",
      "('key = value'):match('^(%w+)%s*=%s*(%w+)$')",
      "('hello'):match('()ll()')",
      "('hello'):match('.-')",
      "('  x '):match('^%s*(.-)%s*$')",
      "('hello'):match('h', 2)",
      "('x'):rep(3, ',')",
      "('x'):rep(0)",
      "('x'):rep(-1)",
      "(''):rep(5)",
      "(''):rep(3, 'a')",
      "('abc'):gsub('%w', '%0%0')",
      "('abc'):gsub('', '-')",
      "('hello world'):gsub('o', {o = '0'})",
      "table.concat({1, 2, 3}, ', ')",
      "table.concat({})",
      "table.concat({'a', 'b', 'c'}, '-', 2, 3)",
      "table.unpack({1, 2, 3})",
      "table.unpack({1, 2, 3}, 2)",
      "(function() local l = {} for a, b in ('k=v x=y'):gmatch('(%w)=(%w)') do l[#l + 1] = a .. b "
      "end return table.concat(l, ';') end)()",
      "(function() local l = {} for p in ('abc'):gmatch('()') do l[#l + 1] = p end return "
      "table.concat(l, ';') end)()",
      "(function() local t = {3, 1, 2} table.sort(t) table.insert(t, 4) table.insert(t, 1, 0) "
      "table.remove(t) return table.concat(t, ',') end)()",
      "table.concat(table.move({1, 2, 3}, 2, 3, 1), ',')",
      "select('#', xpcall(function(...) return ... end, print, 1, 2, 3))",
      "select(2, xpcall(error, function(m) return m .. '!' end, 'x', 0))",
      "pcall(('x').rep, 'x')",
  };
  held h, plain;
  size_t i;
  char script[600], expected[400];
  bide_host *host = begin(&h, NULL), *other = begin_host(NULL, &plain);
  for (i = 0; i < sizeof same / sizeof same[0]; i++) {
    snprintf(script, sizeof script,
             "local t = table.pack(%s) local s = tostring(t.n) for i = 1, t.n do s = s .. '|' .. "
             "tostring(t[i]) end return s",
             same[i]);
    CHECK(run_script(other, script) == 0);
    snprintf(expected, sizeof expected, "%s", result(other));
    CHECK(run_script(host, script) == 0);
    if (strcmp(result(host), expected) != 0) printf("%s\n", same[i]);
    CHECK_STR(result(host), expected);
  }
  end_host(host, &h);
  end_host(other, &plain);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"hides_what_reaches_out", hides_what_reaches_out},
      {"opens_what_is_listed_alone", opens_what_is_listed_alone},
      {"ends_what_c_would_not", ends_what_c_would_not},
      {"does_what_lua_does", does_what_lua_does},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
