/* SPDX-License-Identifier: MIT */
/* test_sandbox.c: what a sandboxed script cannot reach. That what it can do ends: test_guarded.c.
 */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

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
      "package.preload['bide.core'] == nil and not pcall(require, 'bide.socket')",
      "not pcall(require, 'bide.openssl') and not pcall(require, 'bide.testing')",
      "(function() local core = require 'bide.core' package.loaded['bide.core'] = nil "
      "local found = pcall(require, 'bide.core') package.loaded['bide.core'] = core return not "
      "found "
      "and core.unix == nil and core.dns == nil end)()",
      "loadfile == nil and dofile == nil and #package.searchers == 1",
      "os.setlocale == nil and os.tmpname == nil and os.rename == nil",
      "pcall(string.format, '%99999d', 1) == false",
      "pcall(utf8.char, 0x7FFFFFFF) and not pcall(utf8.char, -1)",
      /* what C sets metatables of cannot be given finalizers by them */
      "(function() local bide = require 'bide' local list = {bide.spawn(print), bide.future(), "
      "bide.channel(), bide.lock(), bide.semaphore(1), bide.event(), bide.condition(), bide.var(), "
      "bide.http.session{}, coroutine.create(print), bide.Error, (select(2, "
      "bide.as_completed{bide.future()})), (select(2, pcall(bide.http_get, 'http://x/'))), "
      "(select(2, pcall(bide.sleep, {})))} "
      "for i, v in pairs(list) do local m = getmetatable(v) if type(m) == 'table' and "
      "type(v) ~= 'string' and pcall(function() m.__gc = print end) and pcall(setmetatable, {}, m) "
      "then return i end end return true end)()",
  };
  held h;
  size_t i;
  char script[1200];
  bide_host *host = begin(&h, NULL);
  for (i = 0; i < sizeof facts / sizeof facts[0]; i++) {
    snprintf(script, sizeof script, "return %s", facts[i]);
    CHECK(run_script(host, script) == 0);
    if (strcmp(result(host), "true") != 0) printf("%s\n", script);
    CHECK_STR(result(host), "true");
  }
  end_host(host, &h);
}

/* Of methods called through pcall too; by tables that no object goes by. */
static void names_methods_in_errors(void) {
  held h;
  bide_host *host = begin(&h, NULL);
  CHECK(run_script(
            host,
            "local bide = require 'bide' local group\n"
            "bide.group(function(g) group = g end)\n"
            "local objects = {Channel = bide.channel(), Condition = bide.condition(),\n"
            "  Event = bide.event(), Future = bide.future(), Group = group, Lock = bide.lock(),\n"
            "  Semaphore = bide.semaphore(1), Task = bide.spawn(type, 1), Var = bide.var(),\n"
            "  ['http.session'] = bide.http.session{}}\n"
            "for _, name in ipairs{'stream', 'server', 'Guard', 'http.headers', 'http.request',\n"
            "    'http.response', 'http.server', 'http.stream'} do\n"
            "  assert(next(package.loaded['bide.' .. name]), name)\n"
            "end\n"
            "for name, object in pairs(objects) do\n"
            "  local methods = package.loaded['bide.' .. name]\n"
            "  for key, method in pairs(methods) do\n"
            "    local ok, err = pcall(method, 42)\n"
            "    assert(tostring(err):find('bide.' .. name .. '.' .. key, 1, true), err)\n"
            "    assert(object[key] == method)\n"
            "    methods[key] = nil\n"
            "    assert(object[key] == method)\n"
            "  end\n"
            "end\n"
            "for name in pairs(package.loaded) do\n"
            "  assert(not name:find 'udp' and not name:find 'unix' and not name:find 'socket')\n"
            "end\n"
            "return 'named'") == 0);
  CHECK_STR(result(host), "named");
  end_host(host, &h);
}

/* A server, in a host of its own without limits, that sends everybody where they may not go. */
static bide_host *begin_redirecting(held *h, int *port) {
  bide_host *host = begin_host(NULL, h);
  CHECK(spawn_script(host, "local server = require 'bide'.http.serve({port = 0}, function() "
                           "return 302, {Location = 'http://127.0.0.2:1/'}, '' end)\n"
                           "port = select(2, server:address())") == 0);
  bide_run(host, UV_RUN_NOWAIT);
  bide_run(host, UV_RUN_NOWAIT);
  lua_getglobal(bide_lua(host), "port");
  *port = (int)lua_tointeger(bide_lua(host), -1);
  CHECK(*port > 0);
  return host;
}

/* Runs a script in one host while the other serves. The result is left on the stack. */
static int run_beside(bide_host *host, bide_host *server, const char *script) {
  lua_State *L = bide_lua(host);
  double end = now() + 10;
  int status = spawn_script(host, script);
  while (bide_run(host, UV_RUN_NOWAIT) > 0 && now() < end) bide_run(server, UV_RUN_NOWAIT);
  lua_getfield(L, 1, "result");
  lua_pushvalue(L, 1);
  if (status == 0) status = lua_pcall(L, 1, 1, 0);
  lua_replace(L, 1);
  lua_settop(L, 1);
  return status;
}

static void opens_what_is_listed_alone(void) {
  static const char *const refused[] = {
      "bide.tcp.connect('127.0.0.1', 2)",
      "bide.tcp.listen('127.0.0.1', 0, print)",
      "bide.http_get('http://127.0.0.2/')",
      "bide.http.serve({port = 0}, print)",
      "bide.tcp.listen('localhost', 0, print)",
      "bide.tls.connect('127.0.0.1', 2)",
      "bide.tcp.connect('::1', 1)",
      "bide.tcp.connect('0.0.0.0', 1)",
      "bide.tcp.connect('127.1', 1)",
      "bide.tcp.connect('2130706433', 1)",
      "bide.tcp.connect('127.0.0.1.', 1)",
      "bide.tcp.connect('localhost', 1)",
      "bide.tcp.connect('secret.example.net', 1)",
      "bide.http_get('https://127.0.0.1:2/')",
      "bide.http_get('http://127.0.0.1:1/', {proxy = 'http://127.0.0.2:1'})",
      "bide.http_get('http://user@127.0.0.2:1/')",
      "bide.http.session{base = 'http://127.0.0.2:1'}:get('/')",
      "bide.http_get('http://127.0.0.1:' .. redirecting .. '/')",
  };
  held h;
  size_t i;
  char script[400];
  const char *list[] = {allowed[0], allowed[1], NULL, NULL};
  char entry[40];
  int port;
  held other;
  bide_host *host, *server = begin_redirecting(&other, &port);
  snprintf(entry, sizeof entry, "127.0.0.1:%d", port);
  list[2] = entry;
  host = begin(&h, list);
  lua_pushinteger(bide_lua(host), port);
  lua_setglobal(bide_lua(host), "redirecting");
  for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    snprintf(script, sizeof script,
             "local bide = require 'bide' local ok, err = pcall(function() %s end) return err",
             refused[i]);
    CHECK(run_beside(host, server, script) == 0);
    if (strcmp(result(host), "EACCES") != 0) printf("%s\n", refused[i]);
    CHECK_STR(result(host), "EACCES");
  }
  CHECK(run_script(host, "local ok, err = pcall(require 'bide'.tcp.connect, '127.0.0.1', 1) return "
                         "err") == 0);
  CHECK_STR(result(host), "ECONNREFUSED");
  end_host(host, &h);
  end_host(server, &other);
}

/* ---- files ---- */

static char dir[] = "/tmp/bide-sandbox-XXXXXX";

static void write_file(const char *name, const char *text) {
  char path[200];
  FILE *f;
  snprintf(path, sizeof path, "%s/%s", dir, name);
  f = fopen(path, "w");
  CHECK(f != NULL);
  if (!f) return;
  fputs(text, f);
  fclose(f);
}

static void link_to(const char *target, const char *name) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  CHECK(symlink(target, path) == 0);
}

/* root/ is what may be read; secret.lua lies beside it. */
static void make_files(void) {
  char path[200];
  static const char *const folders[] = {"root", "root/pack", "root/deep"};
  size_t i;
  CHECK(mkdtemp(dir) != NULL);
  for (i = 0; i < sizeof folders / sizeof folders[0]; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
    CHECK(mkdir(path, 0700) == 0);
  }
  write_file("secret.lua", "return 'secret'");
  write_file("root/plain.lua",
             "#!/usr/bin/bide\nlocal name, path = ... return tostring(name) .. ' ' "
             ".. tostring(path)");
  write_file("root/pack/init.lua", "return {value = 7}");
  write_file("root/deep/er.lua", "require 'bide'.sleep(0.001) return 'waited'");
  write_file("root/wrong.lua", "return +");
  write_file("root/code.lua", "\033Lua");
  write_file("root/mark.lua", "\xEF\xBB\xBF# first\nreturn ...");
  write_file("root/empty.lua", "");
  write_file("root/env.lua", "return x");
  link_to("../secret.lua", "root/out.lua");
  link_to("/etc/passwd", "root/passwd.lua");
  link_to("..", "root/up");
  link_to("plain.lua", "root/in.lua");
  snprintf(path, sizeof path, "%s/root/fifo.lua", dir);
  CHECK(mkfifo(path, 0600) == 0);
}

static void remove_files(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -r %s", dir);
  CHECK(system(command) == 0);
}

/* Each must be true inside. */
static const char *const file_facts[] = {
    "dofile 'plain.lua' == 'nil nil'",
    "require 'plain' == 'plain plain.lua' and package.loaded.plain",
    "require 'pack'.value == 7 and require 'pack' == require 'pack'",
    "require 'bide' and require 'deep.er' == 'waited' and dofile 'deep/er.lua' == 'waited'",
    "loadfile('mark.lua')(5) == 5 and loadfile('./deep/../mark.lua')(5) == 5",
    "loadfile('empty.lua')() == nil",
    "loadfile('env.lua', 't', {x = 3})() == 3 and loadfile('env.lua', 'bt', {x = 3})() == 3",
    "select('#', dofile 'empty.lua') == 0",
    "(function() local f, m = loadfile 'wrong.lua' return f == nil and "
    "m:match '^wrong.lua:1: unexpected symbol' ~= nil end)()",
    "(function() local f, m = loadfile 'code.lua' return f == nil and m:match 'binary' ~= nil "
    "end)()",
    "(function() local f, m = loadfile 'none.lua' return f == nil and m == 'cannot open none.lua: "
    "no such file or directory' end)()",
    "not loadfile '../secret.lua' and not pcall(dofile, 'deep/../../secret.lua')",
    "not loadfile(above .. '/secret.lua') and not loadfile(above .. '/root/plain.lua')",
    "not loadfile 'out.lua' and not loadfile 'passwd.lua' and not loadfile 'up/secret.lua'",
    "not pcall(require, '..secret') and not pcall(require, 'up.secret') and not pcall(require, "
    "'out')",
    "not pcall(require, '/etc/passwd') and not pcall(require, 'secret')",
    "not loadfile '' and not loadfile '.' and not loadfile '/' and not loadfile 'pack'",
    "not loadfile 'fifo.lua' and not loadfile '/dev/zero' and not loadfile '/proc/self/environ'",
    "not pcall(loadfile, 'plain.lua\\0.txt') and not pcall(loadfile)",
    "(function() local ok, err = pcall(require 'bide'.tls.connect, '127.0.0.1', 1, {ca = above .. "
    "'/secret.lua'}) return err.code == 'ETLS' and tostring(err):find 'ermission' ~= nil end)()",
    "(function() local ok, err = pcall(require 'bide'.tls.connect, '127.0.0.1', 1, {ca = "
    "'../secret.lua'}) return err.code == 'ETLS' and tostring(err):find 'ermission' ~= nil end)()",
    "(function() local ok, err = pcall(require 'bide'.tls.connect, '127.0.0.1', 1, {ca = "
    "'plain.lua'}) return tostring(err):find 'ermission' == nil end)()",
    "io == nil and package.loadlib == nil and package.path == nil",
};

static void check_files(int links) {
  held h;
  size_t i;
  char script[700], root[200];
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  snprintf(root, sizeof root, "%s/root", dir);
  o.sandbox = 1;
  o.root = root;
  o.network = allowed;
  host = begin_host(&o, &h);
  lua_pushstring(bide_lua(host), dir);
  lua_setglobal(bide_lua(host), "above");
  for (i = 0; i < sizeof file_facts / sizeof file_facts[0]; i++) {
    snprintf(script, sizeof script, "return %s", file_facts[i]);
    if (!links && strstr(script, "/../mark")) continue;
    CHECK(run_script(host, script) == 0);
    if (strcmp(result(host), "true") != 0 && strncmp(result(host), "plain", 5) != 0)
      printf("%s\n  %s\n", script, result(host));
    CHECK(strcmp(result(host), "true") == 0 || strncmp(result(host), "plain", 5) == 0);
  }
  CHECK(run_script(host, "return loadfile 'in.lua' ~= nil") == 0);
  CHECK_STR(result(host), links ? "true" : "false");
  end_host(host, &h);
  o.root = "/nonexistent";
  CHECK(bide_new(&o) == NULL);
}

#ifdef __linux__
/* From here on the kernel has no openat2, for this process. */
static int forget_openat2(void) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
#endif

static void reads_beneath_its_root_alone(void) {
  make_files();
  check_files(1);
#ifdef __linux__
  if (forget_openat2() == 0) check_files(0);
#endif
  remove_files();
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"hides_what_reaches_out", hides_what_reaches_out},
      {"names_methods_in_errors", names_methods_in_errors},
      {"opens_what_is_listed_alone", opens_what_is_listed_alone},
      {"reads_beneath_its_root_alone", reads_beneath_its_root_alone},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
