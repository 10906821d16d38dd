# SPDX-License-Identifier: MIT
# The benchmarks' own programs, built into $(BUILD)/bench; included by the Makefile.
# `bench-programs` builds them, `bench-run` also runs them (NAME=switch for one, QUICK=1 for less).

BUILD ?= build
BENCH_DIR := $(BUILD)/bench
BENCH_SOURCES := $(wildcard bench/baseline/*.c bench/load/*.c bench/tools/*.c)
BENCH_HEADERS := $(wildcard bench/baseline/*.h bench/load/*.h bench/tools/*.h)
BENCH_PROGRAMS := $(addprefix $(BENCH_DIR)/,$(basename $(notdir $(BENCH_SOURCES))))
BENCH_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g \
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(WERROR)

.PHONY: bench-programs bench-run bench-names bench-clean

bench-programs: $(BENCH_PROGRAMS)

bench-run: bench-programs $(BUILD)/bin/bide
	BIDE=$(BUILD)/bin/bide BENCH_BUILD=$(BENCH_DIR) bench/run $(if $(QUICK),--quick) $(NAME)

# Names on the loop beside names on threads: five minutes of waiting, so not among the others.
bench-names: $(BENCH_DIR)/names $(BENCH_DIR)/dns_server $(BUILD)/bin/bide
	BIDE=$(BUILD)/bin/bide BENCH_BUILD=$(BENCH_DIR) bench/micro/names.sh

bench-clean:
	rm -rf $(BENCH_DIR)

# Asks pkg-config only when it builds: a machine without it can still read the Makefile.
define BENCH_RULE
$(BENCH_DIR)/$(basename $(notdir $(1))): $(1) $(BENCH_HEADERS)
	@mkdir -p $$(@D)
	$$(CC) $$(BENCH_CFLAGS) $$$$(pkg-config --cflags libuv openssl) -o $$@ $$< -Wl,--as-needed \
	  $$$$(pkg-config --libs libuv openssl)
endef
$(foreach source,$(BENCH_SOURCES),$(eval $(call BENCH_RULE,$(source))))

# What needs bide's own protocol code; run by hand, no published number.
$(BENCH_DIR)/h1_parse: bench/micro/h1_parse.c $(wildcard host/http/h1*.c host/http/url*.c)
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -Ihost -o $@ $^
