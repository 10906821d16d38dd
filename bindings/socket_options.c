/* SPDX-License-Identifier: MIT */
/* socket_options.c: the options of a socket by LuaSocket's names, one row each. */
#include "socket.h"
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

enum { BOOLEAN, NUMBER, LINGER, ERROR, MEMBERSHIP, MEMBERSHIP6, INTERFACE };

typedef struct option {
  const char *name;
  int kind, level, opt;
} option;

static const option options[] = {
    {"keepalive", BOOLEAN, SOL_SOCKET, SO_KEEPALIVE},
    {"reuseaddr", BOOLEAN, SOL_SOCKET, SO_REUSEADDR},
    {"reuseport", BOOLEAN, SOL_SOCKET, SO_REUSEPORT},
    {"broadcast", BOOLEAN, SOL_SOCKET, SO_BROADCAST},
    {"dontroute", BOOLEAN, SOL_SOCKET, SO_DONTROUTE},
    {"tcp-nodelay", BOOLEAN, IPPROTO_TCP, TCP_NODELAY},
    {"ipv6-v6only", BOOLEAN, IPPROTO_IPV6, IPV6_V6ONLY},
    {"linger", LINGER, SOL_SOCKET, SO_LINGER},
    {"error", ERROR, SOL_SOCKET, SO_ERROR},
    {"recv-buffer-size", NUMBER, SOL_SOCKET, SO_RCVBUF},
    {"send-buffer-size", NUMBER, SOL_SOCKET, SO_SNDBUF},
#ifdef TCP_KEEPIDLE
    {"tcp-keepidle", NUMBER, IPPROTO_TCP, TCP_KEEPIDLE},
    {"tcp-keepcnt", NUMBER, IPPROTO_TCP, TCP_KEEPCNT},
    {"tcp-keepintvl", NUMBER, IPPROTO_TCP, TCP_KEEPINTVL},
#endif
    {"ip-multicast-ttl", NUMBER, IPPROTO_IP, IP_MULTICAST_TTL},
    {"ip-multicast-loop", BOOLEAN, IPPROTO_IP, IP_MULTICAST_LOOP},
    {"ip-multicast-if", INTERFACE, IPPROTO_IP, IP_MULTICAST_IF},
    {"ip-add-membership", MEMBERSHIP, IPPROTO_IP, IP_ADD_MEMBERSHIP},
    {"ip-drop-membership", MEMBERSHIP, IPPROTO_IP, IP_DROP_MEMBERSHIP},
    {"ipv6-unicast-hops", NUMBER, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {"ipv6-multicast-hops", NUMBER, IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
    {"ipv6-multicast-loop", BOOLEAN, IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
    {"ipv6-add-membership", MEMBERSHIP6, IPPROTO_IPV6, IPV6_JOIN_GROUP},
    {"ipv6-drop-membership", MEMBERSHIP6, IPPROTO_IPV6, IPV6_LEAVE_GROUP},
    {NULL, 0, 0, 0},
};

static const option *check_option(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  for (const option *o = options; o->name; o++)
    if (!strcmp(o->name, name)) return o;
  luaL_argerror(L, 2, lua_pushfstring(L, "unsupported option `%s'", name));
  return NULL;
}

/* The field of the table at 3 as an IPv4 address; absent: any. */
static struct in_addr check_ipv4(lua_State *L, const char *field) {
  struct in_addr a = {0};
  lua_getfield(L, 3, field);
  const char *text = lua_isnil(L, -1) ? "0.0.0.0" : lua_tostring(L, -1);
  if (text && !strcmp(text, "*")) text = "0.0.0.0";
  if (!text || inet_pton(AF_INET, text, &a) != 1)
    luaL_argerror(L, 3, lua_pushfstring(L, "IPv4 address '%s' expected", field));
  return a;
}

static lua_Integer field_integer(lua_State *L, const char *field) {
  lua_getfield(L, 3, field);
  lua_Integer n = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return n;
}

static int set(lua_State *L, const option *o, const void *value, socklen_t size) {
  if (setsockopt(bide__check_fd(L), o->level, o->opt, value, size)) return bide__socket_failed(L);
  lua_pushinteger(L, 1);
  return 1;
}

static int set_table(lua_State *L, const option *o) {
  luaL_checktype(L, 3, LUA_TTABLE);
  if (o->kind == LINGER) {
    struct linger l = {.l_onoff = (int)field_integer(L, "on"),
                       .l_linger = (int)field_integer(L, "timeout")};
    return set(L, o, &l, sizeof l);
  }
  if (o->kind == MEMBERSHIP) {
    struct ip_mreq m = {check_ipv4(L, "multiaddr"), check_ipv4(L, "interface")};
    return set(L, o, &m, sizeof m);
  }
  struct ipv6_mreq m = {.ipv6mr_interface = (unsigned)field_integer(L, "interface")};
  lua_getfield(L, 3, "multiaddr");
  const char *text = lua_tostring(L, -1);
  if (!text || inet_pton(AF_INET6, text, &m.ipv6mr_multiaddr) != 1)
    return luaL_argerror(L, 3, "IPv6 address 'multiaddr' expected");
  return set(L, o, &m, sizeof m);
}

int bide__socket_setoption(lua_State *L) {
  const option *o = check_option(L);
  int value;
  struct in_addr a;
  switch (o->kind) {
  case BOOLEAN:
    luaL_checktype(L, 3, LUA_TBOOLEAN);
    value = lua_toboolean(L, 3);
    return set(L, o, &value, sizeof value);
  case NUMBER: value = (int)luaL_checkinteger(L, 3); return set(L, o, &value, sizeof value);
  case INTERFACE:
    if (inet_pton(AF_INET, luaL_checkstring(L, 3), &a) != 1)
      return luaL_argerror(L, 3, "IPv4 address expected");
    return set(L, o, &a, sizeof a);
  case ERROR: return luaL_argerror(L, 2, "unsupported option `error'");
  default: return set_table(L, o);
  }
}

/* `error` gives the code, or nothing when there is none; LINGER a table. */
int bide__socket_getoption(lua_State *L) {
  const option *o = check_option(L);
  struct linger l;
  struct in_addr a;
  char text[INET_ADDRSTRLEN];
  int value = 0;
  void *p = o->kind == LINGER ? (void *)&l : o->kind == INTERFACE ? (void *)&a : &value;
  socklen_t size = o->kind == LINGER ? sizeof l : o->kind == INTERFACE ? sizeof a : sizeof value;
  if (o->kind == MEMBERSHIP || o->kind == MEMBERSHIP6)
    return luaL_argerror(L, 2, lua_pushfstring(L, "unsupported option `%s'", o->name));
  if (getsockopt(bide__check_fd(L), o->level, o->opt, p, &size)) return bide__socket_failed(L);
  if (o->kind == ERROR) {
    errno = value;
    return value ? bide__socket_failed(L) : 0;
  }
  if (o->kind == LINGER) {
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, l.l_onoff);
    lua_setfield(L, -2, "on");
    lua_pushinteger(L, l.l_linger);
    lua_setfield(L, -2, "timeout");
  } else if (o->kind == INTERFACE) {
    lua_pushstring(L, inet_ntop(AF_INET, &a, text, sizeof text));
  } else if (o->kind == BOOLEAN) {
    lua_pushboolean(L, value);
  } else {
    lua_pushinteger(L, value);
  }
  return 1;
}
