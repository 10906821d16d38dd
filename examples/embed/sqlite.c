/* SPDX-License-Identifier: MIT */
/* sqlite.c: SQLite as an async Lua module: a call runs on libuv's thread pool while its task waits,
 * and ends early when the task is cancelled. For the program `bide`, or any host:
 *     cc -shared -fPIC -o sqlite.so sqlite.c $(pkg-config --cflags bide sqlite3) -lsqlite3
 * open(path) → db; db:exec(sql, ...) → list of rows by name of column. Calls to one take turns. */
#include <stdatomic.h>
#include <stdlib.h>
#include <bide.h>
#include <lauxlib.h>
#include <sqlite3.h>

typedef struct connection {
  sqlite3 *db;
  int refs; /* its userdata and each call under way; counted on the loop's thread */
} connection;

enum { MAX = 100 };   /* parameters, columns */
typedef struct call { /* all that it needs, out of reach of Lua; owns what it points to */
  connection *c;
  atomic_int stop; /* set by the loop's thread while the pool's works */
  int nparams, ncols, ncells, types[MAX];
  char *sql, *message, *names[MAX], *texts[MAX];
  lua_Integer integers[MAX];
  lua_Number numbers[MAX];
  sqlite3_value **cells;
} call;

static void release(connection *c) {
  if (--c->refs > 0) return;
  sqlite3_close(c->db);
  free(c);
}

static void drop(void *arg) {
  call *q = arg;
  while (q->ncells > 0) sqlite3_value_free(q->cells[--q->ncells]);
  while (q->ncols > 0) sqlite3_free(q->names[--q->ncols]);
  while (q->nparams > 0) sqlite3_free(q->texts[--q->nparams]);
  sqlite3_free(q->cells), sqlite3_free(q->sql), sqlite3_free(q->message);
  release(q->c);
  free(q);
}

static void cancel(void *arg) {
  atomic_store(&((call *)arg)->stop, 1);
}

static int is_stopped(void *arg) {
  return atomic_load(&((call *)arg)->stop);
}

static int take_row(call *q, sqlite3_stmt *s) {
  void *cells = sqlite3_realloc64(q->cells, sizeof *q->cells * (size_t)(q->ncells + MAX));
  if (cells) q->cells = cells;
  for (int i = 0; cells && i < q->ncols; i++)
    q->cells[q->ncells++] = sqlite3_value_dup(sqlite3_column_value(s, i));
  return cells != NULL;
}

static void work(void *arg) { /* on a thread of the pool */
  call *q = arg;
  sqlite3 *db = q->c->db;
  sqlite3_stmt *s = NULL;
  sqlite3_mutex_enter(sqlite3_db_mutex(db));
  sqlite3_progress_handler(db, 1000, is_stopped, q);
  int rc = sqlite3_prepare_v2(db, q->sql, -1, &s, NULL);
  for (int i = 1; s && i <= q->nparams; i++) {
    if (q->texts[i - 1]) sqlite3_bind_text(s, i, q->texts[i - 1], -1, SQLITE_STATIC);
    else if (q->types[i - 1] == LUA_TNUMBER) sqlite3_bind_double(s, i, q->numbers[i - 1]);
    else if (q->types[i - 1] == LUA_TBOOLEAN) sqlite3_bind_int64(s, i, q->integers[i - 1]);
  }
  for (; s && q->ncols < sqlite3_column_count(s) && q->ncols < MAX; q->ncols++)
    q->names[q->ncols] = sqlite3_mprintf("%s", sqlite3_column_name(s, q->ncols));
  while (s && (rc = sqlite3_step(s)) == SQLITE_ROW && take_row(q, s)) {}
  if (rc != SQLITE_OK && rc != SQLITE_DONE) q->message = sqlite3_mprintf("%s", sqlite3_errmsg(db));
  sqlite3_finalize(s);
  sqlite3_mutex_leave(sqlite3_db_mutex(db));
}

static void push(lua_State *L, sqlite3_value *v) {
  int type = v ? sqlite3_value_type(v) : SQLITE_NULL;
  if (type == SQLITE_INTEGER) lua_pushinteger(L, sqlite3_value_int64(v));
  else if (type == SQLITE_FLOAT) lua_pushnumber(L, sqlite3_value_double(v));
  else if (type == SQLITE_NULL) lua_pushnil(L);
  else lua_pushlstring(L, sqlite3_value_blob(v), (size_t)sqlite3_value_bytes(v));
}

static int done(lua_State *L, void *arg) { /* in the task again */
  const call *q = arg;
  if (q->message) return bide_raise(L, "ESQLITE", "exec", q->message);
  lua_newtable(L);
  for (int i = 0; i < q->ncells; i++) {
    if (i % q->ncols == 0) lua_newtable(L);
    push(L, q->cells[i]);
    lua_setfield(L, -2, q->names[i % q->ncols]);
    if ((i + 1) % q->ncols == 0) lua_rawseti(L, -2, i / q->ncols + 1);
  }
  return 1;
}

static int l_exec(lua_State *L) {
  static const bide_job job = {work, done, cancel, drop};
  connection **box = luaL_checkudata(L, 1, "sqlite.connection");
  const char *sql = luaL_checkstring(L, 2);
  luaL_argcheck(L, *box, 1, "the connection is closed");
  luaL_argcheck(L, lua_gettop(L) <= MAX + 2, MAX + 3, "too many parameters");
  call *q = calloc(1, sizeof *q);
  if (!q) return luaL_error(L, "not enough memory");
  (q->c = *box)->refs++;
  q->sql = sqlite3_mprintf("%s", sql);
  for (int i = 3; i <= lua_gettop(L); i++, q->nparams++) {
    q->types[i - 3] = lua_isinteger(L, i) ? LUA_TBOOLEAN : lua_type(L, i);
    q->integers[i - 3] = lua_isboolean(L, i) ? lua_toboolean(L, i) : lua_tointeger(L, i);
    q->numbers[i - 3] = lua_tonumber(L, i);
    if (lua_type(L, i) == LUA_TSTRING) q->texts[i - 3] = sqlite3_mprintf("%s", lua_tostring(L, i));
  }
  return bide_work(L, &job, q);
}

static int l_close(lua_State *L) {
  connection **box = luaL_checkudata(L, 1, "sqlite.connection");
  if (*box) release(*box);
  *box = NULL;
  return 0;
}

static int l_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  connection **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, "sqlite.connection");
  if (!(*box = calloc(1, sizeof **box))) return luaL_error(L, "not enough memory");
  (*box)->refs = 1;
  if (sqlite3_open(path, &(*box)->db) == SQLITE_OK) return 1;
  return bide_raise(L, "ESQLITE", "open", sqlite3_errmsg((*box)->db));
}

int luaopen_sqlite(lua_State *L); /* require finds it */
int luaopen_sqlite(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"exec", l_exec}, {"close", l_close}, {"__close", l_close}, {"__gc", l_close}, {NULL, NULL}};
  luaL_newmetatable(L, "sqlite.connection");
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
