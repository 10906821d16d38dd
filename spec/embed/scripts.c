/* SPDX-License-Identifier: MIT */
/* scripts.c: see scripts.h. */
#include "scripts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

/* For localhost and 127.0.0.1, signed by itself, until 2126. */
static const char pem[] = "-----BEGIN CERTIFICATE-----\n"
                          "MIIBnDCCAUGgAwIBAgIUFqWQAzwDr+uSWJCItpkl2B/NEIQwCgYIKoZIzj0EAwIw\n"
                          "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE2NTAxN1oYDzIxMjYxMDI5\n"
                          "MTY1MDE3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
                          "PQMBBwNCAASEF+5OOVD432Z+U+kGVhIZEWMs1sEtndVTlEzyyVYwGVPj4ILBRB8x\n"
                          "/V7UZtfpRroLGrbc62cXCkxGV06SI/ECo28wbTAdBgNVHQ4EFgQUiaJSQv53+4Bp\n"
                          "eAGuqQnO5vhzFmwwHwYDVR0jBBgwFoAUiaJSQv53+4BpeAGuqQnO5vhzFmwwDwYD\n"
                          "VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI\n"
                          "zj0EAwIDSQAwRgIhAND1t+D3XAuGZX+WzD4xO4DPacoeqq5h7lRnmRrQvShmAiEA\n"
                          "+tldLFd6FrAwCS75AsCywEH3UA+uyJFM2RhXqFwECtY=\n"
                          "-----END CERTIFICATE-----\n"
                          "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/Wlatc31SfdZHXnN\n"
                          "XLh94nj/ecMAQ/Zfaw7+OENDoi2hRANCAASEF+5OOVD432Z+U+kGVhIZEWMs1sEt\n"
                          "ndVTlEzyyVYwGVPj4ILBRB8x/V7UZtfpRroLGrbc62cXCkxGV06SI/EC\n"
                          "-----END PRIVATE KEY-----\n";

static const char prelude[] =
    "bide = require 'bide'\n"
    "function port(server) return (select(2, server:address())) end\n"
    "function silent()\n"
    "  return port(bide.tcp.listen('127.0.0.1', 0, function(c) bide.sleep(60) end))\n"
    "end\n"
    "function https(handler)\n"
    "  return 'https://127.0.0.1:' .. port(bide.http.serve({port = 0, cert = PEM}, handler))\n"
    "end\n"
    "function closing(f) return setmetatable({}, {__close = f}) end\n"
    "function dying(f) return setmetatable({}, {__gc = f}) end\n";

const char *const lonely_scripts[] = {
    "bide.on_unhandled(function() while true do end end) pcall(bide.sleep, 60) error 'x'",
    "pcall(bide.sleep, 60) xpcall(function() while true do end end, function() while true do end "
    "end)",
    NULL,
};

const char *const scripts[] = {
    "bide.sleep(60)",
    "bide.future():await()",
    "while true do pcall(bide.sleep, 1) end",
    "while true do pcall(bide.sleep, 0) end",
    "local t <close> = setmetatable({}, {__close = function() while true do end end}) "
    "bide.sleep(60)",
    "local t <close> = setmetatable({}, {__close = function() while true do pcall(error) end end}) "
    "bide.sleep(60)",
    "local t <close> = setmetatable({}, {__close = function() pcall(bide.sleep, 1) error 'x' end}) "
    "bide.sleep(60)",
    "coroutine.wrap(function() pcall(bide.sleep, 60) while true do end end)()",
    "local t <close> = closing(function() while true do coroutine.wrap(type)(1) end end) "
    "bide.sleep(60)",
    "local t <close> = closing(function() local co = coroutine.create(type) while true do "
    "coroutine.close(co) end end) bide.sleep(60)",
    "local co = coroutine.wrap(function() while true do pcall(coroutine.yield) end end) local t "
    "<close> = closing(function() while true do co() end end) bide.sleep(60)",
    "local t <close> = closing(function() while true do pcall(coroutine.wrap(error)) end end) "
    "bide.sleep(60)",
    "local function tree() for i = 1, 50 do coroutine.wrap(tree)() end end local t <close> = "
    "closing(function() while true do pcall(tree) end end) bide.sleep(60)",
    "local co = coroutine.wrap(function() while true do pcall(bide.sleep, 60) end end) co()",
    "bide.shield(function() bide.sleep(60) end)",
    "bide.shield(function() while true do pcall(bide.sleep, 60) end end)",
    "bide.timeout(60, bide.sleep, 70)",
    "bide.group(function(g) for i = 1, 10 do g:spawn(bide.sleep, 60) end end)",
    "bide.group(function(g) g:spawn(function() while true do pcall(bide.sleep, 60) end end) end)",
    "bide.gather(function() bide.sleep(60) end, function() bide.shield(bide.sleep, 60) end)",
    "bide.race{function() bide.sleep(60) end, function() while true do pcall(bide.sleep, 1) end "
    "end}",
    "for i = 1, 100 do bide.spawn(bide.sleep, 60) end",
    "for i = 1, 10 do bide.daemon(bide.sleep, 60) end bide.sleep(60)",
    "local t = bide.spawn(bide.sleep, 60) t:on_done(function() while true do end end) "
    "bide.sleep(60)",
    "bide.compute(function() while true do end end)",
    "bide.compute(function() while true do pcall(function() while true do end end) end end)",
    "local function deep(n) if n == 0 then bide.sleep(60) else bide.spawn(deep, n - 1):await() end "
    "end deep(100)",
    "local function deep(n) if n == 0 then bide.sleep(60) else bide.gather{function() deep(n - 1) "
    "end} end end deep(50)",
    "setmetatable({}, {__gc = function() error 'in gc' end}) bide.sleep(60)",
    "keep = setmetatable({}, {__gc = function() bide.sleep(1) end}) bide.sleep(60)",
    "keep = dying(function() pcall(bide.run, type) end) bide.sleep(60)",
    "keep = setmetatable({}, {__gc = function() bide.spawn(print) bide.future():resolve() end}) "
    "bide.sleep(60)",
    "bide.spawn(error, 'unseen') bide.sleep(60)",
    "local f = bide.future() bide.spawn(function() f:await() end) bide.sleep(60)",
    "local s = bide.tcp.listen('127.0.0.1', 0, function(c) c:read() end) local _, p = s:address() "
    "local c = bide.tcp.connect('127.0.0.1', p) c:read()",
    "local s = bide.tcp.listen('127.0.0.1', 0, function(c) bide.sleep(60) end) local _, p = "
    "s:address() local c = bide.tcp.connect('127.0.0.1', p) c:write(('x'):rep(1 << 24))",
    "local s = bide.http.serve({port = 0}, function() bide.sleep(60) end) local _, p = s:address() "
    "bide.http_get('http://127.0.0.1:' .. p)",
    "bide.dns.resolve('localhost')",
    "local u = bide.udp.bind('127.0.0.1', 0) u:recv()",
    "for i in bide.interval(60) do end",
    "local ch = bide.channel() ch:send(1)",
    "local l = bide.lock() local g <close> = l:acquire() bide.spawn(function() l:acquire() end) "
    "bide.sleep(60)",
    /* ---- TLS ---- */
    "bide.tls.connect('127.0.0.1', silent(), {ca = PEM})",
    "local s = bide.tls.listen('127.0.0.1', 0, function(c) c:read() end, {cert = PEM}) local c = "
    "bide.tcp.connect('127.0.0.1', port(s)) c:write('\\22\\3\\1') c:read()",
    "local s = bide.tls.listen('127.0.0.1', 0, function(c) c:read() c:read() end, {cert = PEM}) "
    "for "
    "i = 1, 10 do bide.spawn(function() local c = bide.tls.connect('127.0.0.1', port(s), {ca = "
    "PEM}) c:write('x') c:read() end) end bide.sleep(60)",
    "local s = bide.tcp.listen('127.0.0.1', 0, function(c) c:read(1) c:starttls{server = true, "
    "cert "
    "= PEM} c:write(('x'):rep(1 << 22)) end) local c = bide.tcp.connect('127.0.0.1', port(s)) "
    "c:write('x') c:starttls{ca = PEM, servername = 'localhost'} c:read() bide.sleep(60)",
    "bide.http_get(https(function() bide.sleep(60) end), {ca = PEM})",
    "local url = https(function() return 200, nil, function() bide.sleep(0.001) return "
    "('x'):rep(10000) end end) local res = bide.http_get(url, {ca = PEM, stream = true}) while "
    "true "
    "do res:read() end",
    "local url = https(function() return 'body' end) bide.map(function() return url end, "
    "function(u) "
    "bide.http_get(u, {ca = PEM}) end, {limit = 10, collect = false})",
    /* ---- HTTP ---- */
    "local s = bide.http.serve({port = 0}, function(r) bide.sleep(60) end) local session = "
    "bide.http.session{limit_per_host = 2} for i = 1, 50 do bide.spawn(session.get, session, "
    "'http://127.0.0.1:' .. port(s)) end bide.sleep(60)",
    "local s = bide.http.serve({port = 0}, function(r) return r.body end) while true do "
    "bide.http.post('http://127.0.0.1:' .. port(s), {body = ('x'):rep(100000)}) end",
    /* ---- LuaSocket's layer ---- */
    "local socket = require 'bide.socket' local s = socket.bind('127.0.0.1', 0) s:accept()",
    "local socket = require 'bide.socket' local c = socket.connect('127.0.0.1', silent()) "
    "bide.spawn(function() c:receive('*l') end) socket.select({c}, nil, 60)",
    "local socket = require 'bide.socket' local u = socket.udp() u:setsockname('127.0.0.1', 0) "
    "u:receivefrom()",
    "local socket = require 'bide.socket' local c = socket.connect('127.0.0.1', silent()) while "
    "true "
    "do c:send(('x'):rep(1 << 20)) end",
    /* ---- names ---- */
    "local u = bide.udp.bind('127.0.0.1', 0) bide.dns.servers{'127.0.0.1:' .. port{address = "
    "function() return u:address() end}} for i = 1, 30 do bide.spawn(bide.dns.resolve, 'n' .. i .. "
    "'.invalid') end bide.tcp.connect('other.invalid', 80)",
    "while true do bide.tcp.connect('localhost', silent()):close() end",
    /* ---- the pool ---- */
    "for i = 1, 20 do bide.spawn(pool, 2) end pool(2)",
    "while true do pcall(bide.timeout, 0.001, pool, 2) end",
    "local t <close> = closing(function() pool(1) end) bide.sleep(60)",
    /* ---- clean-up that begins things ---- */
    "local t <close> = closing(function() for i = 1, 10 do pcall(bide.spawn, function() while true "
    "do pcall(bide.sleep, 0) end end) end end) bide.sleep(60)",
    "local t <close> = closing(function() pcall(bide.tcp.listen, '127.0.0.1', 0, print) "
    "pcall(bide.http_get, 'http://127.0.0.1:1/') pcall(bide.shield, bide.sleep, 60) while true do "
    "pcall(bide.sleep, 60) end end) bide.sleep(60)",
    "keep = {} for i = 1, 100 do keep[i] = dying(function() for j = 1, 1000 do end "
    "pcall(bide.spawn, bide.sleep, 1) pcall(bide.sleep, 1) "
    "dying(function() error 'x' end) end) end bide.sleep(60)",
    "keep = dying(function() pcall(bide.tcp.connect, '127.0.0.1', 1) bide.future():reject('x') "
    "require 'bide.socket'.tcp() coroutine.wrap(function() bide.sleep(1) end)() end) "
    "bide.sleep(60)",
    "local co = coroutine.create(function() local t <close> = closing(function() bide.sleep(1) "
    "end) "
    "bide.sleep(60) end) bide.spawn(coroutine.resume, co) bide.sleep(0) pcall(coroutine.close, co) "
    "bide.sleep(60)",
    "local function again() bide.spawn(again) local t <close> = closing(function() "
    "bide.spawn(again) "
    "end) bide.sleep(0.001) end again()",
};
const int script_count = sizeof scripts / sizeof scripts[0];

static void sleep_ms(void *ms) {
  usleep((unsigned)(*(int *)ms * 1000));
}

static int l_pool(lua_State *L) {
  static const bide_job job = {sleep_ms, NULL, NULL, free};
  int n = (int)luaL_checkinteger(L, 1), *ms = malloc(sizeof *ms);
  *ms = n;
  return bide_work(L, &job, ms);
}

bide_host *begin_scripted(const bide_options *options, held *h) {
  bide_host *host = begin_host(options, h);
  lua_State *L = bide_lua(host);
  lua_pushstring(L, pem);
  lua_setglobal(L, "PEM");
  lua_register(L, "pool", l_pool);
  CHECK(luaL_dostring(L, prelude) == LUA_OK);
  lua_settop(L, 0);
  return host;
}
