/* SPDX-License-Identifier: MIT */
/* interrupt.c: Ctrl-C (contract in interrupt.h).
 *
 * A signal has no argument to carry a pointer, so the program keeps its one state here. The
 * handler only counts and wakes the loop; the cancelling happens in a callback of the loop. */
#include "interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <uv.h>

enum { EXIT_INTERRUPTED = 130 };

static struct {
  volatile sig_atomic_t seen;
  bool started;
  bool ignored;
  bool (*caught)(void);
  struct sigaction before;
  uv_async_t wake;
} state;

static void on_signal(int number) {
  (void)number;
  if (state.seen) _exit(EXIT_INTERRUPTED);
  state.seen = 1;
  uv_async_send(&state.wake);
}

static void on_wake(uv_async_t *wake) {
  if (!state.seen) return;
  if (state.caught && state.caught()) state.seen = 0;
  else bide_cancel(wake->data);
}

int interrupt_start(bide_host *host) {
  int status = uv_async_init(bide_loop(host), &state.wake, on_wake);
  if (status < 0) return status;
  state.wake.data = host;
  uv_unref((uv_handle_t *)&state.wake);
  state.started = true;
  sigaction(SIGINT, NULL, &state.before);
  state.ignored = state.before.sa_handler == SIG_IGN;
  if (state.ignored) return 0;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
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
  uv_close((uv_handle_t *)&state.wake, NULL);
}
