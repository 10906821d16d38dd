/* SPDX-License-Identifier: MIT */
/* compat.h: what differs between platforms and versions, in one place. */
#ifndef BIDE_CORE_COMPAT_H
#define BIDE_CORE_COMPAT_H

#include <lua.h>
#include <lauxlib.h>
#include <uv.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#if LUA_VERSION_NUM != 504
#error "bide needs Lua 5.4"
#endif

/* What Linux alone has: epoll, timers of a thread's CPU time, accept4, flags at a socket's birth.
 * With -DBIDE_PORTABLE (MODE=portable) bide does there what it does without. */
#if defined(__linux__) && !defined(BIDE_PORTABLE)
#define BIDE_LINUX 1
#endif

/* Asks for the pages of a stretch of memory that is about to be written from end to end. */
#if defined(BIDE_LINUX) && defined(MADV_POPULATE_WRITE)
#define bide_pages_wanted(p, size) ((void)madvise((p), (size), MADV_POPULATE_WRITE))
#else
#define bide_pages_wanted(p, size) ((void)(p))
#endif

/* macOS has a socket option instead: bide__socket_prepare. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* lua_closethread came with 5.4.6; before that lua_resetthread does the same without `from`. */
#if LUA_VERSION_RELEASE_NUM >= 50406
#define bide_closethread(co, from) lua_closethread((co), (from))
#else
#define bide_closethread(co, from) ((void)(from), lua_resetthread(co))
#endif

#if defined(__GNUC__)
#define BIDE_LIKELY(x)        __builtin_expect(!!(x), 1)
#define BIDE_UNLIKELY(x)      __builtin_expect(!!(x), 0)
#define BIDE_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define BIDE_NORETURN         __attribute__((noreturn))
/* Called from few places on the hottest path: worth a copy in each. */
#define BIDE_INLINE static inline __attribute__((always_inline))
#else
#define BIDE_LIKELY(x)   (x)
#define BIDE_UNLIKELY(x) (x)
#define BIDE_PRINTF(fmt, arg)
#define BIDE_NORETURN
#define BIDE_INLINE static inline
#endif

/* Descriptors were added that the loop has not told the kernel about yet: it does in its next turn.
 * The queue of them is a ring in all versions, whose first word points to the next member. */
#define bide_loop_unpolled(loop)                                                                   \
  (*(void *const *)(const void *)&(loop)->watcher_queue != (const void *)&(loop)->watcher_queue)

/* Pointer to the struct that embeds `member` at `ptr`. */
#define bide_container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
