/* SPDX-License-Identifier: MIT */
/* interrupt.h: Ctrl-C and Ctrl-\. */
#ifndef BIDE_PROGRAM_INTERRUPT_H
#define BIDE_PROGRAM_INTERRUPT_H

#include <stdbool.h>

#include <bide.h>

/* From now on the first SIGINT cancels the host's run, the second ends the process at once with
 * status 130; SIGQUIT prints the tree of tasks. What was ignored from the start stays so. Returns 0
 * or a libuv error. */
int interrupt_start(bide_host *host);

/* Whether a SIGINT has come that nobody caught. */
bool interrupt_seen(void);

/* From now on `caught`, called on the loop's thread, may take a first SIGINT: it returns whether
 * it did; then the run goes on and the next SIGINT is a first one again. */
void interrupt_catch(bool (*caught)(void));

/* Gives SIGINT back its first meaning and closes what start opened; the host's loop must still
 * run a turn afterwards, as bide_free does. */
void interrupt_stop(void);

#endif
