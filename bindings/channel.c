/* SPDX-License-Identifier: MIT */
/* channel.c: bide.channel and bide.select. */
#include "bindings.h"
#include "core/channel.h"
#include "core/error.h"
#include "core/select.h"

#include <math.h>
#include <string.h>

enum { CASES_MAX = 100000 };

static bide_chan *check_channel(lua_State *L, int idx) {
  bide_chan *ch = bide__tochan(L, idx);
  if (!ch) bide__type_error(L, idx, "channel");
  return ch;
}

static void check_value(lua_State *L, int idx) {
  if (lua_isnoneornil(L, idx)) luaL_argerror(L, idx, "a value expected (nil cannot be sent)");
}

static uint32_t check_capacity(lua_State *L, int arg) {
  int isint;
  lua_Integer n;
  if (lua_isnoneornil(L, arg)) return 0;
  if (lua_type(L, arg) != LUA_TNUMBER) bide__type_error(L, arg, "capacity (integer)");
  if (lua_tonumber(L, arg) == (lua_Number)HUGE_VAL) return BIDE_CHANNEL_MAX;
  n = lua_tointegerx(L, arg, &isint);
  if (!isint || n < 0 || n > BIDE_CHANNEL_MAX)
    luaL_argerror(L, arg, "the capacity must be an integer from 0 to 2^31-1, or math.huge");
  return (uint32_t)n;
}

/* The metatable is the second upvalue. */
static int l_channel(lua_State *L) {
  bide__chan_push(L, bide__host(L), check_capacity(L, 1));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static int m_send(lua_State *L) {
  bide_chan *ch = check_channel(L, 1);
  check_value(L, 2);
  lua_settop(L, 2);
  return bide__chan_send(L, bide__host(L), ch);
}

/* Also the iterator: `for v in ch` calls the channel. */
static int m_recv(lua_State *L) {
  bide_chan *ch = check_channel(L, 1);
  lua_settop(L, 1);
  return bide__chan_recv(L, bide__host(L), ch);
}

static int m_try_send(lua_State *L) {
  bide_chan *ch = check_channel(L, 1);
  check_value(L, 2);
  if (ch->closed)
    return bide__error(L, bide__host(L), "EBADF", "try_send", "the channel is closed");
  lua_pushboolean(L, bide__chan_give(L, ch, 1, 2));
  return 1;
}

static int m_try_recv(lua_State *L) {
  return bide__chan_take(L, check_channel(L, 1), 1);
}

static int m_close(lua_State *L) {
  bide__chan_close(check_channel(L, 1));
  return 0;
}

static int m_closed(lua_State *L) {
  lua_pushboolean(L, check_channel(L, 1)->closed);
  return 1;
}

static int mm_len(lua_State *L) {
  lua_pushinteger(L, check_channel(L, 1)->used);
  return 1;
}

static int mm_tostring(lua_State *L) {
  const bide_chan *ch = check_channel(L, 1);
  lua_pushfstring(L, "bide.Channel: %p (%d of %d%s)", (const void *)ch, (int)ch->used,
                  (int)ch->capacity, ch->closed ? ", closed" : "");
  return 1;
}

static int mm_gc(lua_State *L) {
  bide__chan_fini(check_channel(L, 1));
  return 0;
}

/* ---- select ---- */

static int case_error(lua_State *L, lua_Integer i, const char *what) {
  return luaL_argerror(L, 1, lua_pushfstring(L, "case %I: %s", (LUAI_UACINT)i, what));
}

/* The case on top of the stack, number i: its channel and its value go to the tables at 2 and 3. */
static void read_case(lua_State *L, lua_Integer i) {
  int top = lua_gettop(L);
  if (!lua_istable(L, top)) case_error(L, i, "{channel} or {channel, value} expected");
  lua_rawgeti(L, top, 1);
  if (!bide__tochan(L, -1)) case_error(L, i, "a channel expected first");
  lua_rawseti(L, 2, i);
  lua_rawgeti(L, top, 2);
  lua_rawseti(L, 3, i);
  lua_settop(L, top - 1);
}

static double read_timeout(lua_State *L) {
  double s = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(s >= 0))
    luaL_argerror(L, 1, "'timeout' must be seconds, 0 or more");
  return s;
}

/* Reads the cases from the table at 1; the stack becomes (channels, values). Returns how many. */
static uint32_t read_cases(lua_State *L, double *seconds) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1), seen = 0;
  lua_settop(L, 1);
  if (n > CASES_MAX) luaL_argerror(L, 1, "too many cases");
  lua_createtable(L, (int)n, 0);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= n) {
      read_case(L, lua_tointeger(L, -2));
      seen++;
      continue;
    }
    if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "timeout") != 0)
      luaL_argerror(L, 1, lua_pushfstring(L, "unknown key '%s'", luaL_tolstring(L, -2, NULL)));
    *seconds = read_timeout(L);
    lua_pop(L, 1);
  }
  if (seen != n) luaL_argerror(L, 1, "a list of cases with a hole");
  if (n == 0) luaL_argerror(L, 1, "the list is empty");
  lua_remove(L, 1);
  return (uint32_t)n;
}

static int l_select(lua_State *L) {
  bide_host *h = bide__host(L);
  double seconds = -1;
  uint32_t n;
  luaL_checktype(L, 1, LUA_TTABLE);
  n = read_cases(L, &seconds);
  if (bide__checkpoint(L, h, "select")) return bide__refuse(L, h);
  return bide__select(L, h, n, seconds);
}

static const luaL_Reg methods[] = {
    {"send", m_send},         {"recv", m_recv},         {"close", m_close}, {"closed", m_closed},
    {"try_send", m_try_send}, {"try_recv", m_try_recv}, {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__call", m_recv},          {"__len", mm_len}, {"__close", m_close},
    {"__tostring", mm_tostring}, {"__gc", mm_gc},   {NULL, NULL},
};

static const luaL_Reg functions[] = {{"select", l_select}, {NULL, NULL}};

void bide__open_channel(lua_State *L, int host) {
  bide__add_lib(L, host, functions);
  lua_pushvalue(L, host);
  bide__new_metatable(L, host, "bide.Channel", methods, meta);
  lua_pushcclosure(L, l_channel, 2);
  lua_setfield(L, -2, "channel");
}
