/* SPDX-License-Identifier: MIT */
/*
 * The harness of the C specs: see check.h.
 */
#include "check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int passed, failed;
static bool verbose;

enum { PLACES = 3, PLACE_SIZE = 256 * 1024 };

void check_begin(int argc, char **argv) {
  verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
}

int check_end(void) {
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

static void report(bool ok, const char *name) {
  text t;
  if (ok) passed++;
  else failed++;
  if (ok && !verbose) return;
  text_clear(&t);
  text_put_visible(&t, name, strlen(name));
  printf("%s %d - %s\n", ok ? "ok" : "not ok", passed + failed, t.p);
}

bool check(bool ok, const char *format, ...) {
  char name[512];
  va_list args;
  va_start(args, format);
  vsnprintf(name, sizeof name, format, args);
  va_end(args);
  report(ok, name);
  return ok;
}

bool check_text(const char *got, const char *expected, const char *name) {
  bool ok = strcmp(got, expected) == 0;
  report(ok, name);
  if (!ok) printf("  expected %s\n  got      %s\n", expected, got);
  return ok;
}

/* The end of a place's usable part. */
static char *place_end(int i) {
  static char *ends[PLACES];
  if (ends[i] == NULL) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p =
        mmap(NULL, PLACE_SIZE + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + PLACE_SIZE, page, PROT_NONE) != 0) {
      perror("mmap");
      exit(2);
    }
    ends[i] = p + PLACE_SIZE;
  }
  return ends[i];
}

static char *room_in(int place, size_t n) {
  if (n > PLACE_SIZE) {
    fprintf(stderr, "check: %zu bytes asked for\n", n);
    exit(2);
  }
  return place_end(place) - n;
}

const char *check_guarded(const char *p, size_t n) {
  static int turn;
  turn = 1 - turn;
  char *copy = room_in(turn, n);
  if (n != 0) memcpy(copy, p, n);
  return copy;
}

char *check_room(size_t n) {
  return room_in(2, n);
}

void text_clear(text *t) {
  t->n = 0;
  t->p[0] = '\0';
}

void text_put(text *t, const char *p, size_t n) {
  size_t room = sizeof t->p - 1 - t->n;
  if (n > room) n = room;
  if (n != 0) memcpy(t->p + t->n, p, n);
  t->n += n;
  t->p[t->n] = '\0';
}

void text_add(text *t, const char *format, ...) {
  size_t room = sizeof t->p - t->n;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(t->p + t->n, room, format, args);
  va_end(args);
  t->n += (size_t)n < room ? (size_t)n : room - 1;
}

void text_put_visible(text *t, const char *p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '\r') text_put(t, "\\r", 2);
    else if (p[i] == '\n') text_put(t, "\\n", 2);
    else if (p[i] >= ' ' && p[i] <= '~') text_put(t, p + i, 1);
    else text_add(t, "\\x%02x", (unsigned char)p[i]);
  }
}
