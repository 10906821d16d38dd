/* SPDX-License-Identifier: MIT */
/* poll_loop.c: a host inside a loop that is not libuv's: plain poll(2) over the program's own
 * descriptor and the host's.
 *
 *     cc -o poll_loop poll_loop.c $(pkg-config --cflags --libs bide)
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bide.h>
#include <lauxlib.h>

static const char script[] =
    "local bide = require 'bide'\n"
    "local server = bide.http.serve({ port = 0, daemon = true },\n"
    "  function(req) bide.sleep(0.02) return 'you asked for ' .. req.path end)\n"
    "local base = ('http://%s:%d'):format(server:address())\n"
    "for _, path in ipairs{ '/a', '/b', '/c' } do\n"
    "  tell(bide.http_get(base .. path).body)\n"
    "end\n";

static int out; /* where the script tells */

static int l_tell(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  if (write(out, s, n) != (ssize_t)n || write(out, "\n", 1) != 1)
    return bide_raise(L, "EIO", "tell", "cannot write");
  return 0;
}

static void read_pipe(int fd) {
  char text[200];
  ssize_t n = read(fd, text, sizeof text);
  if (n > 0) printf("heard: %.*s", (int)n, text);
}

/* The program's loop: waits for both, gives each its turn. */
static int loop(bide_host *host, int fd) {
  struct pollfd fds[2] = {{fd, POLLIN, 0}, {bide_fd(host), POLLIN, 0}};
  int turns = 0, left;
  do {
    if (poll(fds, 2, bide_timeout(host)) < 0) return -1;
    if (fds[0].revents) read_pipe(fd);
    left = bide_step(host, 0); /* cheap when there is nothing to do */
    turns++;
  } while (left > 0);
  while (poll(fds, 1, 0) > 0) read_pipe(fd); /* told in the last step */
  return turns;
}

int main(void) {
  int fds[2];
  bide_host *host = bide_new(NULL);
  if (!host || pipe(fds) != 0) return 1;
  out = fds[1];
  lua_register(bide_lua(host), "tell", l_tell);
  int status = bide_load_string(host, script, strlen(script), "=script");
  if (status == 0) status = bide_spawn(host, 0);
  if (status == 0) {
    int turns = loop(host, fds[0]);
    printf("slept in poll, not busy: %s\n", turns > 3 && turns < 300 ? "yes" : "no");
  }
  bide_free(host);
  close(fds[0]);
  close(fds[1]);
  return status == 0 ? 0 : 1;
}
