/* SPDX-License-Identifier: MIT */
/* shared_loop.c: a script on the loop of a program that has handles of its own there: a timer and
 * a pipe. Freeing the host closes what is the host's and nothing else.
 *
 *     cc -o shared_loop shared_loop.c $(pkg-config --cflags --libs bide)
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bide.h>

static const char script[] =
    "local bide = require 'bide'\n"
    "local server = bide.tcp.listen('127.0.0.1', 0, function(s)\n"
    "  for line in s:lines() do s:write('echo ', line, '\\n') end\n"
    "end, { daemon = true })\n"
    "local s <close> = bide.tcp.connect('127.0.0.1', (select(2, server:address())))\n"
    "for i = 1, 3 do\n"
    "  s:write('line ', i, '\\n')\n"
    "  print('script: ' .. s:read_line())\n"
    "  bide.sleep(0.01)\n"
    "end\n"
    "server:close()\n";

typedef struct program {
  uv_loop_t loop;
  uv_timer_t timer;
  uv_pipe_t pipe;
  int ticks, bytes;
  char buffer[64];
} program;

static void on_tick(uv_timer_t *timer) {
  ((program *)timer->data)->ticks++;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  program *p = handle->data;
  (void)size;
  *buf = uv_buf_init(p->buffer, sizeof p->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  program *p = stream->data;
  (void)buf;
  if (n > 0) p->bytes += (int)n;
}

static void on_done(bide_host *host, int ok, void *arg) {
  (void)host;
  printf("the script %s\n", ok ? "has ended" : "failed");
  uv_stop(arg);
}

static void count(uv_handle_t *handle, void *arg) {
  (void)handle;
  ++*(int *)arg;
}

/* The program's own, as it would be without bide. Returns the end of the pipe to write to. */
static int open_program(program *p) {
  int fds[2];
  memset(p, 0, sizeof *p);
  if (uv_loop_init(&p->loop) != 0 || pipe(fds) != 0) return -1;
  uv_timer_init(&p->loop, &p->timer);
  uv_pipe_init(&p->loop, &p->pipe, 0);
  p->timer.data = p->pipe.data = p;
  uv_timer_start(&p->timer, on_tick, 1, 1);
  uv_pipe_open(&p->pipe, fds[0]);
  uv_read_start((uv_stream_t *)&p->pipe, on_alloc, on_read);
  return fds[1];
}

static int run_script(program *p) {
  bide_options options = BIDE_OPTIONS;
  options.loop = &p->loop;
  bide_host *host = bide_new(&options);
  if (!host) return -1;
  int status = bide_load_string(host, script, strlen(script), "=script");
  if (status == 0) status = bide_spawn(host, 0);
  if (status == 0) status = bide_on_done(host, -1, on_done, &p->loop);
  if (status == 0) uv_run(&p->loop, UV_RUN_DEFAULT); /* the program's own call: bide rides along */
  bide_free(host);
  return status;
}

int main(void) {
  program p;
  int out = open_program(&p), handles = 0;
  if (out < 0 || run_script(&p) != 0) return 1;
  printf("the timer ticked meanwhile: %s\n", p.ticks > 0 ? "yes" : "no");
  uv_walk(&p.loop, count, &handles);
  printf("%d handles are left on the loop, both the program's\n", handles);
  p.ticks = 0;
  if (write(out, "still read", 10) != 10) return 1;
  while (p.bytes < 10 || p.ticks == 0) uv_run(&p.loop, UV_RUN_ONCE);
  printf("they go on: %d bytes read, the timer ticks\n", p.bytes);
  close(out);
  uv_close((uv_handle_t *)&p.timer, NULL);
  uv_close((uv_handle_t *)&p.pipe, NULL);
  uv_run(&p.loop, UV_RUN_DEFAULT);
  printf("uv_loop_close: %d\n", uv_loop_close(&p.loop));
  return 0;
}
