/* SPDX-License-Identifier: MIT */
/* test_memory.c: a memory limit counts all that is held for a host, whoever holds it: each script
 * below fills it in another way, is told so, and leaves a host that goes on with what it had. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <zlib.h>

enum { LIMIT = 8 << 20 };

/* A sanitizer keeps what was freed, and more beside it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

#define START                                                                                      \
  "local bide = require 'bide' local keep = {} "                                                   \
  "local function serve(f) local s = bide.tcp.listen('127.0.0.1', 0, f, {daemon = true}) "         \
  "return s, select(2, s:address()) end "                                                          \
  "local function web(f) local s = bide.http.serve({port = 0, daemon = true}, f) "                 \
  "return 'http://127.0.0.1:' .. select(2, s:address()) .. '/' end "

static const char *const fillers[] = {
    "for i = 1, 1e9 do keep[i] = ('x'):rep(1000) .. i end",
    "local s = 'x' while true do s = s .. s end",
    "keep = ('x'):rep(1 << 30)",
    "for i = 1, 1e9 do keep[i] = {i} end",
    "for i = 1, 1e9 do keep[i] = i end",
    "for i = 1, 1e9 do keep[i] = coroutine.create(print) end",
    "for i = 1, 1e9 do keep['k' .. i] = true end",
    "local function f() return 1 + f() end for i = 1, 1e9 do keep[i] = "
    "coroutine.wrap(function() local a = {pcall(f)} coroutine.yield() end) keep[i]() end",
    "local n = 0 assert(load(function() n = n + 1 return n == 1 and 'return \"' or ('x'):rep(1e5) "
    "end))",
    "table.concat(setmetatable({}, {__index = function() return ('x'):rep(1e4) end}), '', 1, 1e6)",
    "string.format(('%s'):rep(100), table.unpack((function() local t = {} for i = 1, 100 do t[i] = "
    "('x'):rep(1e5) end return t end)()))",
    "('x'):rep(1e6):gsub('x', ('y'):rep(1000))",
    "string.pack('s8', ('x'):rep(9e6))",
    /* tasks, timers, what they wait in */
    "for i = 1, 1e9 do keep[i] = bide.spawn(bide.sleep, 100) if i % 100 == 0 then bide.sleep(0) "
    "end "
    "end",
    "local f = bide.future() while true do bide.spawn(f.await, f) bide.sleep(0) end",
    "local f = bide.future() while true do f = (function(g) return bide.spawn(g.await, g) end)(f) "
    "bide.sleep(0) end",
    "local list = {} for i = 1, 1e9 do list[i] = bide.future() end",
    "bide.gather((function() local t = {} for i = 1, 1e6 do t[i] = function() bide.sleep(100) end "
    "end return t end)())",
    "bide.map(function() return 1 end, function() bide.sleep(100) end, {limit = 1e8})",
    "local ch = bide.channel(math.huge) while true do ch:send(('x'):rep(1000) .. math.random()) "
    "end",
    "local ch = bide.channel(1e9) while true do ch:send(1) end",
    "local ch = bide.channel() while true do bide.spawn(ch.send, ch, {}) bide.sleep(0) end",
    "local lock = bide.lock() keep[1] = lock:acquire() while true do bide.spawn(lock.acquire, "
    "lock) "
    "bide.sleep(0) end",
    /* the network */
    "local _, port = serve(function(s) bide.sleep(100) end) for i = 1, 100 do "
    "keep[i] = bide.tcp.connect('127.0.0.1', port) "
    "bide.spawn(keep[i].write, keep[i], ('x'):rep(3e6) .. i) bide.sleep(0.001) end",
    "local _, port = serve(function(s) while true do s:write(('x'):rep(1e5)) end end) "
    "bide.tcp.connect('127.0.0.1', port):read_all{limit = 1e9}",
    "local _, port = serve(function(s) while true do s:write(('x'):rep(1e5)) end end) "
    "bide.tcp.connect('127.0.0.1', port):read_line{limit = 1e9}",
    "local _, port = serve(function(s) while true do s:write(('x'):rep(1e5)) end end) "
    "bide.tcp.connect('127.0.0.1', port):read_exactly(1e9)",
    "local _, port = serve(function(s) while true do s:write(('x'):rep(1e5)) end end) "
    "local socket = require 'bide.socket' local c = socket.tcp() assert(c:connect('127.0.0.1', "
    "port)) assert(c:receive(1e9))",
    "for i = 1, 1e6 do local s = bide.udp.bind('127.0.0.1', 0) keep[i] = s for j = 1, 3 do "
    "s:send(('x'):rep(60000), s:address()) end keep[-i] = s:recv() end",
    "local mute = bide.udp.bind('127.0.0.1', 0) "
    "bide.dns.servers{'127.0.0.1:' .. select(2, mute:address())} "
    "for i = 1, 1e5 do bide.spawn(bide.dns.resolve, 'n' .. i .. '.test') bide.sleep(0) end",
    /* http */
    "local url = web(function() return 200, {}, function() return ('x'):rep(1e5) end end) "
    "bide.http_get(url, {max_body = 1e9})",
    "local url = web(function() return 200, {['Content-Encoding'] = 'gzip'}, bomb end) "
    "bide.http_get(url, {max_body = 1e9})",
    "local url = web(function() return 200, {['Content-Encoding'] = 'gzip'}, bomb end) "
    "for i = 1, 1e4 do keep[i] = bide.http_get(url, {stream = true}) end",
    "local url = web(function(req) keep[#keep + 1] = req.body return 'ok' end) "
    "while bide.http.post(url, {body = ('x'):rep(9e5)}).status < 500 do end error 'not enough "
    "memory'",
    "local url = web(function() bide.sleep(100) end) for i = 1, 1e5 do "
    "bide.spawn(bide.http_get, url, {headers = {x = ('y'):rep(1000)}}) bide.sleep(0) end",
    /* C futures */
    "for i = 1, 1e9 do keep[i] = hundred() end",
    "huge()",
};
enum { FILLERS = sizeof fillers / sizeof fillers[0] };

static char bomb[1 << 20];
static size_t bomb_size;

/* 64 MiB of zeros, compressed. */
static void make_bomb(void) {
  static char zeros[1 << 20];
  z_stream z;
  int i;
  memset(&z, 0, sizeof z);
  CHECK(deflateInit2(&z, 1, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  z.next_out = (Bytef *)bomb;
  z.avail_out = sizeof bomb;
  for (i = 0; i < 64; i++) {
    z.next_in = (Bytef *)zeros;
    z.avail_in = sizeof zeros;
    CHECK(deflate(&z, i == 63 ? Z_FINISH : Z_NO_FLUSH) == (i == 63 ? Z_STREAM_END : Z_OK));
  }
  bomb_size = sizeof bomb - z.avail_out;
  deflateEnd(&z);
}

static int resolved(lua_State *L, size_t size) {
  char *s = malloc(size);
  bide_future *f = bide_future_new(L);
  memset(s, 'x', size);
  bide_resolve_string(f, s, size);
  free(s);
  return bide_await(L, f);
}

static int l_hundred(lua_State *L) {
  return resolved(L, 100);
}

static int l_huge(lua_State *L) {
  return resolved(L, 64 << 20);
}

static bide_host *begin(held *h) {
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.memory_limit = LIMIT;
  host = begin_host(&o, h);
  lua_pushlstring(bide_lua(host), bomb, bomb_size);
  lua_setglobal(bide_lua(host), "bomb");
  lua_register(bide_lua(host), "hundred", l_hundred);
  lua_register(bide_lua(host), "huge", l_huge);
  return host;
}

static int is_memory(const char *text) {
  return strstr(text, "not enough memory") || strcmp(text, "ENOMEM") == 0;
}

static void fill(const char *script) {
  held h;
  bide_host *host = begin(&h);
  long before = resident();
  double start = now();
  int status = run_script(host, script);
  if (status != BIDE_ERROR || !is_memory(result(host)))
    printf("%.300s\n  gives %d, %s\n", script + sizeof START - 1, status, result(host));
  CHECK(status == BIDE_ERROR);
  CHECK(is_memory(result(host)));
  CHECK(bide_memory(host) <= LIMIT);
  if (!CHECKED && resident() - before > 3L * LIMIT)
    printf("%.300s\n  holds %ld\n", script + sizeof START - 1, resident() - before);
  CHECK(CHECKED || resident() - before < 3L * LIMIT);
  CHECK(run_script(host, "collectgarbage() require 'bide'.sleep(0.001) collectgarbage() "
                         "return 'goes on'") == 0);
  CHECK_STR(result(host), "goes on");
  if (bide_memory(host) > LIMIT / 4)
    printf("%.300s\n  keeps %zu\n", script + sizeof START - 1, bide_memory(host));
  CHECK(bide_memory(host) < LIMIT / 4);
  if (getenv("SHOW"))
    printf("%.2f s, %zu kept, %ld resident: %.70s\n", now() - start, bide_memory(host),
           resident() - before, script + sizeof START - 1);
  end_host(host, &h);
}

static void every_way_to_fill_it_is_seen(void) {
  static char script[4000];
  const char *only = getenv("ONLY");
  int i;
  make_bomb();
  for (i = 0; i < FILLERS; i++) {
    if (only && atoi(only) != i) continue;
    snprintf(script, sizeof script, START "%s", fillers[i]);
    fill(script);
  }
}

/* ---- TLS: OpenSSL's memory is not seen, so a fixed sum is counted ---- */

enum { TLS_COST = 48 << 10 };

static int make_cert(char *dir) {
  char command[400];
  if (!mkdtemp(dir)) return -1;
  snprintf(command, sizeof command,
           "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
           "-subj /CN=localhost -keyout %s/key -out %s/cert >%s/log 2>&1",
           dir, dir, dir);
  return system(command);
}

static void remove_cert(const char *dir) {
  static const char *const names[] = {"key", "cert", "log"};
  char path[100];
  size_t i;
  for (i = 0; i < sizeof names / sizeof names[0]; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    unlink(path);
  }
  rmdir(dir);
}

static const char with_tls[] =
    "local bide = require 'bide' local dir = ...\n"
    "local server <close> = bide.tls.listen('127.0.0.1', 0, function(s) s:read() end,"
    "{cert = dir .. '/cert', key = dir .. '/key'})\n"
    "local _, port = server:address() local list, message = {}, nil\n"
    "local before = memory()\n"
    "while not message and #list < 1000 do\n"
    "  local ok, s = pcall(bide.tls.connect, '127.0.0.1', port, {verify = false})\n"
    "  if ok then list[#list + 1] = s else message = tostring(s) end\n"
    "  if #list == 10 then each = (memory() - before) // 20 end\n"
    "end\n"
    "for _, s in ipairs(list) do s:close() end\n"
    "return #list .. ' ' .. message";

static int l_memory(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)bide_memory(bide_host_of(L)));
  return 1;
}

static void a_tls_connection_costs_what_it_holds(void) {
  char dir[] = "/tmp/bide-memory-XXXXXX";
  held h;
  long n, each;
  bide_host *host = begin(&h);
  lua_State *L = bide_lua(host);
  CHECK(make_cert(dir) == 0);
  lua_register(L, "memory", l_memory);
  lua_settop(L, 0);
  CHECK(bide_load_string(host, with_tls, sizeof with_tls - 1, "=tls") == 0);
  lua_pushstring(L, dir);
  CHECK(bide_call(host, 1, 1) == 0);
  n = strtol(result(host), NULL, 10);
  lua_getglobal(L, "each");
  each = (long)lua_tointeger(L, -1);
  if (getenv("SHOW")) printf("%s, %ld bytes each\n", result(host), each);
  CHECK(each >= TLS_COST && each < TLS_COST + 8192);
  CHECK(n > LIMIT / 2 / (TLS_COST + 12288) && n < LIMIT / 2 / TLS_COST);
  /* The server's end may be the one that lacks memory: then it goes away. */
  CHECK(is_memory(result(host)) || strstr(result(host), "ECONNRESET") ||
        strstr(result(host), "closed"));
  CHECK(run_script(host, "collectgarbage() require 'bide'.sleep(0.001) collectgarbage()") == 0);
  CHECK(bide_memory(host) < LIMIT / 4);
  end_host(host, &h);
  remove_cert(dir);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"every_way_to_fill_it_is_seen", every_way_to_fill_it_is_seen},
      {"a_tls_connection_costs_what_it_holds", a_tls_connection_costs_what_it_holds},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
