/* SPDX-License-Identifier: MIT */
/* arguments.c: reads the command line (contract in arguments.h).
 *
 * Options and their order mean what they mean to lua5.4: -e and -l run in the order given, before
 * the script; the first argument that is no option is the script and ends the options. */
#include "arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lua.h>

const char arguments_usage[] =
    "usage: bide [options] [script [args]]\n"
    "  -e code    run a string of Lua (may be repeated)\n"
    "  -l mod     require 'mod' into the global 'mod'; -l g=mod into 'g'\n"
    "  -d         debug mode: warn of what is seldom meant\n"
    "  -i         enter the prompt after the script\n"
    "  -v         print the version\n"
    "  -E         ignore the environment variables of Lua\n"
    "  -W         turn warnings on\n"
    "  --slice=MS suspend a task that computes for longer, so that others run\n"
    "  -h         print this help\n"
    "  --         end of options\n"
    "  -          run standard input and end the options\n"
    "Without a script: a prompt on a terminal, else standard input.\n";

#define INIT_NAME      "LUA_INIT"
#define INIT_VERSIONED INIT_NAME "_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR

enum { OPTION_SLICE = 256 };

static const struct option long_options[] = {{"help", no_argument, NULL, 'h'},
                                             {"version", no_argument, NULL, 'v'},
                                             {"slice", required_argument, NULL, OPTION_SLICE},
                                             {NULL, 0, NULL, 0}};

static void add_step(arguments *args, step_kind kind, const char *text, const char *chunk) {
  args->steps[args->nsteps++] = (step){kind, text, chunk};
}

/* LUA_INIT_5_4, else LUA_INIT: code, or @file. Its step is the first. */
static void add_environment(arguments *args) {
  const char *chunk = "=" INIT_VERSIONED;
  const char *text = getenv(INIT_VERSIONED);
  if (!text) {
    chunk = "=" INIT_NAME;
    text = getenv(INIT_NAME);
  }
  if (!text || args->ignore_env) return;
  memmove(args->steps + 1, args->steps, (size_t)args->nsteps * sizeof(step));
  args->nsteps++;
  if (text[0] == '@') args->steps[0] = (step){STEP_FILE, text + 1, NULL};
  else args->steps[0] = (step){STEP_CODE, text, chunk};
}

/* Milliseconds, with a fraction if need be. 0 or 2. */
static int read_slice(arguments *args, const char *text) {
  char *end;
  double ms = strtod(text, &end);
  if (end == text || *end || !(ms > 0) || ms > 1e6) {
    fprintf(stderr, "bide: --slice: milliseconds expected, got '%s'\n", text);
    return 2;
  }
  args->slice = ms / 1000;
  return 0;
}

/* The options alone. Returns 0 or 2; getopt tells what it does not know. */
static int read_options(arguments *args, bool *prompt, bool *ran_code) {
  int option;
  while ((option = getopt_long(args->argc, args->argv, "+e:l:idvhEW", long_options, NULL)) != -1) {
    switch (option) {
    case 'e':
      *ran_code = true;
      add_step(args, STEP_CODE, optarg, "=(command line)");
      break;
    case 'l': add_step(args, STEP_LIBRARY, optarg, NULL); break;
    case 'i': *prompt = true; break;
    case 'd': args->debug = true; break;
    case 'v': args->version = true; break;
    case 'h': args->help = true; break;
    case 'E': args->ignore_env = true; break;
    case 'W': args->warnings = true; break;
    case OPTION_SLICE:
      if (read_slice(args, optarg)) return 2;
      break;
    default: fputs(arguments_usage, stderr); return 2;
    }
  }
  return 0;
}

/* What comes after the options: a script, standard input, a prompt, or nothing. */
static void add_main(arguments *args, bool prompt, bool ran_code) {
  if (args->script > 0) {
    const char *name = args->argv[args->script];
    bool is_stdin = strcmp(name, "-") == 0 && strcmp(args->argv[args->script - 1], "--") != 0;
    add_step(args, STEP_SCRIPT, is_stdin ? NULL : name, NULL);
  } else if (!prompt && !ran_code && !args->version) {
    if (isatty(STDIN_FILENO)) {
      args->version = true;
      prompt = true;
    } else {
      add_step(args, STEP_SCRIPT, NULL, NULL);
    }
  }
  if (prompt) add_step(args, STEP_PROMPT, NULL, NULL);
}

int arguments_init(arguments *args, int argc, char **argv) {
  bool prompt = false, ran_code = false;
  *args = (arguments){.argc = argc, .argv = argv};
  /* Each argument makes one step at most; the environment, the script and the prompt three more. */
  args->steps = calloc((size_t)argc + 3, sizeof(step));
  if (!args->steps) {
    fputs("bide: not enough memory\n", stderr);
    return 1;
  }
  int status = read_options(args, &prompt, &ran_code);
  if (status) return status;
  if (optind < argc) args->script = optind;
  add_environment(args);
  add_main(args, prompt, ran_code);
  return 0;
}

void arguments_fini(arguments *args) {
  free(args->steps);
  args->steps = NULL;
}
