/* SPDX-License-Identifier: MIT */
/*
 * A harness for the C specs: counts, prints one line per failure (per case with -v), and hands out
 * memory that ends at a page nobody may touch. Owns its pages until the process ends.
 */
#ifndef BIDE_SPEC_CHECK_H
#define BIDE_SPEC_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Remembers -v. First line of main. */
void check_begin(int argc, char **argv);
/* Prints "N passed, M failed"; the exit status of main. */
int check_end(void);

/* One case. The rest is printf's: its name. Returns `ok`. */
bool check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One case: two texts are equal; prints both if not. `name` may hold any bytes. */
bool check_text(const char *got, const char *expected, const char *name);

/* A copy of the bytes whose last one is followed by an inaccessible page. There are two places,
 * used in turn: the copy lives until the next call but one, and never stands where the last one
 * stood. */
const char *check_guarded(const char *p, size_t n);

/* Room for `n` bytes, the end of which is followed by an inaccessible page; for outputs. */
char *check_room(size_t n);

/* A bounded text under construction; more than fits is cut off. */
typedef struct text {
  size_t n;
  char p[64 * 1024];
} text;

void text_clear(text *t);
void text_put(text *t, const char *p, size_t n);
void text_add(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes outside of printable ASCII as \xNN. */
void text_put_visible(text *t, const char *p, size_t n);

#endif
