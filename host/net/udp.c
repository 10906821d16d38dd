/* SPDX-License-Identifier: MIT */
/* udp.c: datagram sockets (contract in udp.h). */
#include "udp.h"
#include "plain.h"
#include "core/policy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct bide_udp {
  bide_poll poll; /* first */
  bide_host *host;
  const bide_udp_cbs *cbs;
  void *user;
  int family;
};

static void on_events(bide_poll *p, int events) {
  bide_udp *u = (bide_udp *)p;
  bide__udp_unwant(u, events);
  if (events & UV_READABLE) u->cbs->on_readable(u);
  if (p->fd >= 0 && (events & UV_WRITABLE)) u->cbs->on_writable(u);
}

static void on_closed(bide_poll *p) {
  bide_udp *u = (bide_udp *)p;
  if (u->user) u->cbs->on_closed(u);
  bide__free(u->host, u, sizeof *u);
}

static void on_teardown(bide_poll *p) {
  bide__poll_close(p);
}

static const bide_poll_ops poll_ops = {on_events, on_closed, on_teardown};

static int set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) ? uv_translate_sys_error(errno) : 0;
}

static int bind_address(int fd, const bide_addr *addr, const bide_udp_options *o) {
  int status = 0;
  if (addr->sa.sa_family == AF_INET6) status = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->v6only);
  if (!status && o->reuse_address) status = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (!status && o->reuse_port) status = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (!status && o->broadcast) status = set(fd, SOL_SOCKET, SO_BROADCAST, 1);
  if (!status && bind(fd, &addr->sa, bide__addr_len(addr))) status = uv_translate_sys_error(errno);
  return status;
}

int bide__udp_open(bide_host *h, const bide_addr *addr, const bide_udp_options *o,
                   const bide_udp_cbs *cbs, void *user, bide_udp **out) {
  bide_net *net = bide__net(h);
  if (bide__may_open(h)) return UV_EACCES;
  if (!net) return h->closed ? UV_ECANCELED : UV_ENOMEM;
  int fd = bide__socket(addr->sa.sa_family, SOCK_DGRAM);
  if (fd < 0) return fd;
  int status = bind_address(fd, addr, o);
  bide_udp *u = status ? NULL : bide__alloc(h, sizeof *u);
  if (!u) {
    close(fd);
    return status ? status : UV_ENOMEM;
  }
  status =
      bide__poll_open(net, &u->poll, fd, BIDE_POLL_DATAGRAM, &poll_ops, UV_READABLE | UV_WRITABLE);
  if (status) {
    bide__free(h, u, sizeof *u);
    return status;
  }
  u->host = h;
  u->cbs = cbs;
  u->user = user;
  u->family = addr->sa.sa_family;
  *out = u;
  return 0;
}

void *bide__udp_user(const bide_udp *u) {
  return u->user;
}

int bide__udp_send(bide_udp *u, const char *p, size_t n, const bide_addr *to) {
  ssize_t r;
  bide_addr mapped;
  if (to && u->family == AF_INET6 && to->sa.sa_family == AF_INET) {
    mapped = *to;
    bide__addr_map(&mapped);
    to = &mapped;
  }
  do r = sendto(u->poll.fd, p, n, MSG_NOSIGNAL, to ? &to->sa : NULL, to ? bide__addr_len(to) : 0);
  while (r < 0 && errno == EINTR);
  if (r >= 0) return 0;
  if (errno == EAGAIN || errno == ENOBUFS) {
    bide__poll_spent(&u->poll, UV_WRITABLE);
    return UV_EAGAIN;
  }
  return uv_translate_sys_error(errno);
}

ssize_t bide__udp_recv(bide_udp *u, char *p, size_t n, bide_addr *from, int *truncated) {
  struct iovec iov = {.iov_base = p, .iov_len = n};
  struct msghdr m = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_name = from, .msg_namelen = sizeof *from};
  ssize_t r;
  memset(from, 0, sizeof *from);
  if (u->poll.fd < 0) return UV_EBADF;
  if (!(u->poll.ready & UV_READABLE)) return UV_EAGAIN;
  do r = recvmsg(u->poll.fd, &m, 0);
  while (r < 0 && errno == EINTR);
  if (r < 0 && errno == EAGAIN) bide__poll_spent(&u->poll, UV_READABLE);
  if (r < 0) return uv_translate_sys_error(errno);
  bide__addr_unmap(from);
  *truncated = (m.msg_flags & MSG_TRUNC) != 0;
  return r;
}

int bide__udp_want(bide_udp *u, int events) {
  return bide__poll_want(&u->poll, u->poll.wanted | events);
}

void bide__udp_unwant(bide_udp *u, int events) {
  bide__poll_want(&u->poll, u->poll.wanted & ~events);
}

int bide__udp_connect(bide_udp *u, const bide_addr *to) {
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  bide_addr mapped = {0};
  if (to) mapped = *to;
  if (to && u->family == AF_INET6) bide__addr_map(&mapped);
  int r = to ? connect(u->poll.fd, &mapped.sa, bide__addr_len(&mapped))
             : connect(u->poll.fd, &none, sizeof none);
  return r ? uv_translate_sys_error(errno) : 0;
}

int bide__udp_local(const bide_udp *u, bide_addr *out) {
  socklen_t len = sizeof *out;
  memset(out, 0, sizeof *out);
  return getsockname(u->poll.fd, &out->sa, &len) ? uv_translate_sys_error(errno) : 0;
}

int bide__udp_peer(const bide_udp *u, bide_addr *out) {
  socklen_t len = sizeof *out;
  memset(out, 0, sizeof *out);
  return getpeername(u->poll.fd, &out->sa, &len) ? uv_translate_sys_error(errno) : 0;
}

int bide__udp_membership(bide_udp *u, const bide_addr *group, const bide_addr *on, int join) {
  int r;
  if (group->sa.sa_family == AF_INET) {
    struct ip_mreq m = {.imr_multiaddr = group->v4.sin_addr};
    if (on) m.imr_interface = on->v4.sin_addr;
    r = setsockopt(u->poll.fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &m,
                   sizeof m);
  } else {
    struct ipv6_mreq m = {.ipv6mr_multiaddr = group->v6.sin6_addr};
    m.ipv6mr_interface = on ? on->v6.sin6_scope_id : group->v6.sin6_scope_id;
    r = setsockopt(u->poll.fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &m,
                   sizeof m);
  }
  return r ? uv_translate_sys_error(errno) : 0;
}

int bide__udp_set(bide_udp *u, int option, int value) {
  static const struct {
    int level4, name4, level6, name6;
  } table[] = {
      [BIDE_UDP_BROADCAST] = {SOL_SOCKET, SO_BROADCAST, SOL_SOCKET, SO_BROADCAST},
      [BIDE_UDP_TTL] = {IPPROTO_IP, IP_TTL, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
      [BIDE_UDP_MULTICAST_TTL] = {IPPROTO_IP, IP_MULTICAST_TTL, IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
      [BIDE_UDP_MULTICAST_LOOP] = {IPPROTO_IP, IP_MULTICAST_LOOP, IPPROTO_IPV6,
                                   IPV6_MULTICAST_LOOP},
  };
  int six = u->family == AF_INET6;
  return set(u->poll.fd, six ? table[option].level6 : table[option].level4,
             six ? table[option].name6 : table[option].name4, value);
}

void bide__udp_close(bide_udp *u) {
  u->user = NULL;
  if (u->poll.fd >= 0) bide__poll_close(&u->poll);
}
