/* SPDX-License-Identifier: MIT */
/* stream_read.c: reading from streams.
 *
 * A reader is a step that is taken again and again: it makes its result of what is there, or takes
 * more from the connection, or waits until there is more. What comes first is taken into the loop's
 * shared buffer, and the string made of that when it is all there: one copy (spec/copies_spec.lua
 * counts). What is not goes to the stream's own buffer, so that nothing is lost when a reader is
 * cancelled or fails; that of read_exactly, whose size is known, goes there at once.
 *
 * Why no reading ahead: what stays in the kernel slows the peer down and costs no memory, and after
 * a cancelled read every byte is where it was. The price, one wake-up before each recv, is paid by
 * the task switch that a waiting read makes anyhow; measured against raw libuv in bench/.
 *
 * Stack of a reader: 1 the stream, 2… its arguments, made complete before the first step. */
#include "options.h"
#include "stream.h"
#include "core/error.h"

#include <string.h>

#define SMALL   4096  /* first size of a buffer; shorter plain reads go through it as well */
#define TAKE    65536 /* most that is taken at once */
#define TURNS   4     /* takes in a row until others get their turn */
#define ADVANCE (1024 * 1024) /* most that is set aside for bytes that have not come yet */

/* ---- the buffer ---- */

static size_t available(const bide_stream *s) {
  return s->in ? s->in->end - s->in->start : 0;
}

static const char *bytes(const bide_stream *s) {
  return s->in->data + s->in->start;
}

void bide__inbuf_free(bide_host *h, bide_stream *s) {
  if (s->in) bide__free(h, s->in, sizeof *s->in + s->in->cap);
  s->in = NULL;
}

/* Makes room for `want` more bytes. 0 or UV_ENOMEM, with everything as it was. */
static int reserve(bide_host *h, bide_stream *s, size_t want) {
  bide_inbuf *b = s->in;
  if (b && b->cap - b->end >= want) return 0;
  size_t have = available(s), cap = b ? b->cap : 0;
  if (have + want > cap) {
    for (cap = cap ? cap : SMALL; cap < have + want; cap *= 2) continue;
    bide_inbuf *n = bide__alloc(h, sizeof *n + cap);
    if (!n) return UV_ENOMEM;
    *n = (bide_inbuf){.cap = cap, .end = have, .scanned = b ? b->scanned : 0};
    if (b) memcpy(n->data, b->data + b->start, have);
    bide__inbuf_free(h, s);
    s->in = n;
    return 0;
  }
  memmove(b->data, b->data + b->start, have);
  b->start = 0;
  b->end = have;
  return 0;
}

/* Removes n bytes from the front; an empty buffer is given back. */
static void consume(bide_host *h, bide_stream *s, size_t n) {
  s->in->start += n;
  s->in->scanned = 0;
  if (s->in->start == s->in->end) bide__inbuf_free(h, s);
}

/* One recv, remembering how the stream ended. */
static ssize_t take(bide_stream *s, char *p, size_t n) {
  if (s->error) return s->error;
  if (s->eof) return UV_EOF;
  ssize_t got = bide__conn_recv(s->conn, p, n);
  if (got == UV_EOF) s->eof = 1;
  else if (got < 0 && got != UV_EAGAIN) s->error = (int)got;
  return got;
}

/* Takes what is there into the buffer; `hint`: how much is still missing, 0 when not known. */
static ssize_t fill(bide_host *h, bide_stream *s, size_t hint) {
  size_t want = s->in ? s->in->cap / 2 : SMALL;
  if (want > TAKE) want = TAKE;
  if (hint > want) want = hint < ADVANCE ? hint : ADVANCE;
  if (reserve(h, s, want)) return UV_ENOMEM;
  bide_inbuf *b = s->in;
  size_t room = b->cap - b->end, most = want > TAKE ? want : TAKE;
  ssize_t got = take(s, b->data + b->end, room < most ? room : most);
  if (got > 0) b->end += (size_t)got;
  else if (b->start == b->end) bide__inbuf_free(h, s);
  return got;
}

/* Puts what lies in the shared buffer into the stream's own, which is empty. */
static int keep(bide_host *h, bide_stream *s, const char *p, size_t n) {
  if (!n) return 0;
  if (reserve(h, s, n)) return s->error = UV_ENOMEM; /* bytes are lost: nothing may follow them */
  memcpy(s->in->data, p, n);
  s->in->end = n;
  return 0;
}

/* ---- waiting ---- */

static void let_go(bide_wait *w) {
  bide_stream *s = bide__io(bide__wait_owner(w))->data;
  if (!s || s->reader != w) return;
  s->reader = NULL;
  if (s->conn) bide__conn_unwant(s->conn, UV_READABLE);
}

static void abort_read(bide_wait *w, int status) {
  bide_stream *s = bide__io(w->task)->data;
  bide__conn_unwant(s->conn, UV_READABLE);
  bide__wake(w, status);
}

static void describe_read(const bide_wait *w, char *buf, size_t size) {
  const bide_stream *s = bide__io(w->task)->data;
  size_t n = size > 5 ? 5 : 0;
  memcpy(buf, "read ", n);
  if (s) bide__stream_text(s, buf + n, size - n);
}

static const bide_waitops read_ops = {"read", abort_read, describe_read, let_go, 0};

static int busy(lua_State *L, bide_host *h, const bide_stream *s, const char *op) {
  char text[BIDE_ADDR_TEXT + 16];
  bide__error_push(L, h, "EBUSY", op,
                   "%s: another task is reading from this stream (let one read for all)",
                   bide__stream_text(s, text, sizeof text));
  bide__stream_set_peer(L, s);
  return lua_error(L);
}

static int wait_readable(lua_State *L, bide_host *h, bide_stream *s, bide_kwait k, const char *op) {
  bide_wait *w = &h->current->own;
  if (s->reader) return busy(L, h, s, op);
  int status = bide__conn_want(s->conn, UV_READABLE);
  if (status) return bide__stream_fail(L, h, s, status, op);
  bide__wait_init(h, w, &read_ops);
  bide__io(h->current)->data = s;
  s->reader = w;
  return bide__suspend(L, h, w, &read_ops, k);
}

/* The common beginning of a continuation: the stream, or an error. */
static bide_stream *woken(lua_State *L, bide_host *h, const bide_wait *w, const char *op) {
  bide_stream *s = lua_touserdata(L, 1);
  if (s->reader == w) s->reader = NULL;
  if (w->status < 0) bide__stream_fail(L, h, s, w->status, op);
  if (!s->conn) bide__stream_fail(L, h, s, UV_EBADF, op);
  return s;
}

/* Begins a reader whose arguments stand on the stack: at once, if it can be. */
static int start(lua_State *L, bide_host *h, bide_kwait k) {
  return bide__complete(L, h, &h->current->own, 0, k);
}

/* After TURNS takes in a row from a peer that is faster than we are. */
static int give_way(lua_State *L, bide_host *h, bide_kwait k) {
  h->fast = UINT16_MAX - 1;
  return start(L, h, k);
}

static bide_stream *begin(lua_State *L, bide_host *h, const char *op) {
  bide_stream *s = bide__stream_begin(L, h, op);
  if (s && s->reader) busy(L, h, s, op);
  return s;
}

static int push_front(lua_State *L, bide_host *h, bide_stream *s, size_t n, size_t skip) {
  lua_pushlstring(L, n ? bytes(s) : "", n);
  if (n + skip) consume(h, s, n + skip);
  return 1;
}

static int too_big(lua_State *L, bide_host *h, const bide_stream *s, size_t limit, const char *op) {
  char text[BIDE_ADDR_TEXT + 16];
  bide__error_push(L, h, "ETOOBIG", op, "%s: more than the limit of %I bytes (option limit)",
                   bide__stream_text(s, text, sizeof text), (LUAI_UACINT)limit);
  lua_pushinteger(L, (lua_Integer)limit);
  lua_setfield(L, -2, "limit");
  bide__stream_set_peer(L, s);
  return lua_error(L);
}

/* The stream has ended in the middle; what there was goes into the error. */
static int cut_short(lua_State *L, bide_host *h, bide_stream *s, const char *op) {
  char text[BIDE_ADDR_TEXT + 16];
  size_t n = available(s);
  bide__error_push(L, h, "EOF", op, "%s: the stream ended after %I bytes",
                   bide__stream_text(s, text, sizeof text), (LUAI_UACINT)n);
  bide__stream_set_peer(L, s);
  push_front(L, h, s, n, 0);
  lua_setfield(L, -2, "partial");
  return lua_error(L);
}

/* ---- read(max) ---- */

static int k_read(lua_State *L, bide_host *h, bide_wait *w) {
  bide_stream *s = woken(L, h, w, "read");
  size_t max = (size_t)lua_tointeger(L, 2), have = available(s);
  ssize_t got;
  if (!have && max < SMALL) {
    got = fill(h, s, 0);
    have = available(s);
  } else if (!have) {
    char *buf = bide__read_buffer(h);
    got = buf ? take(s, buf, max < BIDE_READ_BUFFER ? max : BIDE_READ_BUFFER) : UV_ENOMEM;
    if (got > 0) {
      bide__io_weigh(h, (size_t)got);
      lua_pushlstring(L, buf, (size_t)got);
      return 1;
    }
  } else {
    got = 1;
  }
  if (have) return push_front(L, h, s, have < max ? have : max, 0);
  if (got == UV_EAGAIN) return wait_readable(L, h, s, k_read, "read");
  if (got != UV_EOF) return bide__stream_fail(L, h, s, (int)got, "read");
  lua_pushnil(L);
  return 1;
}

static int l_read(lua_State *L) {
  bide_host *h = bide__host(L);
  bide__check_stream(L);
  if (lua_type(L, 2) == LUA_TSTRING) bide__type_error(L, 2, "number of bytes");
  lua_Integer max = luaL_optinteger(L, 2, BIDE_READ_BUFFER);
  luaL_argcheck(L, max > 0, 2, "a number of bytes above 0 expected");
  if (!begin(L, h, "read")) return bide__refuse(L, h);
  lua_settop(L, 1);
  lua_pushinteger(L, max);
  return start(L, h, k_read);
}

/* ---- read_exactly(n) ---- */

static int k_exactly(lua_State *L, bide_host *h, bide_wait *w) {
  static const char op[] = "read_exactly";
  bide_stream *s = woken(L, h, w, op);
  size_t n = (size_t)lua_tointeger(L, 2);
  for (int turn = 0; available(s) < n; turn++) {
    if (turn == TURNS) return give_way(L, h, k_exactly);
    ssize_t got = fill(h, s, n - available(s));
    if (got > 0) continue;
    if (got == UV_EAGAIN) return wait_readable(L, h, s, k_exactly, op);
    if (got != UV_EOF) return bide__stream_fail(L, h, s, (int)got, op);
    if (available(s)) return cut_short(L, h, s, op);
    lua_pushnil(L);
    return 1;
  }
  return push_front(L, h, s, n, 0);
}

static int l_read_exactly(lua_State *L) {
  bide_host *h = bide__host(L);
  bide__check_stream(L);
  luaL_argcheck(L, luaL_checkinteger(L, 2) >= 0, 2, "a number of bytes, 0 or more, expected");
  luaL_argcheck(L, lua_tointeger(L, 2) <= (lua_Integer)1 << 40, 2, "too many bytes");
  if (!begin(L, h, "read_exactly")) return bide__refuse(L, h);
  lua_settop(L, 2);
  return start(L, h, k_exactly);
}

/* ---- read_until(delimiter), read_line() ---- */

enum { DELIM = 2, LIMIT, KEEP, IS_LINE };

/* The offset of the delimiter in what is there, or -1; remembers how far it has looked. */
static ptrdiff_t find(bide_stream *s, const char *delim, size_t n) {
  size_t have = available(s), from = s->in ? s->in->scanned : 0;
  if (have < n) return -1;
  const char *at = memmem(bytes(s) + from, have - from, delim, n);
  if (at) return at - bytes(s);
  s->in->scanned = have - n + 1;
  return -1;
}

/* How much of what stands at `p`, whose delimiter of n bytes begins at `at`, is the result. */
static size_t cut(lua_State *L, const char *p, size_t at, size_t n) {
  if (lua_toboolean(L, KEEP)) return at + n;
  return lua_toboolean(L, IS_LINE) && at && p[at - 1] == '\r' ? at - 1 : at;
}

static int found(lua_State *L, bide_host *h, bide_stream *s, size_t at, size_t n) {
  size_t len = cut(L, bytes(s), at, n);
  return push_front(L, h, s, len, at + n - len);
}

/* Looks through what comes first where it lies. Pushes the result and returns 1; or 0 and what came
 * is in the stream's buffer; or what fill would return. */
static ssize_t find_at_once(lua_State *L, bide_host *h, bide_stream *s, size_t limit) {
  size_t n;
  const char *delim = lua_tolstring(L, DELIM, &n);
  char *buf = bide__read_buffer(h);
  ssize_t got = buf ? take(s, buf, BIDE_READ_BUFFER) : UV_ENOMEM;
  if (got <= 0) return got ? got : UV_EOF;
  const char *at = memmem(buf, (size_t)got, delim, n);
  if (!at || (size_t)(at - buf) > limit) return keep(h, s, buf, (size_t)got);
  size_t end = (size_t)(at - buf) + n;
  if (keep(h, s, buf + end, (size_t)got - end)) return UV_ENOMEM;
  bide__io_weigh(h, end);
  lua_pushlstring(L, buf, cut(L, buf, end - n, n));
  return 1;
}

static int k_until(lua_State *L, bide_host *h, bide_wait *w) {
  int is_line = lua_toboolean(L, IS_LINE);
  const char *op = is_line ? "read_line" : "read_until";
  bide_stream *s = woken(L, h, w, op);
  size_t n, limit = (size_t)lua_tointeger(L, LIMIT);
  const char *delim = lua_tolstring(L, DELIM, &n);
  ssize_t got = s->in ? 0 : find_at_once(L, h, s, limit);
  if (got == 1) return 1;
  for (int turn = 0; got >= 0; turn++) {
    ptrdiff_t at = find(s, delim, n);
    if (at < 0 ? available(s) > limit + n - 1 : (size_t)at > limit)
      return too_big(L, h, s, limit, op);
    if (at >= 0) return found(L, h, s, (size_t)at, n);
    if (turn == TURNS) return give_way(L, h, k_until);
    got = fill(h, s, 0);
  }
  if (got == UV_EAGAIN) return wait_readable(L, h, s, k_until, op);
  if (got != UV_EOF) return bide__stream_fail(L, h, s, (int)got, op);
  if (available(s) && !is_line) return cut_short(L, h, s, op);
  if (available(s)) return push_front(L, h, s, available(s), 0);
  lua_pushnil(L);
  return 1;
}

static const char *const until_options[] = {"limit", "keep", NULL};

/* Replaces the options at idx by limit and keep; of a line, puts its delimiter before them. */
static void until_arguments(lua_State *L, int idx, int is_line) {
  lua_settop(L, idx);
  bide__check_options(L, idx, until_options);
  lua_Integer limit = bide__opt_integer(L, idx, "limit", BIDE_LINE_LIMIT, 0, PTRDIFF_MAX / 4);
  int keep = bide__opt_boolean(L, idx, "keep", 0);
  lua_settop(L, idx - 1);
  if (is_line) lua_pushliteral(L, "\n");
  lua_pushinteger(L, limit);
  lua_pushboolean(L, keep);
  lua_pushboolean(L, is_line);
}

static int l_read_until(lua_State *L) {
  bide_host *h = bide__host(L);
  size_t n;
  bide__check_stream(L);
  luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n > 0, 2, "a delimiter that is not empty expected");
  until_arguments(L, 3, 0);
  if (!begin(L, h, "read_until")) return bide__refuse(L, h);
  return start(L, h, k_until);
}

static int l_read_line(lua_State *L) {
  bide_host *h = bide__host(L);
  bide__check_stream(L);
  until_arguments(L, 2, 1);
  if (!begin(L, h, "read_line")) return bide__refuse(L, h);
  return start(L, h, k_until);
}

/* The iterator of lines(): upvalues 3 to 5 are limit, keep and the stream, whatever it is called
 * with. */
static int l_next_line(lua_State *L) {
  bide_host *h = bide__host(L);
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(5));
  if (!begin(L, h, "read_line")) return bide__refuse(L, h);
  lua_pushliteral(L, "\n");
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_pushvalue(L, lua_upvalueindex(4));
  lua_pushboolean(L, 1);
  return start(L, h, k_until);
}

static int l_lines(lua_State *L) {
  bide__check_stream(L);
  until_arguments(L, 2, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, LIMIT);
  lua_pushvalue(L, KEEP);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_next_line, 5);
  return 1;
}

/* ---- read_all() ---- */

/* Takes all that comes at once; returns how it ended. Up to the end of the stream: pushed. */
static ssize_t all_at_once(lua_State *L, bide_host *h, bide_stream *s, size_t limit) {
  char *buf = bide__read_buffer(h);
  ssize_t got = buf ? 1 : UV_ENOMEM;
  size_t n = 0;
  while (got > 0 && n < BIDE_READ_BUFFER) {
    got = take(s, buf + n, BIDE_READ_BUFFER - n);
    if (got > 0) n += (size_t)got;
  }
  if (got == UV_EOF && n <= limit) lua_pushlstring(L, buf, n);
  else if (buf && keep(h, s, buf, n)) return UV_ENOMEM;
  return got;
}

static int k_all(lua_State *L, bide_host *h, bide_wait *w) {
  bide_stream *s = woken(L, h, w, "read_all");
  size_t limit = (size_t)lua_tointeger(L, 2);
  int top = lua_gettop(L);
  ssize_t got = s->in ? 1 : all_at_once(L, h, s, limit);
  if (lua_gettop(L) > top) return 1;
  for (int turn = 0; got > 0 && available(s) <= limit; turn++) {
    if (turn == TURNS) return give_way(L, h, k_all);
    got = fill(h, s, 0);
  }
  if (available(s) > limit) return too_big(L, h, s, limit, "read_all");
  if (got == UV_EAGAIN) return wait_readable(L, h, s, k_all, "read_all");
  if (got != UV_EOF) return bide__stream_fail(L, h, s, (int)got, "read_all");
  return push_front(L, h, s, available(s), 0);
}

static int l_read_all(lua_State *L) {
  static const char *const names[] = {"limit", NULL};
  bide_host *h = bide__host(L);
  bide__check_stream(L);
  lua_settop(L, 2);
  bide__check_options(L, 2, names);
  lua_Integer limit = bide__opt_integer(L, 2, "limit", BIDE_ALL_LIMIT, 0, PTRDIFF_MAX / 4);
  if (!begin(L, h, "read_all")) return bide__refuse(L, h);
  lua_settop(L, 1);
  lua_pushinteger(L, limit);
  return start(L, h, k_all);
}

const luaL_Reg bide__stream_readers[] = {{"read", l_read},
                                         {"read_exactly", l_read_exactly},
                                         {"read_until", l_read_until},
                                         {"read_line", l_read_line},
                                         {"read_all", l_read_all},
                                         {"lines", l_lines},
                                         {NULL, NULL}};
