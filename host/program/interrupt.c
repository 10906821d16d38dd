/* SPDX-License-Identifier: MIT */
/* interrupt.c: Ctrl-C and Ctrl-\ (contract in interrupt.h).
 *
 * A signal has no argument to carry a pointer, so the program keeps its one state here. The
 * handlers only note and wake the loop; what there is to do happens in a callback of the loop, or,
 * for a dump while Lua code runs, in that code's hook. */
#include "interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <uv.h>

enum { EXIT_INTERRUPTED = 130 };

static struct {
  volatile sig_atomic_t seen; /* SIGINT */
  volatile sig_atomic_t dump; /* SIGQUIT */
  bool started;
  bool ignored, dump_ignored;
  bool (*caught)(void);
  struct sigaction before, dump_before;
  uv_async_t wake;
} state;

static void on_signal(int number) {
  (void)number;
  if (state.seen) _exit(EXIT_INTERRUPTED);
  state.seen = 1;
  uv_async_send(&state.wake);
}

static void on_dump_signal(int number) {
  (void)number;
  if (bide_dump_running(state.wake.data)) return;
  state.dump = 1;
  uv_async_send(&state.wake);
}

static void on_wake(uv_async_t *wake) {
  if (state.dump) {
    state.dump = 0;
    bide_dump(wake->data);
  }
  if (!state.seen) return;
  if (state.caught && state.caught()) state.seen = 0;
  else bide_cancel(wake->data);
}

/* Sets the handler unless the signal is ignored, and returns whether it is. */
static bool handle(int number, void (*handler)(int), struct sigaction *before) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(number, NULL, before);
  if (before->sa_handler == SIG_IGN) return true;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, NULL);
  return false;
}

int interrupt_start(bide_host *host) {
  int status = uv_async_init(bide_loop(host), &state.wake, on_wake);
  if (status < 0) return status;
  state.wake.data = host;
  uv_unref((uv_handle_t *)&state.wake);
  state.started = true;
  state.ignored = handle(SIGINT, on_signal, &state.before);
  state.dump_ignored = handle(SIGQUIT, on_dump_signal, &state.dump_before);
  return 0;
}

bool interrupt_seen(void) {
  return state.seen != 0;
}

void interrupt_catch(bool (*caught)(void)) {
  state.caught = caught;
}

void interrupt_stop(void) {
  if (!state.started) return;
  state.started = false;
  if (!state.ignored) sigaction(SIGINT, &state.before, NULL);
  if (!state.dump_ignored) sigaction(SIGQUIT, &state.dump_before, NULL);
  uv_close((uv_handle_t *)&state.wake, NULL);
}
