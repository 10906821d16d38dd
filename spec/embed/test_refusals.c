/* SPDX-License-Identifier: MIT */
/* test_refusals.c: options that bide_new refuses, each with a report that tells which. */
#include "check.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char told[200];

static void on_report(void *ud, const char *message) {
  CHECK(ud == told);
  snprintf(told, sizeof told, "%s", message);
}

/* What bide_new tells of these options, which it must refuse; "" if nothing. */
static const char *refusal(bide_options o) {
  bide_host *host;
  o.report = on_report;
  o.report_ud = told;
  told[0] = '\0';
  host = bide_new(&o);
  CHECK(host == NULL);
  bide_free(host);
  return told;
}

/* The same, of what is written to stderr. */
static const char *refusal_on_stderr(const bide_options *o) {
  static char text[300];
  FILE *file = tmpfile();
  int kept = dup(2);
  size_t n;
  bide_host *host;
  dup2(fileno(file), 2);
  host = bide_new(o);
  dup2(kept, 2);
  close(kept);
  CHECK(host == NULL);
  bide_free(host);
  rewind(file);
  n = fread(text, 1, sizeof text - 1, file);
  text[n] = '\0';
  fclose(file);
  return text;
}

static void refuses_a_library_that_is_none(void) {
  bide_options o = BIDE_OPTIONS;
  o.libs = "string strong";
  CHECK_STR(refusal(o), "bide: no standard library is named 'strong'");
  CHECK_STR(refusal_on_stderr(&o), "bide: no standard library is named 'strong'\n");
}

static void *no_memory(void *ud, void *p, size_t osize, size_t nsize) {
  (void)ud;
  (void)osize;
  (void)nsize;
  free(p);
  return NULL;
}

static void tells_why_there_is_no_host(void) {
  bide_options o = BIDE_OPTIONS;
  o.memory_limit = 1000;
  CHECK_STR(refusal(o), "bide: not enough memory for a Lua state");
  CHECK_STR(refusal_on_stderr(&o), "bide: not enough memory for a Lua state\n");
  o.memory_limit = 50000;
  CHECK_STR(refusal(o), "bide: not enough memory");
  o = (bide_options)BIDE_OPTIONS;
  o.alloc = no_memory;
  CHECK_STR(refusal(o), "bide: not enough memory for a Lua state");
  o = (bide_options)BIDE_OPTIONS;
  o.sandbox = 1;
  o.root = "/nonexistent";
  CHECK_STR(refusal(o),
            "bide: the root '/nonexistent' cannot be opened: no such file or directory");
  CHECK(strstr(refusal_on_stderr(&o), "/nonexistent") != NULL);
}

/* A struct that was cleared and not started from BIDE_OPTIONS would be all defaults. */
static void refuses_a_size_of_nothing(void) {
  bide_options o;
  memset(&o, 0, sizeof o);
  o.sandbox = 1;
  CHECK(strstr(refusal_on_stderr(&o), "options.size is 0") != NULL);
  o.size = sizeof o.size;
  CHECK(strstr(refusal_on_stderr(&o), "options.size is") != NULL);
}

/* Of a newer header, that is: they matter when they are set. */
static void refuses_options_that_it_does_not_know(void) {
  struct {
    bide_options known;
    unsigned char limit[16];
  } newer = {BIDE_OPTIONS, {0}};
  bide_host *host;
  newer.known.size = sizeof newer;
  host = bide_new(&newer.known);
  CHECK(host != NULL);
  bide_free(host);
  newer.limit[15] = 1;
  newer.known.report = on_report;
  newer.known.report_ud = told;
  told[0] = '\0';
  CHECK(bide_new(&newer.known) == NULL);
  CHECK_STR(told, "bide: an option this library does not know is set");
}

static const char *network_refusal(const char *entry) {
  const char *const network[] = {"example.org:443", entry, NULL};
  bide_options o = BIDE_OPTIONS;
  o.sandbox = 1;
  o.network = network;
  return refusal(o);
}

static void refuses_malformed_network_entries(void) {
  static const char *const wrong[] = {
      "",           "x.com",    ":80",       "x.com:",   "http://x.com:80", "x.com:http",
      "*.x.com:80", "x.com:0",  "x.com:080", "x:1 ",     "x:65536",         "x:99999999999",
      "x y:80",     "::1:80",   "[::1]",     "[::1:80",  "[]:80",           "[x]:80",
      "a@b:80",     "x.com:-1", "[::1]x:80", "x.com:+1", "1.2.3.4",         "::1",
  };
  size_t i;
  for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char text[100];
    snprintf(text, sizeof text, "bide: network: '%s' is not", wrong[i]);
    CHECK(strstr(network_refusal(wrong[i]), text) != NULL);
    if (!strstr(told, text)) printf("'%s': %s\n", wrong[i], told);
  }
}

/* An IPv6 address stands in brackets; what is allowed fails later, as nobody listens. */
static void takes_network_entries(void) {
  static const char *const network[] = {"[::1]:1", "[fe80::1]:*", "*:2", "under_score.x-y.de:65535",
                                        NULL};
  bide_options o = BIDE_OPTIONS;
  held h;
  bide_host *host;
  o.sandbox = 1;
  o.network = network;
  host = begin_host(&o, &h);
  CHECK(run_script(host, "local bide, codes = require 'bide', ''\n"
                         "for _, to in ipairs{{'::1', 1}, {'::1', 2}, {'::1', 3}, {'::2', 1}} do\n"
                         "  local ok, err = pcall(bide.tcp.connect, to[1], to[2])\n"
                         "  codes = codes .. (err.code == 'EACCES' and 'no ' or 'yes ')\n"
                         "end return codes") == 0);
  CHECK_STR(result(host), "yes yes no no ");
  end_host(host, &h);
}

static void refuses_reach_without_a_sandbox(void) {
  static const char *const network[] = {"x.com:80", NULL};
  bide_options o = BIDE_OPTIONS;
  o.network = network;
  CHECK_STR(refusal(o), "bide: network is for a sandbox");
  o = (bide_options)BIDE_OPTIONS;
  o.root = ".";
  CHECK_STR(refusal(o), "bide: root is for a sandbox");
}

static void refuses_times_that_are_none(void) {
  static const double wrong[] = {-1, -0.001, NAN, -INFINITY};
  bide_options o = BIDE_OPTIONS;
  size_t i;
  for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    o = (bide_options)BIDE_OPTIONS;
    o.cpu_slice = wrong[i];
    CHECK(strstr(refusal(o), "bide: cpu_slice is ") != NULL);
    o = (bide_options)BIDE_OPTIONS;
    o.cpu_budget = wrong[i];
    CHECK(strstr(refusal(o), "bide: cpu_budget is ") != NULL);
  }
  o.cpu_budget = INFINITY;
  CHECK_STR(refusal(o), "bide: cpu_budget is inf");
}

static void refuses_signals_that_are_taken(void) {
  static const int taken[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGTRAP,
                              SIGABRT, SIGKILL, SIGSTOP, -1,     65};
  size_t i;
  for (i = 0; i < sizeof taken / sizeof taken[0]; i++) {
    bide_options o = BIDE_OPTIONS;
    char text[60];
    o.signal = taken[i];
    snprintf(text, sizeof text, "bide: signal %d cannot be the timer's", taken[i]);
    CHECK_STR(refusal(o), text);
  }
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"refuses_a_library_that_is_none", refuses_a_library_that_is_none},
      {"tells_why_there_is_no_host", tells_why_there_is_no_host},
      {"refuses_a_size_of_nothing", refuses_a_size_of_nothing},
      {"refuses_options_that_it_does_not_know", refuses_options_that_it_does_not_know},
      {"refuses_malformed_network_entries", refuses_malformed_network_entries},
      {"takes_network_entries", takes_network_entries},
      {"refuses_reach_without_a_sandbox", refuses_reach_without_a_sandbox},
      {"refuses_times_that_are_none", refuses_times_that_are_none},
      {"refuses_signals_that_are_taken", refuses_signals_that_are_taken},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
