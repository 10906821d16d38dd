#!/bin/sh
# SPDX-License-Identifier: MIT
#
# suite.sh PART...: runs parts of the suite and sums up what really ran.
#
#   c[:BUILD]        the C tests (protocol code at guard pages)
#   program[:BUILD]  all specs inside the program
#   core[:BUILD]     the specs tagged #core inside the program
#   module[:BUILD]   all spec files load, those tagged #core run, in a stock lua5.4
#   rock             the same from a rock that luarocks builds and installs
#   embed[:BUILD]    C programs over bide.h
#   oom[:BUILD]      each allocation fails once (OOM_LIMIT, OOM_SAMPLE, OOM_SECONDS)
#   fuzz             each fuzzer for FUZZ_SECONDS
#   stress[:BUILD]   the specs that take long, *_stress.lua, inside the program
#   lint             whatever `make lint` says
#
# BUILD is a build directory, `build` by default. Each part's output goes to LOGS, build/log by
# default, and, when it fails, to the terminal. A part that crashed, timed out or gave no count is a
# failure. The last line is `N passed, N failed`, with `, N skipped` when there are any.

set -u
cd "$(dirname "$0")/../.." || exit 2

# A stack frame that is used after its function returned is an error too.
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=1:detect_stack_use_after_return=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS-print_stacktrace=1:halt_on_error=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS-halt_on_error=1}"

logs=${LOGS:-build/log}
mkdir -p "$logs"
passed=0
failed=0
skipped=0
part_seconds=${PART_SECONDS:-300}
file_seconds=${FILE_SECONDS:-120}

# say PART PASSED FAILED SKIPPED STATUS LOG: adds a part to the sums and tells about it.
say() {
  part=$1 p=$2 f=$3 s=$4 status=$5 log=$6
  if [ $((p + f)) -eq 0 ]; then
    echo 'nothing ran' >>"$log"
    f=1
  fi
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  passed=$((passed + p))
  failed=$((failed + f))
  skipped=$((skipped + s))
  if [ "$f" -gt 0 ]; then
    echo "--- $part: output ---"
    cat "$log"
    echo "--- $part: end, status $status ---"
  fi
  printf '%-24s %5d passed %3d failed %3d skipped  (%ds)\n' "$part" "$p" "$f" "$s" \
    $(($(date +%s) - started))
}

# count LOG PATTERN: the number that the last line matching PATTERN (a sed group) shows, or nothing.
count() { sed -n "s/$2/\\1/p" "$1" | tail -n 1; }

# busted_file FILE COMMAND...: one spec file in a process of its own, counted from busted's summary
# into p, f and s; what it printed goes to the part's log when it failed.
busted_file() {
  file=$1
  shift
  out=$logs/file.log
  echo 'no spec yet' >"$logs/at"
  BIDE_SPEC_AT=$logs/at timeout -k 10 "$file_seconds" "$@" "$file" >"$out" 2>&1 </dev/null
  file_status=$?
  # "N successes / N failures / N errors / N pending : T seconds", each noun also in the singular.
  numbers=$(sed -n 's,^\([0-9]*\) succ[a-z]* / \([0-9]*\) fail[a-z]* / \([0-9]*\) err[a-z]* / ,&,p' \
    "$out" | tail -n 1 | tr -c '0-9\n' ' ')
  bad=1
  if [ -n "$numbers" ]; then
    # shellcheck disable=SC2086
    set -- $numbers
    p=$((p + $1))
    s=$((s + $4))
    bad=$(($2 + $3))
    if [ "$file_status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  fi
  f=$((f + bad))
  [ "$bad" -eq 0 ] || {
    echo "$file: status $file_status; the last spec begun: $(cat "$logs/at")"
    cat "$out"
    echo
  } >>"$log"
}

# busted PART COMMAND...: the spec files in $files, each given to COMMAND.
busted() {
  part=$1
  shift
  log=$logs/$(echo "$part" | tr '/:' '--').log
  started=$(date +%s)
  p=0 f=0 s=0
  : >"$log"
  for file in $files; do
    busted_file "$file" "$@"
  done
  say "$part" "$p" "$f" "$s" 0 "$log"
}

# counted PART COMMAND...: a program whose last such line is `N passed, N failed`; one that prints
# no such line counts as one.
counted() {
  part=$1
  shift
  log=$logs/$(echo "$part" | tr '/:' '--').log
  started=$(date +%s)
  timeout -k 10 "$part_seconds" "$@" >"$log" 2>&1 </dev/null
  status=$?
  p=$(count "$log" '^\([0-9]*\) passed, [0-9]* failed.*')
  f=$(count "$log" '^[0-9]* passed, \([0-9]*\) failed.*')
  if [ -z "$p" ]; then
    p=0
    [ "$status" -ne 0 ] || p=1
  fi
  say "$part" "$p" "${f:-0}" 0 "$status" "$log"
}

specs='spec/support/run.lua'
spec_files=$(find spec -name '*_spec.lua' | sort)
files=$spec_files
stress_files=$(find spec -name '*_stress.lua' | sort)

# The thread sanitizer puts off signals until the next call that it knows: no slice or interrupt ends
# a script that computes. And it does not see how Lua leaves functions by longjmp, so that what raises
# errors by the thousand fills its stack.
not_under_tsan=' alloc codes hostile limits memory sandbox teardown hostile_spec.lua traceback_spec.lua '

# left_out BUILD NAME
left_out() {
  case $1/$not_under_tsan in */tsan/*" $2 "*) return 0 ;; esac
  return 1
}

# in_program PART BUILD [OPTION]: the specs inside the program.
in_program() {
  all=$files
  files=
  for file in $all; do
    left_out "$2" "${file##*/}" || files="$files $file"
  done
  # shellcheck disable=SC2086
  BIDE_BUILD=$2 BIDE_MODE=program busted "$1" "$2/bin/bide" $specs ${3-}
  files=$all
}

# in_stock PART BUILD MODE PATH CPATH: the core specs in a stock lua5.4 with the module from there.
in_stock() {
  # shellcheck disable=SC2086
  BIDE_BUILD=$2 BIDE_MODE=$3 LUA_PATH="$4;./?.lua;;" LUA_CPATH="$5;;" \
    busted "$1" lua5.4 $specs --tags=core
}

# in_rock: builds and installs the rock, which is a test by itself, then runs the core specs on it.
in_rock() {
  tree=$PWD/build/rock-tree
  rm -rf "$tree"
  MAKEFLAGS=-j2 counted rock-install luarocks --lua-version 5.4 make --tree "$tree" bide-scm-1.rockspec
  in_stock rock build rock "$tree/share/lua/5.4/?.lua;$tree/share/lua/5.4/?/init.lua" \
    "$tree/lib/lua/5.4/?.so"
}

fuzz() {
  for fuzzer in build/fuzz/fuzz_*; do
    [ -x "$fuzzer" ] || continue
    name=${fuzzer##*/}
    found=spec/fuzz/corpus/$name
    [ -d "$found" ] || found=
    mkdir -p "build/corpus/$name"
    # shellcheck disable=SC2086
    counted "fuzz:$name" "$fuzzer" "-max_total_time=${FUZZ_SECONDS:-60}" -timeout=10 \
      -artifact_prefix="$logs/" "build/corpus/$name" $found
  done
}

c_tests() {
  for test in "$1"/spec/c/test_*; do
    [ -x "$test" ] && counted "c:$1/${test##*/test_}" "$test"
  done
}

embed_tests() {
  for test in "$1"/spec/embed/test_*; do
    name=${test##*/test_}
    left_out "$1" "$name" && continue
    [ -x "$test" ] && counted "embed:$1/$name" "$test"
  done
}

for part in "$@"; do
  name=${part%%:*}
  build=build
  [ "$name" = "$part" ] || build=${part#*:}
  case $name in
  c) c_tests "$build" ;;
  embed) embed_tests "$build" ;;
  program) in_program "$part" "$build" ;;
  core) in_program "$part" "$build" --tags=core ;;
  module)
    in_stock "$part" "$build" module "$build/lua/?.lua;$build/lua/?/init.lua" "$build/lua/?.so"
    ;;
  rock) in_rock ;;
  oom) counted "$part" "$build/spec/oom" ;;
  fuzz) fuzz ;;
  stress)
    files=$stress_files
    BIDE_BUILD=$build busted "$part" "$build/bin/bide" $specs --pattern=_stress
    files=$spec_files
    ;;
  lint) counted lint make --no-print-directory -s -k lint ;;
  *) echo "suite: no part '$part'" >&2 && exit 2 ;;
  esac
done

echo
summary="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || summary="$summary, $skipped skipped"
echo "$summary"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
