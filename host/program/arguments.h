/* SPDX-License-Identifier: MIT */
/* arguments.h: the command line as a list of steps.
 *
 * `arguments` owns its list; every string in it belongs to argv or the environment. */
#ifndef BIDE_PROGRAM_ARGUMENTS_H
#define BIDE_PROGRAM_ARGUMENTS_H

#include <stdbool.h>

typedef enum step_kind {
  STEP_CODE,    /* -e: run `text` */
  STEP_FILE,    /* LUA_INIT=@file: run the file `text` */
  STEP_LIBRARY, /* -l: require `text`, "module" or "global=module" */
  STEP_SCRIPT,  /* the script `text`, or standard input when NULL, with the arguments */
  STEP_PROMPT   /* read, run and print lines from the terminal */
} step_kind;

typedef struct step {
  step_kind kind;
  const char *text;  /* borrowed */
  const char *chunk; /* borrowed: chunk name of STEP_CODE */
} step;

typedef struct arguments {
  int argc;
  char **argv;
  int script; /* index of the script's name in argv; 0 when there is none */
  bool ignore_env;
  bool warnings;
  bool debug;
  bool version;
  bool help;
  double slice; /* seconds; 0: none */
  int nsteps;
  step *steps; /* owned */
} arguments;

/* Reads the command line. Returns 0, or the exit status to end with: 2 after telling on stderr
 * what was wrong, 1 when memory ran out. Call arguments_fini either way. */
int arguments_init(arguments *args, int argc, char **argv);

void arguments_fini(arguments *args);

/* The text that -h prints. */
extern const char arguments_usage[];

#endif
