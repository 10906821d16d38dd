/* SPDX-License-Identifier: MIT */
/* stream.h: a connection as Lua sees it: what tcp, unix and tls hand out.
 *
 * The stream is a userdata that owns its connection; both know of each other until one is closed.
 * It pulls: nothing is read that nobody asks for. What a reader needs beyond what it returns (the
 * rest behind a line) stands in `in`, which exists only while it is not empty. */
#ifndef BIDE_STREAM_H
#define BIDE_STREAM_H

#include "bindings.h"
#include "io.h"
#include "net/conn.h"

#define BIDE_LINE_LIMIT (1 << 20)
#define BIDE_ALL_LIMIT  (64 << 20)

typedef struct bide_inbuf {
  size_t cap, start, end;
  size_t scanned; /* no delimiter begins before start + scanned */
  char data[];
} bide_inbuf;

/* The server's hold on a connection that it has accepted (server.c). */
typedef struct bide_handled bide_handled;

typedef struct bide_stream {
  bide_conn *conn;      /* owned; NULL once closed */
  bide_wait *reader;    /* of the task that waits to read, or NULL; in that task */
  bide_task *writers;   /* those that wait for the queue to shrink, in order */
  bide_inbuf *in;       /* owned */
  bide_handled *server; /* told at the close and the detaching; NULL for others' streams */
  int error;            /* of a read: what every later one raises */
  unsigned char eof;
  bide_addr last; /* the peer of a closed one, for errors; family 0: not known */
} bide_stream;

/* Pushes a new stream, closed. May raise (memory). */
bide_stream *bide__stream_push(lua_State *L);
/* Opens it: the connection is the stream's from now on. Can't fail. */
void bide__stream_adopt(bide_stream *s, bide_conn *c);
/* For bide__track, of streams that a script opens itself. */
extern const struct bide_tracked bide__stream_tracked;
/* The stream at idx or NULL. */
bide_stream *bide__tostream(lua_State *L, int idx);
/* Closes: who waits is woken with UV_EBADF. `gently`: what is queued is sent first, in the
 * background. Idempotent, runs no Lua. */
void bide__stream_close(bide_stream *s, int gently);

/* The stream at index 1 of one of its methods (metatable is the second upvalue), or an error. */
bide_stream *bide__check_stream(lua_State *L);
/* The beginning of every operation: the stream at 1, which must be open, in a task that may wait.
 * NULL: `return bide__refuse(L, h)`. */
bide_stream *bide__stream_begin(lua_State *L, bide_host *h, const char *op);
/* Raises what has gone wrong with `s` (may be closed), with host and port of its peer. */
int bide__stream_fail(lua_State *L, bide_host *h, const bide_stream *s, int status, const char *op);
/* "127.0.0.1:5432", also of a closed one; "unix socket". */
const char *bide__stream_text(const bide_stream *s, char *buf, size_t size);
/* Sets host and port of the peer, where it has them, in the error on top. */
void bide__stream_set_peer(lua_State *L, const bide_stream *s);

extern const luaL_Reg bide__stream_readers[], bide__stream_writers[];
/* Wakes all writers. */
void bide__stream_wake_writers(bide_stream *s, int status);
void bide__stream_on_drain(bide_conn *c);
void bide__inbuf_free(bide_host *h, bide_stream *s);

/* Makes the metatable, once per state. */
void bide__open_streams(lua_State *L, int host);

/* Of server.c: the stream of a handler was closed: its connection's user from now on is the hold.
 */
void bide__handled_closed(bide_handled *hold, bide_conn *c);
void bide__handled_detach(bide_handled *hold);

#endif
