/* SPDX-License-Identifier: MIT */
/* names.c: c-ares on bide's polls (contract in names.h).
 *
 * Rings: `queued`, not known to c-ares yet; `begun`, whose callback c-ares owes us. c-ares opens,
 * connects and closes its sockets through functions of ours, so that each is one `bide_poll` and no
 * write raises SIGPIPE. `inside` says that c-ares is on the stack: then its channel is not
 * destroyed but marked, and destroyed on the way out.
 *
 * c-ares looks for expired questions only when it is called, and keeps no timer: `tick` calls. */
#include "names.h"
#include "core/limit.h"
#include "plain.h"
#include "poll.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PACE      16    /* questions begun in one tick */
#define PACE_TIME 0.001 /* … of so many seconds while some are queued */
#define IDLE_TIME 0.1   /* … while some are begun */
#define BEGUN_MAX 2048  /* questions under way; the others wait their turn */
#define TRY_MS    2000  /* until a question is sent again; doubled each time */
#define TRIES     3
#define TTL_MAX   60 /* seconds an answer holds at the most */

/* Bytes that c-ares holds beside the host's allocator: for a channel, for a question under way. */
#define CHANNEL_COST  98304
#define QUESTION_COST 2048

typedef struct sock {
  bide_poll poll; /* first; open once c-ares wants to hear of it */
  bide_names *names;
  struct sock *next;
  int fd; /* owned until the poll is open */
  unsigned char opened, lost;
} sock;

struct bide_names {
  bide_net *net;
  ares_channel channel; /* NULL while there is no question */
  bide_question queued, begun;
  uint32_t nbegun;
  sock *socks;
  bide_alarm tick;
  char *servers; /* owned, or NULL: resolv.conf's */
  size_t servers_size;
  unsigned char inside, stale, freed;
};

static void ring_add(bide_question *ring, bide_question *q) {
  q->next = ring;
  q->prev = ring->prev;
  q->prev->next = q;
  ring->prev = q;
}

static void ring_remove(bide_question *q) {
  q->prev->next = q->next;
  q->next->prev = q->prev;
  q->next = q->prev = NULL;
}

static int ring_empty(const bide_question *ring) {
  return ring->next == ring;
}

/* --- sockets --- */

static sock **find_sock(bide_names *n, ares_socket_t fd) {
  sock **at = &n->socks;
  while (*at && (*at)->fd != fd) at = &(*at)->next;
  return at;
}

static ares_socket_t open_sock(int family, int type, int protocol, void *arg) {
  bide_names *n = arg;
  sock *s = bide__alloc(n->net->host, sizeof *s);
  (void)protocol;
  if (!s) {
    errno = ENOMEM;
    return ARES_SOCKET_BAD;
  }
  *s = (sock){.names = n, .next = n->socks, .fd = bide__socket(family, type)};
  if (s->fd < 0) {
    errno = -s->fd;
    bide__free(n->net->host, s, sizeof *s);
    return ARES_SOCKET_BAD;
  }
  n->socks = s;
  return s->fd;
}

static int close_sock(ares_socket_t fd, void *arg) {
  bide_names *n = arg;
  sock **at = find_sock(n, fd), *s = *at;
  assert(s);
  *at = s->next;
  if (s->opened) {
    bide__poll_close(&s->poll);
    return 0;
  }
  if (!s->lost) close(fd);
  bide__free(n->net->host, s, sizeof *s);
  return 0;
}

static int connect_sock(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t len,
                        void *arg) {
  (void)arg;
  return connect(fd, to, len);
}

/* What is not there is told to the poll: its edge comes only after that. */
static ares_ssize_t recv_sock(ares_socket_t fd, void *p, size_t size, int flags,
                              struct sockaddr *from, ares_socklen_t *len, void *arg) {
  sock *s = *find_sock(arg, fd);
  ssize_t r = recvfrom(fd, p, size, flags, from, len);
  if (r < 0 && errno == EAGAIN && s->opened) bide__poll_spent(&s->poll, UV_READABLE);
  return r;
}

static ares_ssize_t send_sock(ares_socket_t fd, const struct iovec *iov, int n, void *arg) {
  struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
  sock *s = *find_sock(arg, fd);
  ssize_t r = sendmsg(fd, &m, MSG_NOSIGNAL);
  if (r < 0 && errno == EAGAIN && s->opened) bide__poll_spent(&s->poll, UV_WRITABLE);
  return r;
}

static const struct ares_socket_functions sock_functions = {open_sock, close_sock, connect_sock,
                                                            recv_sock, send_sock};

/* --- the channel --- */

static void end_all(bide_question *ring, int status) {
  while (!ring_empty(ring)) {
    bide_question *q = ring->next;
    ring_remove(q);
    q->done(q, status, NULL, 0, 0);
  }
}

/* Tells those under way UV_ECANCELED, by way of their callbacks. */
static void close_channel(bide_names *n) {
  ares_channel channel = n->channel;
  n->stale = 0;
  n->channel = NULL;
  if (!channel) return;
  n->inside++;
  ares_destroy(channel);
  bide__refund(n->net->host, CHANNEL_COST);
  n->inside--;
}

static void on_tick(bide_alarm *a);

/* To be called whenever c-ares has left the stack. */
static void settle(bide_names *n) {
  bide_host *h = n->net->host;
  if (n->inside) return;
  int begun = !ring_empty(&n->begun), queued = !ring_empty(&n->queued);
  if (n->stale || !begun) close_channel(n);
  if (n->freed) return;
  begun = !ring_empty(&n->begun);
  queued = !ring_empty(&n->queued);
  if (!begun && !queued) bide__alarm_stop(h, &n->tick);
  else if (queued && n->nbegun < BEGUN_MAX) bide__alarm_again(h, &n->tick, PACE_TIME, on_tick);
  else bide__alarm_again(h, &n->tick, IDLE_TIME, on_tick);
}

static void on_events(bide_poll *p, int events) {
  sock *s = (sock *)p;
  bide_names *n = s->names;
  ares_socket_t in = events & UV_READABLE ? s->fd : ARES_SOCKET_BAD;
  ares_socket_t out = events & UV_WRITABLE ? s->fd : ARES_SOCKET_BAD;
  n->inside++;
  ares_process_fd(n->channel, in, out);
  n->inside--;
  settle(n);
}

static void on_closed(bide_poll *p) {
  bide__free(p->net->host, p, sizeof(sock));
}

/* The resolver is closed before the polls are. */
static void on_teardown(bide_poll *p) {
  bide__poll_close(p);
}

static const bide_poll_ops poll_ops = {on_events, on_closed, on_teardown};

/* c-ares tells what it wants to hear of; a socket that it only probes routes with, nothing. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable) {
  bide_names *n = arg;
  sock *s = *find_sock(n, fd);
  int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (!s || s->lost || (!s->opened && !events)) return;
  if (!s->opened && bide__poll_open(n->net, &s->poll, fd, BIDE_POLL_NAMES, &poll_ops,
                                    UV_READABLE | UV_WRITABLE)) {
    s->lost = 1; /* closed: what is asked through it runs into its time limit */
    return;
  }
  s->opened = 1;
  bide__poll_want(&s->poll, events);
}

static void init_library(void) {
  ares_library_init(ARES_LIB_INIT_ALL);
}

static int open_channel(bide_names *n) {
  static uv_once_t once = UV_ONCE_INIT;
  char lookups[] = "b";
  struct ares_options o = {.timeout = TRY_MS,
                           .tries = TRIES,
                           .lookups = lookups,
                           .sock_state_cb = on_state,
                           .sock_state_cb_data = n};
  uv_once(&once, init_library);
  if (bide__charge(n->net->host, CHANNEL_COST)) return UV_ENOMEM;
  if (ares_init_options(&n->channel, &o,
                        ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                            ARES_OPT_SOCK_STATE_CB)) {
    n->channel = NULL;
    bide__refund(n->net->host, CHANNEL_COST);
    return UV_ENOMEM;
  }
  ares_set_socket_functions(n->channel, &sock_functions, n);
  if (n->servers && ares_set_servers_ports_csv(n->channel, n->servers)) {
    close_channel(n);
    return UV_ENOMEM;
  }
  return 0;
}

/* --- questions --- */

static int status_of(int r) {
  static const struct {
    int ares, uv;
  } map[] = {{ARES_SUCCESS, 0},
             {ARES_ENODATA, UV_EAI_NODATA},
             {ARES_ENOTFOUND, UV_EAI_NONAME},
             {ARES_EBADNAME, UV_EAI_NONAME},
             {ARES_ENONAME, UV_EAI_NONAME},
             {ARES_ETIMEOUT, UV_EAI_AGAIN},
             {ARES_ESERVFAIL, UV_EAI_AGAIN},
             {ARES_ECONNREFUSED, UV_EAI_AGAIN},
             {ARES_ENOMEM, UV_ENOMEM},
             {ARES_EDESTRUCTION, UV_ECANCELED},
             {ARES_ECANCELLED, UV_ECANCELED}};
  for (size_t i = 0; i < sizeof map / sizeof *map; i++)
    if (map[i].ares == r) return map[i].uv;
  return UV_EAI_FAIL;
}

/* Copies what is of the family asked for; the shortest time to live holds for all. */
static uint32_t take(const struct ares_addrinfo *res, int family, bide_addr *at, uint32_t max,
                     int *ttl) {
  uint32_t n = 0;
  *ttl = TTL_MAX;
  for (const struct ares_addrinfo_node *a = res->nodes; a && n < max; a = a->ai_next) {
    size_t size = family == AF_INET ? sizeof at->v4 : sizeof at->v6;
    if (a->ai_family != family || a->ai_addrlen < size) continue;
    memset(&at[n], 0, sizeof at[n]);
    memcpy(&at[n++], a->ai_addr, size);
    if (a->ai_ttl < *ttl) *ttl = a->ai_ttl < 0 ? 0 : a->ai_ttl;
  }
  return n;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *res) {
  bide_question *q = arg;
  bide_names *names = q->names;
  bide_addr at[BIDE_ADDRS_MAX];
  int ttl = 0;
  uint32_t n = res ? take(res, q->family, at, BIDE_ADDRS_MAX, &ttl) : 0;
  (void)timeouts;
  if (res) ares_freeaddrinfo(res);
  names->nbegun--;
  bide__refund(names->net->host, QUESTION_COST);
  ring_remove(q);
  status = status_of(status);
  q->done(q, !status && !n ? UV_EAI_NODATA : status, at, n, ttl);
}

static void begin(bide_names *n, bide_question *q) {
  struct ares_addrinfo_hints hints = {.ai_family = q->family, .ai_socktype = SOCK_STREAM};
  ring_remove(q);
  if (bide__charge(n->net->host, QUESTION_COST)) {
    q->done(q, UV_ENOMEM, NULL, 0, 0);
    return;
  }
  ring_add(&n->begun, q);
  q->begun = 1;
  n->nbegun++;
  ares_getaddrinfo(n->channel, q->name, NULL, &hints, on_answer, q);
}

static void on_tick(bide_alarm *a) {
  bide_names *n = bide_container(a, bide_names, tick);
  int status = 0;
  n->inside++;
  if (n->channel) ares_process_fd(n->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  else status = open_channel(n);
  if (status) end_all(&n->queued, status);
  for (int i = 0; i < PACE && n->nbegun < BEGUN_MAX && !ring_empty(&n->queued) && !n->stale; i++)
    begin(n, n->queued.next);
  n->inside--;
  settle(n);
}

int bide__names_ask(bide_names *n, bide_question *q) {
  int status = n->tick.timer.pos && !ring_empty(&n->queued)
                   ? 0
                   : bide__alarm_again(n->net->host, &n->tick, 0, on_tick);
  if (status) return status;
  q->names = n;
  q->begun = 0;
  ring_add(&n->queued, q);
  return 0;
}

int bide__names_take_back(bide_question *q) {
  bide_names *n = q->names;
  if (q->begun) return 0;
  ring_remove(q);
  settle(n);
  return 1;
}

void bide__names_rest(bide_names *n) {
  end_all(&n->queued, UV_ECANCELED);
  n->stale = n->channel != NULL;
  settle(n);
}

bide_names *bide__names_new(bide_net *net) {
  bide_names *n = bide__alloc(net->host, sizeof *n);
  if (!n) return NULL;
  *n = (bide_names){.net = net};
  n->queued.next = n->queued.prev = &n->queued;
  n->begun.next = n->begun.prev = &n->begun;
  return n;
}

void bide__names_free(bide_names *n) {
  bide_host *h = n->net->host;
  n->freed = 1;
  end_all(&n->queued, UV_ECANCELED);
  close_channel(n);
  bide__alarm_stop(h, &n->tick);
  if (n->servers) bide__free(h, n->servers, n->servers_size);
  bide__free(h, n, sizeof *n);
}

/* Tried out on a channel that asks nothing, so that a wrong list is refused here. */
static int check_servers(const char *list) {
  ares_channel channel;
  struct ares_options o = {.timeout = TRY_MS};
  if (ares_init_options(&channel, &o, ARES_OPT_TIMEOUTMS)) return UV_ENOMEM;
  int r = ares_set_servers_ports_csv(channel, list);
  ares_destroy(channel);
  return !r ? 0 : r == ARES_ENOMEM ? UV_ENOMEM : UV_EINVAL;
}

int bide__names_servers(bide_names *n, const char *list) {
  bide_host *h = n->net->host;
  size_t size = list ? strlen(list) + 1 : 0;
  int status = list ? check_servers(list) : 0;
  char *copy = list && !status ? bide__alloc(h, size) : NULL;
  if (status || (list && !copy)) return status ? status : UV_ENOMEM;
  if (list) memcpy(copy, list, size);
  if (n->servers) bide__free(h, n->servers, n->servers_size);
  n->servers = copy;
  n->servers_size = size;
  return 0;
}
