/* SPDX-License-Identifier: MIT */
/* embed_options.c: the options of bide_new, before there is a host: taking over what the caller
 * knows of, and refusing what cannot be meant, so that no limit is silently none. Owns nothing. */
#include "core/policy.h"
#include "embed.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int bide__options_refuse(const bide_options *o, const char *format, ...) {
  char text[512] = "bide: ";
  va_list args;
  va_start(args, format);
  vsnprintf(text + strlen(text), sizeof text - strlen(text), format, args);
  va_end(args);
  if (o->report) o->report(o->report_ud, text);
  else fprintf(stderr, "%s\n", text);
  return UV_EINVAL;
}

/* ---- the struct ---- */

enum { SIZE_LEAST = offsetof(bide_options, loop) + sizeof(uv_loop_t *) };

/* A caller with a newer header may have options that this library does not know: zero is the
 * default of each, so they matter only when they are something else. */
static int takes_size(const bide_options *o, const bide_options *given) {
  const unsigned char *rest = (const unsigned char *)given;
  size_t i;
  if (given->size < SIZE_LEAST)
    return bide__options_refuse(o, "options.size is %zu: start from BIDE_OPTIONS", given->size);
  for (i = sizeof *o; i < given->size; i++)
    if (rest[i]) return bide__options_refuse(o, "an option this library does not know is set");
  return 0;
}

/* ---- values ---- */

/* Signals that an instruction, abort or the kernel brings about, or that nobody can catch. */
static int takes_signal(const bide_options *o) {
  static const int taken[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGKILL, SIGSTOP};
  size_t i;
  int wrong = o->signal < 0 || o->signal > 64;
  for (i = 0; i < sizeof taken / sizeof taken[0]; i++) wrong |= o->signal == taken[i];
  return wrong ? bide__options_refuse(o, "signal %d cannot be the timer's", o->signal) : 0;
}

static int takes_times(const bide_options *o) {
  if (!(o->cpu_slice >= 0)) return bide__options_refuse(o, "cpu_slice is %g", o->cpu_slice);
  if (!(o->cpu_budget >= 0) || isinf(o->cpu_budget))
    return bide__options_refuse(o, "cpu_budget is %g", o->cpu_budget);
  return 0;
}

static int takes_reach(const bide_options *o) {
  const char *flaw;
  if (!o->sandbox && (o->network || o->root))
    return bide__options_refuse(o, "%s is for a sandbox", o->network ? "network" : "root");
  flaw = bide__policy_flaw(o->network);
  if (!flaw) return 0;
  return bide__options_refuse(o, "network: '%.200s' is not \"host:port\", \"[address]:port\"",
                              flaw);
}

int bide__options_take(bide_options *o, const bide_options *given) {
  int status;
  if (!given) return 0;
  if (given->size >= SIZE_LEAST)
    memcpy(o, given, given->size < sizeof *o ? given->size : sizeof *o);
  if ((status = takes_size(o, given)) != 0) return status;
  if ((status = takes_signal(o)) != 0) return status;
  if ((status = takes_times(o)) != 0) return status;
  return takes_reach(o);
}
