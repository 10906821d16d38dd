/* SPDX-License-Identifier: MIT */
/* lookup.c: the threads behind the resolver (contract in lookup.h).
 *
 * Invariant: everything in the pool is touched under its mutex; a job is the thread's from `taken`
 * until it stands in `answers`. refs counts the resolver and every thread. */
#include "lookup.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOKUP_THREADS 32
#define LOOKUP_STACK   (512 * 1024)
#define IDLE_SECONDS   5

struct bide_pool {
  pthread_mutex_t lock;
  pthread_cond_t work;
  uv_async_t *done; /* NULL once dropped */
  bide_job *first, **end;
  bide_job *answers, **answers_end;
  int threads, idle, refs;
};

void bide__job_free(bide_job *job) {
  if (job->res) freeaddrinfo(job->res);
  free(job);
}

static void free_list(bide_job *job) {
  while (job) {
    bide_job *next = job->next;
    bide__job_free(job);
    job = next;
  }
}

/* Releases one reference and the lock. */
static void release(bide_pool *p) {
  int left = --p->refs;
  pthread_mutex_unlock(&p->lock);
  if (left) return;
  free_list(p->first);
  free_list(p->answers);
  pthread_cond_destroy(&p->work);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

static int status_of(int r) {
  static const struct {
    int eai, uv;
  } map[] = {{EAI_AGAIN, UV_EAI_AGAIN},    {EAI_BADFLAGS, UV_EAI_BADFLAGS},
             {EAI_FAIL, UV_EAI_FAIL},      {EAI_FAMILY, UV_EAI_FAMILY},
             {EAI_MEMORY, UV_EAI_MEMORY},  {EAI_NONAME, UV_EAI_NONAME},
#ifdef EAI_NODATA
             {EAI_NODATA, UV_EAI_NODATA},
#endif
             {EAI_SERVICE, UV_EAI_SERVICE}};
  if (r == EAI_SYSTEM) return errno ? uv_translate_sys_error(errno) : UV_EAI_FAIL;
  for (size_t i = 0; i < sizeof map / sizeof *map; i++)
    if (map[i].eai == r) return map[i].uv;
  return UV_EAI_FAIL;
}

static void answer(bide_job *job) {
  struct addrinfo hints = {.ai_family = job->family, .ai_socktype = SOCK_STREAM};
  errno = 0;
  int r = getaddrinfo(job->name, NULL, &hints, &job->res);
  if (r) job->res = NULL;
  job->status = r ? status_of(r) : 0;
}

/* Waits for work; 0 when there was none for a while. */
static int wait_for_work(bide_pool *p) {
  struct timespec until;
  int r = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += IDLE_SECONDS;
  p->idle++;
  while (!p->first && p->done && r != ETIMEDOUT)
    r = pthread_cond_timedwait(&p->work, &p->lock, &until);
  p->idle--;
  return p->first && p->done;
}

static void *thread_main(void *arg) {
  bide_pool *p = arg;
  pthread_mutex_lock(&p->lock);
  while (wait_for_work(p)) {
    bide_job *job = p->first;
    p->first = job->next;
    if (!p->first) p->end = &p->first;
    job->next = NULL;
    job->taken = 1;
    pthread_mutex_unlock(&p->lock);
    answer(job);
    pthread_mutex_lock(&p->lock);
    *p->answers_end = job;
    p->answers_end = &job->next;
    if (p->done) uv_async_send(p->done);
  }
  p->threads--;
  release(p);
  return NULL;
}

/* An abandoned thread comes back into this code: a module must not be unloaded under it. */
static void pin_code(void) {
  Dl_info info;
  if (dladdr((void *)(uintptr_t)&pin_code, &info) && info.dli_fname)
    (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Called under the lock. Signals are for the threads of the program. */
static int start_thread(bide_pool *p) {
  pthread_t thread;
  pthread_attr_t attr;
  sigset_t all, old;
  if (!p->threads) pin_code();
  if (pthread_attr_init(&attr)) return UV_ENOMEM;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, LOOKUP_STACK);
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  int r = pthread_create(&thread, &attr, thread_main, p);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attr);
  if (r) return uv_translate_sys_error(r);
  p->threads++;
  p->refs++;
  return 0;
}

bide_pool *bide__pool_new(uv_async_t *done) {
  bide_pool *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  p->done = done;
  p->end = &p->first;
  p->answers_end = &p->answers;
  p->refs = 1;
  return p;
}

void bide__pool_drop(bide_pool *p) {
  pthread_mutex_lock(&p->lock);
  p->done = NULL;
  pthread_cond_broadcast(&p->work);
  release(p);
}

bide_job *bide__pool_ask(bide_pool *p, const char *name, int family, void *owner) {
  size_t n = strlen(name) + 1;
  bide_job *job = calloc(1, sizeof *job + n);
  int queued, status = 0;
  if (!job) return NULL;
  memcpy(job->name, name, n);
  job->family = family;
  job->owner = owner;
  pthread_mutex_lock(&p->lock);
  *p->end = job;
  p->end = &job->next;
  queued = p->idle > 0;
  if (p->threads < LOOKUP_THREADS && (!queued || p->first != job)) status = start_thread(p);
  status = p->threads ? 0 : status;
  pthread_cond_signal(&p->work);
  pthread_mutex_unlock(&p->lock);
  if (!status || !bide__pool_take_back(p, job)) return job;
  return NULL;
}

int bide__pool_take_back(bide_pool *p, bide_job *job) {
  pthread_mutex_lock(&p->lock);
  int mine = !job->taken;
  if (mine) {
    bide_job **at = &p->first;
    while (*at != job) at = &(*at)->next;
    *at = job->next;
    if (!job->next) p->end = at;
  }
  pthread_mutex_unlock(&p->lock);
  if (mine) bide__job_free(job);
  return mine;
}

bide_job *bide__pool_collect(bide_pool *p) {
  pthread_mutex_lock(&p->lock);
  bide_job *list = p->answers;
  p->answers = NULL;
  p->answers_end = &p->answers;
  pthread_mutex_unlock(&p->lock);
  return list;
}
