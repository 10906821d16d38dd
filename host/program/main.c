/* SPDX-License-Identifier: MIT */
/* main.c: the `bide` command: a host, its command line, its exit status.
 *
 * Owns the host. Exit status: 0; 1 after an error, also one that no task awaited, or when
 * output was lost; 2 for a wrong command line; 130 after Ctrl-C. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <bide.h>

#include "arguments.h"
#include "interrupt.h"
#include "prompt.h"
#include "report.h"
#include "steps.h"

enum { EXIT_INTERRUPTED = 130 };

static void print_version(void) {
  printf("bide " BIDE_VERSION " (" LUA_RELEASE ", libuv %s)\n", uv_version_string());
}

/* Runs the steps in the host's main task; returns the exit status. */
static int run_steps(bide_host *host, arguments *args) {
  lua_State *L = bide_lua(host);
  lua_pushcfunction(L, l_prepare);
  lua_pushlightuserdata(L, args);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    report_error(L, -1, 0);
    return EXIT_FAILURE;
  }
  lua_pushlightuserdata(L, args);
  lua_pushcclosure(L, l_steps, 1);
  int status = bide_call(host, 0, 0);
  if (prompt_left()) return EXIT_SUCCESS;
  if (status < 0 && !(interrupt_seen() && report_is_cancelled(L, -2))) report_error(L, -2, -1);
  if (interrupt_seen()) return EXIT_INTERRUPTED;
  return status < 0 || bide_unhandled(host) > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_host(arguments *args) {
  bide_options options = BIDE_OPTIONS;
  options.cpu_slice = args->slice;
  bide_host *host = bide_new(&options);
  if (!host) return EXIT_FAILURE; /* why stands on stderr */
  int status = EXIT_FAILURE;
  int error = interrupt_start(host);
  if (error < 0) fprintf(stderr, "bide: cannot start: %s\n", uv_strerror(error));
  else if (args->debug && bide_debug(host, 1) < 0) fputs("bide: not enough memory\n", stderr);
  else status = run_steps(host, args);
  prompt_stop();
  interrupt_stop();
  bide_free(host);
  return status;
}

static void on_broken_pipe(int number) {
  (void)number;
}

/* A write to a pipe that nobody reads is to fail with EPIPE. SIGPIPE is caught, for what is ignored
 * would also be ignored by the programs that a script starts; caught, it is the default to them. */
static void survive_broken_pipes(void) {
  struct sigaction action = {.sa_handler = on_broken_pipe, .sa_flags = SA_RESTART};
  struct sigaction before;
  sigemptyset(&action.sa_mask);
  sigaction(SIGPIPE, NULL, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGPIPE, &action, NULL);
}

/* What was started without one of the first three descriptors must not open a socket there, where
 * print writes to. */
static void open_standard_files(void) {
  int fd;
  for (fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)!open("/dev/null", O_RDWR);
}

/* The end of a pipe that has what it wanted, as `head` does, is nothing to tell of. */
static bool reader_has_left(int error) {
  struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return error == EPIPE || (poll(&output, 1, 0) > 0 && (output.revents & POLLERR));
}

/* Writes what is left of the output. Tells if not all has arrived, now or earlier: io.write returns
 * that, and few scripts look. What print could not write, its error told. */
static int finish_output(void) {
  bool lost = ferror(stdout) != 0;
  int error = fflush(stdout) == 0 ? 0 : errno;
  if (!lost && error == 0) return EXIT_SUCCESS;
  if (!reader_has_left(error))
    fprintf(stderr, "bide: standard output: %s\n",
            error ? uv_strerror(uv_translate_sys_error(error)) : "not all of it could be written");
  return EXIT_FAILURE;
}

int main(int argc, char **argv) {
  arguments args;
  open_standard_files();
  int status = arguments_init(&args, argc, argv);
  if (status == 0 && args.help) {
    fputs(arguments_usage, stdout);
  } else if (status == 0) {
    survive_broken_pipes();
    if (args.version) print_version();
    if (args.nsteps > 0) status = run_host(&args);
  }
  arguments_fini(&args);
  int output = finish_output();
  return status == EXIT_SUCCESS ? output : status;
}
