/* SPDX-License-Identifier: MIT */
/* test_sigpipe.c: a program that does nothing about SIGPIPE is not ended by it. */
#include "check.h"

#include <signal.h>

static const char plain[] =
    "local bide = require 'bide'\n"
    "local server <close> = bide.tcp.listen('127.0.0.1', 0, function(s) s:close() end,\n"
    "  { daemon = true })\n"
    "local s <close> = bide.tcp.connect(server:address())\n"
    "local ok = s:read()\n"
    "repeat ok = pcall(s.write, s, ('x'):rep(10000)) bide.sleep(0.001) until not ok\n"
    "return 'refused'";

static const char tls[] =
    "local bide = require 'bide'\n"
    "local server <close> = bide.tcp.listen('127.0.0.1', 0, function(s) s:close() end,\n"
    "  { daemon = true })\n"
    "local host, port = server:address()\n"
    "for _ = 1, 20 do\n"
    "  if pcall(bide.tls.connect, host, port) then return 'connected' end\n"
    "end\n"
    "return 'refused'";

static void writes_to_who_has_gone(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(run_script(host, plain) == 0);
  CHECK_STR(result(host), "refused");
  end_host(host, &h);
}

static void greets_who_has_gone(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(run_script(host, tls) == 0);
  CHECK_STR(result(host), "refused");
  end_host(host, &h);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"a write to an end that has gone", writes_to_who_has_gone},
      {"a TLS handshake with an end that has gone", greets_who_has_gone},
      {NULL, NULL},
  };
  signal(SIGPIPE, SIG_DFL);
  return run_tests(argc, argv, tests);
}
