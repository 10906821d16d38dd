/* SPDX-License-Identifier: MIT */
/* throttle.c: see throttle.h. A second begins with a line. Where no alarm can be had, the count is
 * told with the first line of a later one. */
#include "throttle.h"

#define WINDOW 1.0 /* seconds */

void bide__throttle_init(bide_host *h, bide_throttle *t,
                         void (*tell)(bide_throttle *t, uint64_t count)) {
  *t = (bide_throttle){.host = h, .tell = tell};
}

void bide__throttle_stop(bide_throttle *t) {
  bide__alarm_stop(t->host, &t->end);
  t->left_out = 0;
}

void bide__throttle_sum(bide_throttle *t) {
  uint64_t count = t->left_out;
  bide__throttle_stop(t);
  if (count) t->tell(t, count);
}

static void on_end(bide_alarm *a) {
  bide__throttle_sum(bide_container(a, bide_throttle, end));
}

int bide__throttle_admit(bide_throttle *t) {
  uint64_t now = bide__now_ns(t->host);
  if (now >= t->until) {
    bide__throttle_sum(t);
    t->until = bide__deadline_ns(now, WINDOW);
    t->told = 0;
  }
  if (t->told < BIDE_THROTTLE_RATE) {
    t->told++;
    return 1;
  }
  if (t->left_out++ == 0)
    (void)bide__alarm_start(t->host, &t->end, (double)(t->until - now) / 1e9, on_end);
  return 0;
}
