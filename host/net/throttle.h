/* SPDX-License-Identifier: MIT */
/* throttle.h: so many lines a second about what clients do, then one that counts the rest.
 *
 * Whatever clients do, a log grows by no more than that. Embedded in the server that tells; owns an
 * alarm, which the server stops before it goes. */
#ifndef BIDE_NET_THROTTLE_H
#define BIDE_NET_THROTTLE_H

#include "core/host.h"

#define BIDE_THROTTLE_RATE 10 /* lines in a second */

typedef struct bide_throttle {
  bide_host *host;
  /* So many were left out (not 0). Called from the loop, or in admit and sum. */
  void (*tell)(struct bide_throttle *t, uint64_t count);
  bide_alarm end;           /* of this second, when some were left out */
  uint64_t until, left_out; /* until: the end of this second */
  uint32_t told;            /* in this second */
} bide_throttle;

void bide__throttle_init(bide_host *h, bide_throttle *t,
                         void (*tell)(bide_throttle *t, uint64_t count));
/* Is there room for one more line in this second? If not it is counted. */
int bide__throttle_admit(bide_throttle *t);
/* Tells now how many were left out, if any were; stops the alarm. */
void bide__throttle_sum(bide_throttle *t);
/* Forgets them. */
void bide__throttle_stop(bide_throttle *t);

#endif
