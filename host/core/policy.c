/* SPDX-License-Identifier: MIT */
/* policy.c: see policy.h. The list is one block: pointers, then the text.
 *
 * Beneath the root the kernel resolves (openat2, RESOLVE_BENEATH), so that nothing changes between
 * a check and the opening. Where it cannot, a path is walked name by name, and symbolic links are
 * not followed at all. */
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

struct bide_policy {
  int root; /* a directory; owned; negative: no files */
  size_t n;
  char *network[]; /* owned, in this block */
};

/* ---- network ---- */

static int is_port(const char *s) {
  size_t n = strspn(s, "0123456789");
  if (strcmp(s, "*") == 0) return 1;
  return n > 0 && n < 6 && s[n] == '\0' && *s != '0' && atoi(s) <= 65535;
}

static int is_ipv6(const char *s, size_t n) {
  char text[64];
  struct in6_addr address;
  if (n >= sizeof text) return 0;
  memcpy(text, s, n);
  text[n] = '\0';
  return uv_inet_pton(AF_INET6, text, &address) == 0;
}

static int is_host(const char *s, size_t n) {
  if (n == 1 && *s == '*') return 1;
  if (n > 2 && s[0] == '[' && s[n - 1] == ']') return is_ipv6(s + 1, n - 2);
  return n > 0 && strcspn(s, "/@?#*[]:% \t\r\n") == n; /* s goes on with ":port" */
}

const char *bide__policy_flaw(const char *const *network) {
  for (; network && *network; network++) {
    const char *colon = strrchr(*network, ':');
    if (!colon || !is_port(colon + 1) || !is_host(*network, (size_t)(colon - *network)))
      return *network;
  }
  return NULL;
}

/* Without brackets: scripts and URLs name the bare address. Returns where the next may stand. */
static char *copy_entry(char *to, const char *entry) {
  for (; *entry; entry++)
    if (*entry != '[' && *entry != ']') *to++ = *entry;
  *to = '\0';
  return to + 1;
}

/* The last colon parts them: an IPv6 address has others. `port` NULL: whatever port. */
static int allows(const char *entry, const char *host, const char *port) {
  const char *colon = strrchr(entry, ':');
  size_t n = colon ? (size_t)(colon - entry) : 0;
  if (!colon) return 0;
  if (port && strcmp(colon + 1, "*") != 0 && strcmp(colon + 1, port) != 0) return 0;
  if (n == 1 && *entry == '*') return 1;
  return strlen(host) == n && strncasecmp(entry, host, n) == 0;
}

int bide__may_connect(const bide_host *h, const char *host, int port) {
  char number[16];
  size_t i;
  if (!h->policy) return 0;
  snprintf(number, sizeof number, "%d", port);
  for (i = 0; i < h->policy->n; i++)
    if (allows(h->policy->network[i], host, number)) return 0;
  return UV_EACCES;
}

int bide__may_resolve(const bide_host *h, const char *host) {
  size_t i;
  if (!h->policy) return 0;
  for (i = 0; i < h->policy->n; i++)
    if (allows(h->policy->network[i], host, NULL)) return 0;
  return UV_EACCES;
}

int bide__may_open(const bide_host *h) {
  return h->policy ? UV_EACCES : 0;
}

/* ---- making and freeing ---- */

bide_policy *bide__policy_new(const char *const *network, const char *root, int *status) {
  size_t n = 0, size = 0, i;
  bide_policy *p;
  char *text;
  for (; network && network[n]; n++) size += strlen(network[n]) + 1;
  *status = UV_ENOMEM;
  p = malloc(sizeof *p + n * sizeof p->network[0] + size);
  if (!p) return NULL;
  p->root = root ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (root && p->root < 0) {
    *status = uv_translate_sys_error(errno);
    free(p);
    return NULL;
  }
  *status = 0;
  p->n = n;
  text = (char *)&p->network[n];
  for (i = 0; i < n; i++) {
    p->network[i] = text;
    text = copy_entry(text, network[i]);
  }
  return p;
}

void bide__policy_free(bide_policy *p) {
  if (p && p->root >= 0) close(p->root);
  free(p);
}

/* ---- files ---- */

enum { READING = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK };

/* O_NONBLOCK is for a FIFO, which else would wait for a writer here. */
static int regular(int fd) {
  struct stat st;
  if (fd < 0) return uv_translate_sys_error(errno);
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return fd;
  close(fd);
  return UV_EACCES;
}

/* The next name of a path, in *name; where the rest begins, or NULL at the end. */
static const char *next_name(const char *path, char name[256], int *status) {
  size_t n;
  path += strspn(path, "/");
  n = strcspn(path, "/");
  if (n == 0) return NULL;
  if (n > 255) *status = UV_ENAMETOOLONG;
  if (n == 2 && path[0] == '.' && path[1] == '.') *status = UV_EACCES;
  if (*status) return NULL;
  memcpy(name, path, n);
  name[n] = '\0';
  return path + n;
}

static int walk(int root, const char *path) {
  char name[256];
  int dir = root, fd = -1, status = 0;
  while ((path = next_name(path, name, &status)) != NULL) {
    int last = path[strspn(path, "/")] == '\0';
    fd = openat(dir, name, READING | O_NOFOLLOW | (last ? 0 : O_DIRECTORY));
    if (fd < 0) status = errno == ELOOP ? UV_EACCES : uv_translate_sys_error(errno);
    if (dir != root) close(dir);
    if (fd < 0) return status;
    dir = fd;
  }
  if (status == 0 && fd >= 0) return regular(fd);
  if (fd >= 0) close(fd);
  return status ? status : UV_EACCES;
}

static int open_beneath(int root, const char *path) {
#ifdef SYS_openat2
  struct open_how how;
  int fd;
  memset(&how, 0, sizeof how);
  how.flags = READING;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  if (fd >= 0) return regular(fd);
  if (errno == EXDEV || errno == ELOOP) return UV_EACCES;
  if (errno != ENOSYS && errno != EPERM) return uv_translate_sys_error(errno);
#endif
  return walk(root, path);
}

int bide__file_open(const bide_host *h, const char *path) {
  if (!h->policy) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? uv_translate_sys_error(errno) : fd;
  }
  if (h->policy->root < 0 || *path == '/') return UV_EACCES;
  return open_beneath(h->policy->root, path);
}
