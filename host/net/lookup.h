/* SPDX-License-Identifier: MIT */
/* lookup.h: threads that ask getaddrinfo, for the resolver alone.
 *
 * The threads outlive the host if they must: a look-up that hangs is abandoned, not waited for. So
 * what they touch is theirs (malloc, never the host's memory) and counted by references. Threads
 * start on demand, up to LOOKUP_THREADS, and end after some idle seconds.
 * Decided against libuv's pool: it gives getaddrinfo two threads at a time, for ten seconds each
 * when a server is silent, can't cancel it, and keeps the loop from being closed until it has
 * ended. */
#ifndef BIDE_NET_LOOKUP_H
#define BIDE_NET_LOOKUP_H

#include <netdb.h>
#include <uv.h>

typedef struct bide_pool bide_pool;
typedef struct bide_job bide_job;

struct bide_job {
  bide_job *next;
  void *owner; /* the loop's side only */
  int family;
  int status;           /* 0 or a negative libuv code */
  struct addrinfo *res; /* freeaddrinfo by whoever frees the job */
  unsigned char taken;  /* a thread has it */
  char name[];
};

/* `done` is sent whenever answers wait to be collected. NULL when there is no memory. */
bide_pool *bide__pool_new(uv_async_t *done);
/* Gives the pool up: `done` is not touched after this returns. What is queued is dropped. */
void bide__pool_drop(bide_pool *p);
/* Queues a question; NULL when there is no memory or no thread can be had. */
bide_job *bide__pool_ask(bide_pool *p, const char *name, int family, void *owner);
/* Takes back a question that no thread has begun, and frees it: 1; else 0. */
int bide__pool_take_back(bide_pool *p, bide_job *job);
/* The answers that have come: a list by `next`, the caller's. */
bide_job *bide__pool_collect(bide_pool *p);
void bide__job_free(bide_job *job);

#endif
