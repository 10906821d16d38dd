/* SPDX-License-Identifier: MIT */
/* sleepers COUNT: that many timers of one second at once, in C on libuv alone. */
#include "../tools/bench.h"

#include <uv.h>

static long g_fired;

static void on_timer(uv_timer_t *t) {
  (void)t;
  g_fired++;
}

int main(int argc, char **argv) {
  long count = bench_arg(argc, argv, 1, "count", 10000000);
  long before = bench_status_kb("VmRSS:");
  uv_loop_t *loop = uv_default_loop();
  uv_timer_t *timers = malloc((size_t)count * sizeof *timers);
  if (!timers) bench_die("malloc");
  for (long i = 0; i < count; i++)
    if (uv_timer_init(loop, &timers[i]) || uv_timer_start(&timers[i], on_timer, 1000, 0))
      bench_die("uv_timer_start");
  uv_run(loop, UV_RUN_DEFAULT);
  if (g_fired != count) bench_die("not every timer fired");
  printf("rss_before_kb %ld\nrss_peak_kb %ld\n", before, bench_status_kb("VmHWM:"));
  free(timers);
  return 0;
}
