#!/bin/sh
# SPDX-License-Identifier: MIT
#
# names.sh [COUNT]: a thousand names at once, every other one met with silence, one DNS server on
# loopback: bide (c-ares on the loop) beside getaddrinfo on threads. `make bench-names` builds what
# it needs and runs it; it takes five minutes, of waiting mostly. What it found out stands in
# ARCHITECTURE.md.

set -u
build=${BENCH_BUILD:-build/bench}
bide=${BIDE:-build/bin/bide}
count=${1:-1000}
out=$(mktemp -d) || exit 1

"$build/dns_server" >"$out/server" &
server=$!
trap 'kill $server; rm -rf "$out"' EXIT
while ! grep -q port "$out/server"; do sleep 0.1; done
port=$(sed -n 's/^port //p' "$out/server")

figure() { sed -n "s/^$1 //p" "$out/result"; }

# row WHAT COMMAND...
row() {
  what=$1
  shift
  timeout 600 "$@" >"$out/result" || {
    echo "$what: failed"
    exit 1
  }
  printf '%-36s %5s %9s s %7s s %7s s %8s ms %8s kB\n' "$what" "$(figure found)" "$(figure mean)" \
    "$(figure last)" "$(figure all)" "$(figure late)" "$(figure memory)"
}

printf '%-36s %5s %11s %9s %9s %11s %11s\n' '' found 'on average' 'the last' 'all over' \
  'tick late' 'peak memory'
row 'bide: c-ares, 2 s x 3, doubling' "$bide" bench/bide/names.lua "$port" "$count"
row 'getaddrinfo, 32 threads, 2 s x 3' "$build/names" "$port" "$count" 32 2 3
row 'getaddrinfo, 1000 threads, 2 s x 3' "$build/names" "$port" "$count" 1000 2 3
row 'getaddrinfo, 32 threads, 5 s x 2' "$build/names" "$port" "$count" 32 5 2
