/* SPDX-License-Identifier: MIT */
/* prompt.h: reads lines from the terminal, runs each as a task, prints what it returns. */
#ifndef BIDE_PROGRAM_PROMPT_H
#define BIDE_PROGRAM_PROMPT_H

#include <stdbool.h>

#include <lua.h>

/* To be called before anything reads standard input, when there will be a prompt: io.read is then
 * to leave the lines that come after to it. */
void prompt_prepare(void);

/* Pushes the function that is the prompt (host/program/prompt.lua) and its argument. Called
 * in a task it waits for lines while other tasks run. At the end of input it cancels the run. To be
 * pushed once in a process: it reads standard input. May raise. */
void prompt_push(lua_State *L);

/* Whether the prompt came to the end of its input. */
bool prompt_left(void);

/* Lets go of standard input; the host's loop must still run a turn afterwards, as bide_free does.
 * Harmless when there was no prompt. */
void prompt_stop(void);

#endif
