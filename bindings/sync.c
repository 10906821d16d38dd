/* SPDX-License-Identifier: MIT */
/* sync.c: bide.lock, semaphore, event, condition, and the guards that hold what was acquired. */
#include "bindings.h"
#include "core/condition.h"
#include "core/error.h"
#include "core/event.h"
#include "core/failure.h"
#include "core/trace.h"

enum { SEM = 1, GUARD = 2, CALLED = 3 };

/* ---- guards ---- */

static bide_guard *check_guard(lua_State *L) {
  bide_guard *g = bide__toguard(L, 1);
  if (!g) bide__type_error(L, 1, "guard");
  return g;
}

static int m_release(lua_State *L) {
  bide__guard_release(check_guard(L));
  return 0;
}

static int mm_guard_tostring(lua_State *L) {
  const bide_guard *g = check_guard(L);
  char where[80];
  lua_pushfstring(L, "bide.Guard: %s, acquired at %s",
                  g->state == BIDE_GUARD_HELD ? "held" : "released",
                  bide__site_text(bide__host(L), g->site, where, sizeof where));
  return 1;
}

/* Nobody can release it any more: that is a mistake of its owner's, and the next one's turn. */
static int mm_guard_gc(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_guard *g = check_guard(L);
  char where[80];
  if (!bide__guard_fini(g) || h->closed || !(h->runs || h->base)) return 0;
  bide__error_push(L, h, "ELOST", g->sem->is_lock ? "lock" : "semaphore",
                   "the guard acquired at %s was collected while held (keep it in a <close> "
                   "variable, or release it); it has been released",
                   bide__site_text(h, g->site, where, sizeof where));
  bide__failure_lost(L, h);
  return 0;
}

/* Puts a guard for the semaphore at 1 on the stack, at 2. */
static bide_guard *new_guard(lua_State *L, bide_host *h) {
  bide_guard *g = bide__guard_push(L, h, SEM);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->mt_guard_ref);
  lua_setmetatable(L, -2);
  lua_insert(L, GUARD);
  return g;
}

/* ---- acquire, with ---- */

static int k_acquire(lua_State *L, bide_host *h, bide_wait *w) {
  bide__sem_asked(lua_touserdata(L, GUARD));
  if (w->status < 0) return bide__raise_status(L, h, w->status, "acquire");
  lua_settop(L, GUARD);
  return 1;
}

static int acquire(lua_State *L) {
  bide_host *h = bide__host(L);
  if (bide__checkpoint(L, h, "acquire")) return bide__refuse(L, h);
  lua_settop(L, SEM);
  return bide__sem_ask(L, h, new_guard(L, h), k_acquire);
}

static int k_called(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L) - GUARD;
}

/* The guard is closed by Lua, whatever way the function ends. */
static int k_with(lua_State *L, bide_host *h, bide_wait *w) {
  bide__sem_asked(lua_touserdata(L, GUARD));
  if (w->status < 0) return bide__raise_status(L, h, w->status, "acquire");
  lua_toclose(L, GUARD);
  lua_callk(L, lua_gettop(L) - CALLED, LUA_MULTRET, 0, k_called);
  return k_called(L, LUA_OK, 0);
}

static int with(lua_State *L) {
  bide_host *h = bide__host(L);
  bide__check_callable(L, 2);
  if (bide__checkpoint(L, h, "with")) return bide__refuse(L, h);
  return bide__sem_ask(L, h, new_guard(L, h), k_with);
}

/* ---- locks, semaphores ---- */

static bide_sem *check_sem(lua_State *L) {
  bide_sem *sem = bide__tosem(L, SEM);
  if (!sem) bide__type_error(L, SEM, "lock or semaphore");
  return sem;
}

static int m_acquire(lua_State *L) {
  check_sem(L);
  return acquire(L);
}

static int m_with(lua_State *L) {
  check_sem(L);
  return with(L);
}

static int m_locked(lua_State *L) {
  lua_pushboolean(L, check_sem(L)->free == 0);
  return 1;
}

static int m_available(lua_State *L) {
  lua_pushinteger(L, check_sem(L)->free);
  return 1;
}

static int mm_sem_tostring(lua_State *L) {
  const bide_sem *sem = check_sem(L);
  if (sem->is_lock)
    lua_pushfstring(L, "bide.Lock: %p (%s)", (const void *)sem, sem->free ? "free" : "held");
  else
    lua_pushfstring(L, "bide.Semaphore: %p (%d of %d free)", (const void *)sem, (int)sem->free,
                    (int)sem->permits);
  return 1;
}

static int mm_sem_gc(lua_State *L) {
  bide__sem_fini(check_sem(L));
  return 0;
}

/* The constructors have the metatable of what they make as second upvalue. */
static int with_metatable(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static int l_lock(lua_State *L) {
  bide__sem_push(L, bide__host(L), 1, 1);
  return with_metatable(L);
}

static int l_semaphore(lua_State *L) {
  int isint;
  lua_Integer n = lua_tointegerx(L, 1, &isint);
  if (lua_type(L, 1) != LUA_TNUMBER) bide__type_error(L, 1, "number of permits (integer)");
  if (!isint || n < 1 || n > INT32_MAX)
    luaL_argerror(L, 1, "the number of permits must be an integer from 1 to 2^31-1");
  bide__sem_push(L, bide__host(L), (uint32_t)n, 0);
  return with_metatable(L);
}

/* ---- events ---- */

static bide_event *check_event(lua_State *L) {
  bide_event *e = bide__toevent(L, 1);
  if (!e) bide__type_error(L, 1, "event");
  return e;
}

static int l_event(lua_State *L) {
  bide__event_push(L, bide__host(L));
  return with_metatable(L);
}

static int m_event_set(lua_State *L) {
  bide__event_set(check_event(L));
  return 0;
}

static int m_event_clear(lua_State *L) {
  check_event(L)->set = 0;
  return 0;
}

static int m_event_is_set(lua_State *L) {
  lua_pushboolean(L, check_event(L)->set);
  return 1;
}

static int m_event_wait(lua_State *L) {
  bide_event *e = check_event(L);
  lua_settop(L, 1);
  return bide__event_wait(L, bide__host(L), e);
}

static int mm_event_tostring(lua_State *L) {
  const bide_event *e = check_event(L);
  lua_pushfstring(L, "bide.Event: %p (%s)", (const void *)e, e->set ? "set" : "not set");
  return 1;
}

static int mm_event_gc(lua_State *L) {
  bide__event_fini(check_event(L));
  return 0;
}

/* ---- conditions ---- */

static bide_cond *check_cond(lua_State *L) {
  bide_cond *c = bide__tocond(L, 1);
  if (!c) bide__type_error(L, 1, "condition");
  return c;
}

/* condition(lock?): over a lock of its own (its metatable: upvalue 3) unless one is given. */
static int l_condition(lua_State *L) {
  bide_host *h = bide__host(L);
  const bide_sem *lock = bide__tosem(L, 1);
  if (lua_isnoneornil(L, 1)) {
    bide__sem_push(L, h, 1, 1);
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_setmetatable(L, -2);
  } else if (!lock || !lock->is_lock) {
    return bide__type_error(L, 1, "lock");
  } else {
    lua_pushvalue(L, 1);
  }
  bide__cond_push(L, h, -1);
  return with_metatable(L);
}

static bide_cond *check_held(lua_State *L, const char *op) {
  bide_cond *c = check_cond(L);
  if (!bide__cond_held(c))
    bide__error(L, bide__host(L), "EPERM", op,
                "the running task does not hold the lock (acquire it first)");
  return c;
}

static void to_lock(lua_State *L) {
  check_cond(L);
  lua_getiuservalue(L, 1, 1);
  lua_replace(L, 1);
}

static int m_cond_acquire(lua_State *L) {
  to_lock(L);
  return acquire(L);
}

static int m_cond_with(lua_State *L) {
  to_lock(L);
  return with(L);
}

static int waited(lua_State *L, bide_host *h, bide_wait *w) {
  bide__cond_waited(w);
  if (w->status == UV_EBADF)
    return bide__error(L, h, "EBADF", "wait", "the guard was released during the wait");
  return w->status < 0 ? bide__raise_status(L, h, w->status, "wait") : 0;
}

static int m_cond_wait(lua_State *L) {
  bide_host *h = bide__host(L);
  check_cond(L);
  lua_settop(L, 1);
  if (bide__checkpoint(L, h, "wait")) return bide__refuse(L, h);
  return bide__cond_wait(L, h, check_held(L, "wait"), waited);
}

/* ---- wait_for: 1 the condition, 2 the predicate ---- */

static int test(lua_State *L, bide_host *h);

static int k_waited(lua_State *L, bide_host *h, bide_wait *w) {
  waited(L, h, w);
  return test(L, h);
}

static int k_tested(lua_State *L, int status, lua_KContext ctx) {
  bide_host *h = bide__host(L);
  (void)status;
  (void)ctx;
  if (lua_toboolean(L, -1)) return 1;
  lua_settop(L, 2);
  if (bide__checkpoint(L, h, "wait_for")) return bide__refuse(L, h);
  return bide__cond_wait(L, h, check_held(L, "wait_for"), k_waited);
}

static int test(lua_State *L, bide_host *h) {
  (void)h;
  lua_pushvalue(L, 2);
  lua_callk(L, 0, 1, 0, k_tested);
  return k_tested(L, LUA_OK, 0);
}

static int m_cond_wait_for(lua_State *L) {
  bide_host *h = bide__host(L);
  bide__check_callable(L, 2);
  lua_settop(L, 2);
  if (bide__checkpoint(L, h, "wait_for")) return bide__refuse(L, h);
  check_held(L, "wait_for");
  return test(L, h);
}

static int m_notify(lua_State *L) {
  lua_Integer n = luaL_optinteger(L, 2, 1);
  if (n < 0) luaL_argerror(L, 2, "the number of tasks to notify must be 0 or more");
  bide__cond_notify(check_held(L, "notify"), n > UINT32_MAX ? UINT32_MAX : (uint32_t)n);
  return 0;
}

static int m_notify_all(lua_State *L) {
  bide__cond_notify(check_held(L, "notify_all"), UINT32_MAX);
  return 0;
}

static int mm_cond_gc(lua_State *L) {
  bide__cond_fini(check_cond(L));
  return 0;
}

/* ---- opening ---- */

static const luaL_Reg guard_methods[] = {{"release", m_release}, {NULL, NULL}};
static const luaL_Reg guard_meta[] = {
    {"__close", m_release}, {"__gc", mm_guard_gc}, {"__tostring", mm_guard_tostring}, {NULL, NULL}};
static const luaL_Reg lock_methods[] = {
    {"acquire", m_acquire}, {"with", m_with}, {"locked", m_locked}, {NULL, NULL}};
static const luaL_Reg sem_methods[] = {
    {"acquire", m_acquire}, {"with", m_with}, {"available", m_available}, {NULL, NULL}};
static const luaL_Reg sem_meta[] = {
    {"__tostring", mm_sem_tostring}, {"__gc", mm_sem_gc}, {NULL, NULL}};
static const luaL_Reg event_methods[] = {{"set", m_event_set},
                                         {"clear", m_event_clear},
                                         {"is_set", m_event_is_set},
                                         {"wait", m_event_wait},
                                         {NULL, NULL}};
static const luaL_Reg event_meta[] = {
    {"__tostring", mm_event_tostring}, {"__gc", mm_event_gc}, {NULL, NULL}};
static const luaL_Reg cond_methods[] = {{"acquire", m_cond_acquire},
                                        {"with", m_cond_with},
                                        {"wait", m_cond_wait},
                                        {"wait_for", m_cond_wait_for},
                                        {"notify", m_notify},
                                        {"notify_all", m_notify_all},
                                        {NULL, NULL}};
static const luaL_Reg cond_meta[] = {{"__gc", mm_cond_gc}, {NULL, NULL}};

/* The metatable on top of the stack (popped) becomes the constructor `name` of the module at
 * `module`. */
static void add_constructor(lua_State *L, int host, int module, const char *name,
                            lua_CFunction make) {
  lua_pushvalue(L, host);
  lua_insert(L, -2);
  lua_pushcclosure(L, make, 2);
  lua_setfield(L, module, name);
}

void bide__open_sync(lua_State *L, int host) {
  bide_host *h = lua_touserdata(L, host);
  int module = lua_gettop(L);
  bide__new_metatable(L, host, "bide.Guard", guard_methods, guard_meta);
  h->mt_guard_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  bide__new_metatable(L, host, "bide.Semaphore", sem_methods, sem_meta);
  add_constructor(L, host, module, "semaphore", l_semaphore);
  bide__new_metatable(L, host, "bide.Event", event_methods, event_meta);
  add_constructor(L, host, module, "event", l_event);
  bide__new_metatable(L, host, "bide.Lock", lock_methods, sem_meta);
  lua_pushvalue(L, -1);
  add_constructor(L, host, module, "lock", l_lock);
  lua_pushvalue(L, host);
  bide__new_metatable(L, host, "bide.Condition", cond_methods, cond_meta);
  lua_rotate(L, -3, -1); /* host, its metatable, the one of locks */
  lua_pushcclosure(L, l_condition, 3);
  lua_setfield(L, module, "condition");
}
