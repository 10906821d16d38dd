/* SPDX-License-Identifier: MIT */
/* hosts.c: /etc/hosts in memory (contract in hosts.h).
 *
 * One stat a question; the file is read and sorted only when that says it is another, so a list of
 * a hundred thousand blocked names costs the loop nothing per question. The names are cut in the
 * text itself. */
#include "hosts.h"
#include "core/host.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

#define SIZE_MAX_READ (16 << 20)

void bide__hosts_fini(bide_host *h, bide_hosts *f) {
  if (f->text) bide__free(h, f->text, f->size);
  if (f->at) bide__free(h, f->at, f->cap * sizeof *f->at);
  f->text = NULL;
  f->at = NULL;
  f->n = f->cap = 0;
}

static int add(bide_host *h, bide_hosts *f, const char *name, const bide_addr *addr) {
  if (f->n == f->cap) {
    uint32_t cap = f->cap ? f->cap * 2 : 32;
    void *at = bide__realloc(h, f->at, f->cap * sizeof *f->at, cap * sizeof *f->at);
    if (!at) return UV_ENOMEM;
    f->at = at;
    f->cap = cap;
  }
  f->at[f->n] = (bide_hosts_entry){name, f->n, *addr};
  f->n++;
  return 0;
}

/* One line: an address, then names. */
static int read_line(bide_host *h, bide_hosts *f, char *line) {
  char *rest = line, *word;
  bide_addr addr;
  line[strcspn(line, "#")] = 0;
  word = strtok_r(line, " \t\r\v\f", &rest);
  if (!word || bide__addr_literal(word, 0, &addr)) return 0;
  while ((word = strtok_r(NULL, " \t\r\v\f", &rest)))
    if (add(h, f, word, &addr)) return UV_ENOMEM;
  return 0;
}

static int by_name(const void *a, const void *b) {
  const bide_hosts_entry *x = a, *y = b;
  int r = strcasecmp(x->name, y->name);
  return r ? r : x->order < y->order ? -1 : 1;
}

static void parse(bide_host *h, bide_hosts *f) {
  char *rest = f->text, *line;
  while ((line = strsep(&rest, "\n")))
    if (read_line(h, f, line)) {
      bide__hosts_fini(h, f);
      return;
    }
  if (f->n) qsort(f->at, f->n, sizeof *f->at, by_name);
}

static void load(bide_host *h, bide_hosts *f, const char *path) {
  size_t have = 0;
  ssize_t r = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;
  f->size = (size_t)f->length + 1;
  f->text = bide__alloc(h, f->size);
  while (f->text && have + 1 < f->size && (r = read(fd, f->text + have, f->size - 1 - have)) > 0)
    have += (size_t)r;
  close(fd);
  if (!f->text) return;
  memset(f->text + have, 0, f->size - have);
  parse(h, f);
}

static void refresh(bide_host *h, bide_hosts *f) {
  const char *path = f->path ? f->path : "/etc/hosts";
  struct stat st;
  long long changed = -1;
  if (stat(path, &st) || !S_ISREG(st.st_mode) || st.st_size > SIZE_MAX_READ)
    memset(&st, 0, sizeof st);
  else changed = (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
  if (changed == f->changed && st.st_size == f->length && (long long)st.st_ino == f->inode) return;
  bide__hosts_fini(h, f);
  f->changed = changed;
  f->length = st.st_size;
  f->inode = (long long)st.st_ino;
  if (changed != -1) load(h, f, path);
}

/* The first entry that is not before `name`. */
static uint32_t lower_bound(const bide_hosts *f, const char *name) {
  uint32_t low = 0, high = f->n;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    if (strcasecmp(f->at[mid].name, name) < 0) low = mid + 1;
    else high = mid;
  }
  return low;
}

uint32_t bide__hosts_find(bide_host *h, bide_hosts *f, const char *name, int family, bide_addr *out,
                          uint32_t max) {
  char bare[BIDE_HOST_MAX + 2];
  size_t len = strlen(name);
  uint32_t n = 0;
  if (len >= sizeof bare) return 0;
  memcpy(bare, name, len + 1);
  if (len > 1 && bare[len - 1] == '.') bare[len - 1] = 0;
  refresh(h, f);
  for (uint32_t i = lower_bound(f, bare); i < f->n && n < max; i++) {
    const bide_hosts_entry *e = &f->at[i];
    if (strcasecmp(e->name, bare)) break;
    if (family == AF_UNSPEC || e->addr.sa.sa_family == family) out[n++] = e->addr;
  }
  return n;
}
