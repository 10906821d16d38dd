/* SPDX-License-Identifier: MIT */
/* count_copies.c: preloaded into a program, counts its copies of large blocks and its system calls
 * for sending and receiving; on exit one line on stderr tells them (copies_spec.lua). */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LARGE 32768

void *__memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__memmove_chk(void *to, const void *from, size_t n, size_t room);

static unsigned long copies, sends, pieces, receives;

void *memmove(void *to, const void *from, size_t n) {
  char *t = to;
  const char *f = from;
  copies += n >= LARGE;
  if (t < f)
    for (size_t i = 0; i < n; i++) t[i] = f[i];
  else
    while (n--) t[n] = f[n];
  return to;
}

void *memcpy(void *to, const void *from, size_t n) {
  return memmove(to, from, n);
}

void *__memcpy_chk(void *to, const void *from, size_t n, size_t room) {
  (void)room;
  return memmove(to, from, n);
}

void *__memmove_chk(void *to, const void *from, size_t n, size_t room) {
  (void)room;
  return memmove(to, from, n);
}

static void *original(const char *name) {
  return dlsym(RTLD_NEXT, name);
}

ssize_t send(int fd, const void *p, size_t n, int flags) {
  ssize_t (*call)(int, const void *, size_t, int);
  *(void **)&call = original("send");
  sends++;
  pieces++;
  return call(fd, p, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
  ssize_t (*call)(int, const struct msghdr *, int);
  *(void **)&call = original("sendmsg");
  sends++;
  pieces += m->msg_iovlen;
  return call(fd, m, flags);
}

ssize_t recv(int fd, void *p, size_t n, int flags) {
  ssize_t (*call)(int, void *, size_t, int);
  *(void **)&call = original("recv");
  receives++;
  return call(fd, p, n, flags);
}

__attribute__((destructor)) static void tell(void) {
  fprintf(stderr, "copies=%lu sends=%lu pieces=%lu receives=%lu\n", copies, sends, pieces,
          receives);
}
