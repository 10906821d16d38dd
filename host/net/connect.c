/* SPDX-License-Identifier: MIT */
/* connect.c: Happy Eyeballs (contract in connect.h; RFC 8305).
 *
 * Both families are looked up at once, and each has a list of addresses of its own, which comes
 * when it comes; the operation takes from them in turn. Each attempt is a connection of its own
 * whose user it is. Invariant: until `done`, an attempt is under way, or a look-up is, or the alarm
 * for the next attempt is set. */
#include "connect.h"
#include "plain.h"
#include "core/error.h"
#include "core/policy.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESOLUTION_DELAY 0.05 /* IPv4 waits so long for the answer for IPv6 (section 3) */
#define UNIX_RETRY       0.02 /* seconds until a unix socket with a full backlog is tried again */

typedef struct connect_op connect_op;

typedef struct attempt {
  connect_op *op;
  bide_conn *conn; /* NULL when not under way */
  bide_addr addr;
} attempt;

/* What one family has brought. */
typedef struct family {
  bide_query query;
  attempt *at; /* owned; the addresses in the order of trying */
  uint32_t n, begun;
  int failed; /* the look-up's status */
} family;

struct connect_op {
  bide_connect pub; /* first */
  bide_netitem item;
  bide_alarm next;    /* time for the next address */
  bide_alarm timeout; /* for all */
  bide_alarm soon;    /* the answer was known in the call: done comes from the loop */
  void (*done)(bide_connect *op);
  int port, has_local, ended;
  bide_addr local;
  family part[2]; /* FIRST, SECOND */
  uint32_t running, errors_cap;
  int turn;                /* the part whose address is next */
  struct sockaddr_un path; /* AF_UNIX when connecting to one */
  socklen_t path_len;
  size_t host_size;
  char host[]; /* as given */
};

/* IPv6 is the first where both are asked for; where all is known, the family of the first address.
 */
enum { FIRST, SECOND };

static void begin_next(connect_op *op);

static void on_soon(bide_alarm *a) {
  connect_op *op = bide_container(a, connect_op, soon);
  op->done(&op->pub);
}

static void give_up_rest(connect_op *op) {
  bide_host *h = op->pub.host;
  bide__alarm_stop(h, &op->next);
  bide__alarm_stop(h, &op->timeout);
  for (family *f = op->part; f < op->part + 2; f++) {
    bide__resolve_cancel(&f->query);
    for (uint32_t i = 0; i < f->begun; i++) {
      bide_conn *c = f->at[i].conn;
      f->at[i].conn = NULL;
      if (!c) continue;
      bide__conn_use(c, NULL, NULL);
      bide__conn_close(c);
    }
  }
  op->running = 0;
}

static void end(connect_op *op, int status, bide_conn *conn) {
  op->ended = 1;
  give_up_rest(op);
  bide__net_unlink(&op->item.link);
  op->pub.status = status;
  op->pub.conn = conn;
  op->done(&op->pub);
}

static int is_looking(const connect_op *op) {
  return op->part[FIRST].query.lookup || op->part[SECOND].query.lookup;
}

/* The part whose address is to be tried next, in turns; or NULL. */
static family *next_part(connect_op *op) {
  for (int i = 0; i < 2; i++) {
    family *f = &op->part[op->turn ^ i];
    if (f->begun < f->n) return f;
  }
  return NULL;
}

/* There is room: add_part has seen to it. */
static void note_failure(connect_op *op, const attempt *t, int status) {
  op->pub.errors[op->pub.nerrors++] = (bide_connect_error){t->addr, status};
  op->pub.status = status;
}

/* Nothing is left to wait for: the last address's failure, or else that of the look-ups. */
static void end_failed(connect_op *op) {
  int failed = op->part[SECOND].failed;
  if (!failed || failed == UV_EAI_NODATA) failed = op->part[FIRST].failed;
  if (!failed) failed = op->part[SECOND].failed;
  if (!op->pub.nerrors && failed) {
    op->pub.in_lookup = 1;
    op->pub.status = failed;
  }
  end(op, op->pub.status, NULL);
}

/* After a failure: the next address at once, or the end. */
static void go_on(connect_op *op) {
  if (next_part(op)) begin_next(op);
  else if (!op->running && !is_looking(op)) end_failed(op);
}

/* A connection from a port to itself: TCP allows it when nobody listens and the port is drawn by
 * chance as the local one. */
static int is_self(const bide_conn *c, const bide_addr *peer) {
  bide_addr local;
  int port = bide__addr_port(peer);
  return port >= 1024 && !bide__conn_local(c, &local) && bide__addr_port(&local) == port &&
         bide__addr_equal(&local, peer);
}

static void on_writable(bide_conn *c) {
  attempt *t = c->user;
  connect_op *op = t->op;
  int status = 0, fd = c->ops->fd(c);
  socklen_t len = sizeof status;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &len)) status = errno;
  status = status ? uv_translate_sys_error(status) : 0;
  if (!status && !op->path_len && is_self(c, &t->addr)) status = UV_ECONNREFUSED;
  t->conn = NULL;
  op->running--;
  bide__conn_use(c, NULL, NULL);
  if (!status) {
    end(op, 0, c);
    return;
  }
  bide__conn_close(c);
  note_failure(op, t, status);
  go_on(op);
}

/* The host is being closed under us. */
static void on_closed(bide_conn *c) {
  attempt *t = c->user;
  if (t) t->conn = NULL;
}

static const bide_conn_cbs attempting = {.on_writable = on_writable, .on_closed = on_closed};

static int start_connect(connect_op *op, int fd, const bide_addr *addr) {
  int r, on = 1;
  if (op->has_local && bind(fd, &op->local.sa, bide__addr_len(&op->local)))
    return uv_translate_sys_error(errno);
  if (!op->path_len) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  do
    r = op->path_len ? connect(fd, (struct sockaddr *)&op->path, op->path_len)
                     : connect(fd, &addr->sa, bide__addr_len(addr));
  while (r && errno == EINTR);
  return !r || errno == EINPROGRESS ? 0 : uv_translate_sys_error(errno);
}

/* 0, or why the address can't even be tried. */
static int begin(connect_op *op, attempt *t) {
  const bide_addr *addr = &t->addr;
  int fd = bide__socket(op->path_len ? AF_UNIX : addr->sa.sa_family, SOCK_STREAM), status;
  if (fd < 0) return fd;
  if ((status = start_connect(op, fd, addr))) {
    close(fd);
    return status;
  }
  if ((status = bide__plain_open(op->pub.host, fd, op->path_len ? NULL : addr,
                                 UV_READABLE | UV_WRITABLE, &t->conn)))
    return status;
  bide__conn_use(t->conn, &attempting, t);
  if (!(status = bide__conn_want(t->conn, UV_WRITABLE))) return 0;
  bide__conn_use(t->conn, NULL, NULL);
  bide__conn_close(t->conn);
  t->conn = NULL;
  return status;
}

static void on_next(bide_alarm *a) {
  connect_op *op = bide_container(a, connect_op, next);
  if (next_part(op)) begin_next(op);
}

static void begin_next(connect_op *op) {
  bide_host *h = op->pub.host;
  family *f;
  while ((f = next_part(op))) {
    attempt *t = &f->at[f->begun];
    int status = begin(op, t);
    if (status == UV_EAGAIN && op->path_len) { /* a full backlog */
      if (!bide__alarm_again(h, &op->next, UNIX_RETRY, on_next)) return;
      status = UV_ENOMEM;
    }
    f->begun++;
    op->turn = f == &op->part[FIRST] ? SECOND : FIRST;
    if (!status) {
      op->running++;
      if (next_part(op)) bide__alarm_again(h, &op->next, BIDE_CONNECT_STAGGER, on_next);
      return;
    }
    note_failure(op, t, status);
  }
  if (!op->running && !is_looking(op)) end_failed(op);
}

/* Room for the failures of `n` addresses more. */
static int reserve_errors(connect_op *op, uint32_t n) {
  size_t size = sizeof *op->pub.errors, old = op->errors_cap * size;
  void *errors = op->pub.errors ? bide__realloc(op->pub.host, op->pub.errors, old, old + n * size)
                                : bide__alloc(op->pub.host, n * size);
  if (!errors) return UV_ENOMEM;
  op->pub.errors = errors;
  op->errors_cap += n;
  return 0;
}

/* Takes those addresses that are of `af` (all: AF_UNSPEC; a unix socket: NULL, one). */
static int add_part(connect_op *op, family *f, const bide_addrs *addrs, int af) {
  uint32_t n = !addrs, k = 0;
  for (uint32_t i = 0; addrs && i < addrs->n; i++) n += !af || addrs->at[i].sa.sa_family == af;
  if (!n) return 0;
  if (reserve_errors(op, n)) return UV_ENOMEM;
  if (!(f->at = bide__alloc(op->pub.host, n * sizeof *f->at))) return UV_ENOMEM;
  f->n = n;
  for (uint32_t i = 0; k < n; i++) {
    if (addrs && af && addrs->at[i].sa.sa_family != af) continue;
    f->at[k] = (attempt){.op = op};
    if (addrs) f->at[k].addr = addrs->at[i];
    if (addrs) bide__addr_set_port(&f->at[k].addr, op->port);
    k++;
  }
  return 0;
}

/* Families in turn, beginning with that of the first address (section 4). */
static int add_known(connect_op *op, const bide_addrs *addrs) {
  int first = addrs->at[0].sa.sa_family;
  int status = add_part(op, &op->part[FIRST], addrs, first);
  return status ? status
                : add_part(op, &op->part[SECOND], addrs, first == AF_INET ? AF_INET6 : AF_INET);
}

/* Attempts under way have their own alarm for the next; IPv4 alone waits a little for IPv6. */
static void on_resolved(connect_op *op, family *f, int status, const bide_addrs *addrs) {
  f->failed = status;
  if (!status) f->failed = add_part(op, f, addrs, AF_UNSPEC);
  if (op->running) {
    if (!op->next.timer.pos)
      bide__alarm_again(op->pub.host, &op->next, BIDE_CONNECT_STAGGER, on_next);
    return;
  }
  if (!f->failed && f == &op->part[SECOND] && op->part[FIRST].query.lookup &&
      !bide__alarm_again(op->pub.host, &op->next, RESOLUTION_DELAY, on_next))
    return;
  go_on(op);
}

static void on_first(bide_query *q, int status, bide_addrs *addrs) {
  family *f = bide_container(q, family, query);
  on_resolved(bide_container(f, connect_op, part[FIRST]), f, status, addrs);
}

static void on_second(bide_query *q, int status, bide_addrs *addrs) {
  family *f = bide_container(q, family, query);
  on_resolved(bide_container(f, connect_op, part[SECOND]), f, status, addrs);
}

static int look_up(connect_op *op, const char *host, int af) {
  int status = 0;
  if (af != AF_INET)
    status = bide__resolve(op->pub.host, &op->part[FIRST].query, host, AF_INET6, on_first);
  if (!status && af != AF_INET6)
    status = bide__resolve(op->pub.host, &op->part[SECOND].query, host, AF_INET, on_second);
  return status;
}

static void on_timeout(bide_alarm *a) {
  connect_op *op = bide_container(a, connect_op, timeout);
  op->pub.in_lookup = !op->running && !op->pub.nerrors && is_looking(op);
  end(op, UV_ETIMEDOUT, NULL);
}

static void close_item(bide_netitem *item) {
  end(bide_container(item, connect_op, item), UV_ECANCELED, NULL);
}

static connect_op *new_op(bide_host *h, const char *host, const bide_connect_options *o,
                          void (*done)(bide_connect *), void *user) {
  size_t size = strlen(host) + 1;
  bide_net *net = bide__net(h);
  connect_op *op = net ? bide__alloc(h, sizeof *op + size) : NULL;
  if (!op) return NULL;
  *op = (connect_op){.done = done, .host_size = size, .item.close = close_item};
  op->pub.host = h;
  op->pub.user = user;
  memcpy(op->host, host, size);
  if (o && o->local) {
    op->local = *o->local;
    op->has_local = 1;
  }
  bide__net_link(&net->others, &op->item.link);
  return op;
}

/* Stands in for `done` during the call. */
static void hold(bide_connect *pub) {
  (void)pub;
}

/* Sets the time limit and begins; what fails in the call is told from the loop. */
static int start(connect_op *op, int status, const bide_connect_options *o) {
  bide_host *h = op->pub.host;
  double timeout = o ? o->timeout : BIDE_CONNECT_TIMEOUT;
  void (*done)(bide_connect *) = op->done;
  if (!status) status = bide__alarm_start(h, &op->timeout, timeout, on_timeout);
  if (status) {
    bide__connect_free(&op->pub);
    return status;
  }
  if (is_looking(op)) return 0;
  op->done = hold;
  begin_next(op);
  op->done = done;
  if (!op->ended) return 0;
  status = bide__alarm_start(h, &op->soon, 0, on_soon);
  if (status) bide__connect_free(&op->pub);
  return status;
}

int bide__connect(bide_host *h, const char *host, int port, const bide_connect_options *o,
                  void (*done)(bide_connect *op), void *user, bide_connect **out) {
  int af = o ? o->family : AF_UNSPEC, status = bide__may_connect(h, host, port);
  if (status) return status;
  connect_op *op = new_op(h, host, o, done, user);
  if (!op) return h->closed ? UV_ECANCELED : UV_ENOMEM;
  op->port = port;
  bide_addrs *known = bide__resolve_now(h, host, af, &status);
  if (known) status = add_known(op, known);
  else if (!status) status = look_up(op, host, af);
  bide__addrs_unref(h, known);
  status = start(op, status, o);
  if (!status) *out = &op->pub;
  return status;
}

int bide__unix_address(const char *path, size_t len, struct sockaddr_un *out, socklen_t *size) {
  int abstract = len && !path[0];
  memset(out, 0, sizeof *out);
  if (!len) return UV_EINVAL;
  if (!abstract && strnlen(path, len) != len) return UV_EINVAL;
  if (len + !abstract > sizeof out->sun_path) return UV_ENAMETOOLONG;
  out->sun_family = AF_UNIX;
  memcpy(out->sun_path, path, len);
  *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
  return 0;
}

int bide__connect_unix(bide_host *h, const char *path, size_t len, const bide_connect_options *o,
                       void (*done)(bide_connect *op), void *user, bide_connect **out) {
  int status = bide__may_open(h);
  if (status) return status;
  connect_op *op = new_op(h, "", o, done, user);
  if (!op) return h->closed ? UV_ECANCELED : UV_ENOMEM;
  status = bide__unix_address(path, len, &op->path, &op->path_len);
  if (!status) status = add_part(op, &op->part[FIRST], NULL, AF_UNSPEC);
  status = start(op, status, o);
  if (!status) *out = &op->pub;
  return status;
}

static void free_array(bide_host *h, void *p, size_t size) {
  if (p) bide__free(h, p, size);
}

void bide__connect_free(bide_connect *pub) {
  connect_op *op = (connect_op *)pub;
  bide_host *h = pub->host;
  bide__alarm_stop(h, &op->soon);
  give_up_rest(op);
  bide__net_unlink(&op->item.link);
  if (pub->conn) {
    bide__conn_use(pub->conn, NULL, NULL);
    bide__conn_close(pub->conn);
  }
  for (family *f = op->part; f < op->part + 2; f++) free_array(h, f->at, f->n * sizeof *f->at);
  free_array(h, pub->errors, op->errors_cap * sizeof *pub->errors);
  bide__free(h, op, sizeof *op + op->host_size);
}

void bide__connect_describe(const bide_connect *pub, char *buf, size_t size) {
  const connect_op *op = (const connect_op *)pub;
  if (!op->path_len) bide__host_port_text(op->host, op->port, buf, size);
  else snprintf(buf, size, "%s", op->path.sun_path);
}

void bide__connect_reasons(const bide_connect *pub, char *buf, size_t size) {
  char host[BIDE_ADDR_TEXT], where[BIDE_ADDR_TEXT + 16];
  size_t n = 0;
  buf[0] = 0;
  for (uint32_t i = 0; i < pub->nerrors && n < size; i++) {
    const bide_connect_error *e = &pub->errors[i];
    bide__addr_text(&e->addr, host, sizeof host);
    bide__host_port_text(host, bide__addr_port(&e->addr), where, sizeof where);
    int k = snprintf(buf + n, size - n, "%s%s: %s (%s)", i ? "; " : "", where,
                     bide__code_text(e->status), bide__code_name(e->status));
    n += k > 0 ? (size_t)k : 0;
  }
}
