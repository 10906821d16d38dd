# SPDX-License-Identifier: MIT
#
# Builds bide: the program, the library in both forms, the Lua module. `make help` lists targets.
# Every object is compiled once, position independent, and serves all four. A mode (release, asan,
# portable, tsan) is a set of flags with a build directory of its own. Nothing is written
# outside BUILD.

VERSION := 0.1.0
SOVERSION := 0
MODE ?= release
BUILD ?= $(if $(filter release,$(MODE)),build,build/$(MODE))

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
LUADIR ?= $(PREFIX)/share/lua/5.4
LUACDIR ?= $(PREFIX)/lib/lua/5.4

# --- tools and flags -------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin AR),default)
AR := ar
endif
CLANG ?= clang
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
# In a checkout a warning is an error; in a release tarball a newer compiler may warn.
WERROR ?= $(if $(wildcard .git),-Werror)
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(WERROR)

MODE_FLAGS_release :=
MODE_FLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# What other systems get, to be tried on Linux: no epoll, no slices.
MODE_FLAGS_portable := -DBIDE_PORTABLE
MODE_FLAGS_tsan := -O1 -fsanitize=thread -fno-omit-frame-pointer
ifndef MODE_FLAGS_$(MODE)
ifneq ($(MODE),release)
$(error MODE must be release, asan, portable or tsan, not `$(MODE)')
endif
endif
MODE_FLAGS := $(MODE_FLAGS_$(MODE))

# $(call lazy,NAME,COMMAND): NAME becomes what COMMAND prints, asked once and only when used, so
# that `make deps` works on a machine that has no pkg-config yet.
lazy = $(eval $(1) = $$(eval $(1) := $$$$(shell $(2)))$$($(1)))
$(call lazy,PKG_CFLAGS,$(PKG_CONFIG) --cflags lua5.4 libuv libcares openssl zlib)
$(call lazy,LUA_LIBS,$(PKG_CONFIG) --libs lua5.4)
$(call lazy,UV_LIBS,$(PKG_CONFIG) --libs libuv)
$(call lazy,CARES_LIBS,$(PKG_CONFIG) --libs libcares)
$(call lazy,SSL_LIBS,$(PKG_CONFIG) --libs openssl)
$(call lazy,Z_LIBS,$(PKG_CONFIG) --libs zlib)
$(call lazy,LUA_LIBDIR,$(PKG_CONFIG) --variable=libdir lua5.4)
$(call lazy,UV_LIBDIR,$(PKG_CONFIG) --variable=libdir libuv)
$(call lazy,CARES_LIBDIR,$(PKG_CONFIG) --variable=libdir libcares)
$(call lazy,SSL_LIBDIR,$(PKG_CONFIG) --variable=libdir openssl)
$(call lazy,Z_LIBDIR,$(PKG_CONFIG) --variable=libdir zlib)

# gcc clears and copies structs of 33 bytes and more by a string instruction, which takes longer to
# begin than the whole takes otherwise. Where it has the option (x86), leave them to the C library:
NO_STRINGS := $(foreach f,memset memcpy,-m$(f)-strategy=unrolled_loop:64:noalign,libcall:-1:noalign)
$(call lazy,TUNING,echo | $(CC) $(NO_STRINGS) -x c -c -o /dev/null - 2>/dev/null && \
  echo "$(NO_STRINGS)")

# Functions begin where a line of the cache does: else their speed depends on what stands before
# them, and a change somewhere makes a task dearer elsewhere, by a tenth and more.
$(call lazy,ALIGNED,echo | $(CC) -falign-functions=64 -falign-loops=32 -x c -c -o /dev/null - \
  2>/dev/null && echo -falign-functions=64 -falign-loops=32)

# LuaRocks names the include folder of the Lua it builds for.
ifdef LUA_INCDIR
LUA_CFLAGS := -I$(LUA_INCDIR)
endif
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fPIC -fno-semantic-interposition $(TUNING) $(ALIGNED) \
  $(WARNINGS) -I. -Ihost -Ibindings $(LUA_CFLAGS) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(MODE_FLAGS)
ALL_LDFLAGS = $(CFLAGS) $(MODE_FLAGS) $(LDFLAGS)
SYSTEM_LIBS := -lpthread -ldl -lm

# $(call static,FILE,ELSE): the static library when it is there, else the linker flags ELSE.
static = $(or $(wildcard $(1)),$(2))

# --- sources ---------------------------------------------------------------------------------

# TLS is a module of its own for stock Lua, so that `require "bide"` does not map libssl.
TLS_SRC := $(wildcard host/net/tls*.c bindings/tls*.c)
# Not in the module: what makes hosts, the Lua files compiled in, and functions of Lua's libraries
# that are bide's only there.
EMBED_SRC := $(wildcard bindings/embed*.c $(addprefix bindings/,preload.c guarded*.c stock.c \
  sort.c gsub.c pattern.c))
CORE_SRC := $(filter-out $(TLS_SRC) $(EMBED_SRC),\
  $(wildcard host/core/*.c host/net/*.c host/http/*.c host/os/*.c bindings/*.c))
PROGRAM_SRC := $(wildcard host/program/*.c)
# Protocol code sees neither Lua nor libuv: the C tests and fuzzers link these alone.
PROTO_SRC := $(wildcard host/http/h1*.c host/http/url*.c host/http/sse*.c)
LUA_SRC := $(sort $(wildcard lua/bide/*.lua lua/bide/*/*.lua))
# Descriptions for language servers: installed, not compiled in.
LUA_EMBED := $(filter-out lua/bide/meta/%,$(LUA_SRC))
C_TEST_SRC := $(wildcard spec/c/test_*.c)
C_SUPPORT_SRC := $(filter-out $(C_TEST_SRC),$(wildcard spec/c/*.c))
FUZZ_SRC := $(wildcard spec/fuzz/fuzz_*.c)

OBJ := $(BUILD)/obj
objects = $(patsubst %.c,$(OBJ)/%.o,$(1))
LUA_FILES_C := $(BUILD)/gen/lua_files.c
LUA_FILES_O := $(OBJ)/gen/lua_files.o
CORE_OBJ := $(call objects,$(CORE_SRC))
TLS_OBJ := $(call objects,$(TLS_SRC))
LIB_OBJ := $(CORE_OBJ) $(TLS_OBJ) $(call objects,$(EMBED_SRC)) $(LUA_FILES_O)
PROGRAM_OBJ := $(call objects,$(PROGRAM_SRC)) $(OBJ)/gen/prompt.o

PROGRAM := $(if $(wildcard host/program/main.c),$(BUILD)/bin/bide)
LIB_A := $(BUILD)/lib/libbide.a
LIB_SO := $(BUILD)/lib/libbide.so
LIB_REAL := $(LIB_SO).$(VERSION)
CORE_SO := $(if $(wildcard bindings/module.c),$(BUILD)/lua/bide/core.so)
TLS_SO := $(if $(TLS_SRC),$(BUILD)/lua/bide/openssl.so)
LUA_COPIES := $(patsubst lua/%,$(BUILD)/lua/%,$(LUA_SRC))
C_TESTS := $(patsubst spec/c/%.c,$(BUILD)/spec/c/%,$(C_TEST_SRC))
FUZZERS := $(patsubst spec/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: all program library module c-tests gc clean help

all: program library module
program: $(PROGRAM)
library: $(LIB_A) $(LIB_SO)
module: $(CORE_SO) $(TLS_SO) $(LUA_COPIES)
c-tests: $(C_TESTS)

# --- compiling -------------------------------------------------------------------------------

# Rebuild when the flags change: the stamp's text does then.
FLAGS_STAMP := $(BUILD)/.flags
FLAGS_TEXT = $(CC) $(ALL_CFLAGS) | $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS)
.PHONY: force
$(FLAGS_STAMP): force
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS_TEXT)' | cmp -s - $@ || printf '%s\n' '$(FLAGS_TEXT)' >$@

$(OBJ)/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The list of files is part of what is generated: a file that goes away must go away here too.
LUA_LIST := $(BUILD)/gen/lua_files.list
$(LUA_LIST): force
	@mkdir -p $(@D)
	@printf '%s\n' $(LUA_EMBED) | cmp -s - $@ || printf '%s\n' $(LUA_EMBED) >$@

$(LUA_FILES_C): $(LUA_EMBED) $(LUA_LIST) host/program/embed_lua.sh
	sh host/program/embed_lua.sh bide__lua_files lua $(LUA_EMBED) >$@

$(BUILD)/gen/prompt.c: host/program/prompt.lua host/program/embed_lua.sh
	@mkdir -p $(@D)
	sh host/program/embed_lua.sh program__lua_files host/program $< >$@

$(OBJ)/gen/%.o: $(BUILD)/gen/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/lua/%.lua: lua/%.lua
	@mkdir -p $(@D)
	cp $< $@

# --- linking ---------------------------------------------------------------------------------

# All of Lua goes in, for C modules may call what bide itself does not.
PROGRAM_LIBS = \
  -Wl,--whole-archive $(call static,$(LUA_LIBDIR)/liblua5.4.a,$(LUA_LIBS)) -Wl,--no-whole-archive \
  $(call static,$(UV_LIBDIR)/libuv_a.a $(UV_LIBDIR)/libuv.a,$(UV_LIBS)) \
  $(call static,$(CARES_LIBDIR)/libcares.a,$(CARES_LIBS)) \
  $(call static,$(SSL_LIBDIR)/libssl.a,$(SSL_LIBS)) \
  $(call static,$(SSL_LIBDIR)/libcrypto.a,) \
  $(call static,$(Z_LIBDIR)/libz.a,$(Z_LIBS)) $(SYSTEM_LIBS)

# At a fixed address, as Debian's python3: with OpenSSL linked in, 20,000 pointers would have to be
# relocated at each start (105 page faults, a third of the time). PROGRAM_LDFLAGS=-pie undoes it.
PROGRAM_LDFLAGS ?= $(if $(findstring san,$(MODE)),,-no-pie)

$(BUILD)/bin/bide: $(PROGRAM_OBJ) $(LIB_OBJ) host/program/exports.list
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS) -Wl,--dynamic-list=host/program/exports.list \
	  -o $@ $(PROGRAM_OBJ) $(LIB_OBJ) $(PROGRAM_LIBS)

# The program that collects garbage at each wait; all but the objects that do is the same.
STRESSED := $(shell grep -l BIDE_GC_STRESS host/*/*.c bindings/*.c)
STRESSED_OBJ := $(patsubst %.c,$(BUILD)/gc/obj/%.o,$(STRESSED))
$(BUILD)/gc/obj/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DBIDE_GC_STRESS -MMD -MP -c $< -o $@

$(BUILD)/gc/bin/bide: $(PROGRAM_OBJ) $(LIB_OBJ) $(STRESSED_OBJ) host/program/exports.list
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS) -Wl,--dynamic-list=host/program/exports.list -o $@ \
	  $(filter-out $(call objects,$(STRESSED)),$(PROGRAM_OBJ) $(LIB_OBJ)) $(STRESSED_OBJ) \
	  $(PROGRAM_LIBS)
gc: $(BUILD)/gc/bin/bide

$(LIB_A): $(LIB_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJ)

$(LIB_REAL): $(LIB_OBJ) bindings/bide.map
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,libbide.so.$(SOVERSION) \
	  -Wl,--version-script=bindings/bide.map -o $@ $(LIB_OBJ) \
	  -Wl,--as-needed $(LUA_LIBS) $(UV_LIBS) $(CARES_LIBS) $(SSL_LIBS) $(Z_LIBS) $(SYSTEM_LIBS)

$(LIB_SO): $(LIB_REAL)
	ln -sf $(notdir $(LIB_REAL)) $(LIB_SO).$(SOVERSION)
	ln -sf $(notdir $(LIB_REAL)) $@
	@touch -h $@

# Lua's own symbols come from the interpreter that loads the module.
$(BUILD)/lua/bide/core.so: $(CORE_OBJ) bindings/bide.map
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -shared -Wl,--version-script=bindings/bide.map -o $@ $(CORE_OBJ) \
	  -Wl,--as-needed $(UV_LIBS) $(CARES_LIBS) $(Z_LIBS) $(SYSTEM_LIBS)

$(BUILD)/lua/bide/openssl.so: $(TLS_OBJ) bindings/bide.map
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -shared -Wl,--version-script=bindings/bide.map -o $@ $(TLS_OBJ) \
	  -Wl,--as-needed $(SSL_LIBS) $(SYSTEM_LIBS)

# --- C tests and fuzzers: protocol code alone ------------------------------------------------

$(BUILD)/spec/c/%: $(OBJ)/spec/c/%.o $(call objects,$(C_SUPPORT_SRC) $(PROTO_SRC))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^

# The protocol code is compiled once for all of them.
FUZZ_CFLAGS := -std=c11 -D_GNU_SOURCE $(WARNINGS) -I. -Ihost -O1 -g \
  -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_HEADERS := $(wildcard host/http/*.h spec/fuzz/*.h)
FUZZ_PROTO := $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(PROTO_SRC))
$(BUILD)/fuzz/obj/%.o: %.c $(FUZZ_HEADERS)
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -c -o $@ $<
$(BUILD)/fuzz/fuzz_%: spec/fuzz/fuzz_%.c $(FUZZ_PROTO) $(FUZZ_HEADERS)
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $< $(FUZZ_PROTO)

fuzzers: $(FUZZERS)

# Memory that runs out: a C program over bide.h, with an allocator of its own.
OOM_OBJ := $(call objects,$(wildcard spec/oom/*.c))
$(BUILD)/spec/oom: $(OOM_OBJ) $(LIB_A)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(OOM_OBJ) $(LIB_A) $(PROGRAM_LIBS)
oom: $(BUILD)/spec/oom

# The library's C face, driven by programs of its own.
EMBED_TESTS := $(patsubst spec/embed/%.c,$(BUILD)/spec/embed/%,$(wildcard spec/embed/test_*.c))
EMBED_SUPPORT := $(call objects,spec/embed/check.c spec/embed/scripts.c)
$(BUILD)/spec/embed/%: $(OBJ)/spec/embed/%.o $(EMBED_SUPPORT) $(LIB_A)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(EMBED_SUPPORT) $(LIB_A) $(PROGRAM_LIBS)
embed-tests: $(EMBED_TESTS)
.PHONY: fuzzers oom embed-tests

# --- other checks and their builds -----------------------------------------------------------

.PHONY: deps demo test check-asan check-gc check-oom check-tsan check-portable check-all check-fuzz lint \
  lint-lua lint-format lint-headers lint-clang format format-check bench fuzz stress

SUITE := sh spec/support/suite.sh
# What a target here builds by itself, it builds on all processors, unless told otherwise by -j.
$(call lazy,PROCESSORS,nproc 2>/dev/null || echo 1)
SUBMAKE = $(MAKE) --no-print-directory -s $(if $(filter -j%,$(MAKEFLAGS)),,-j$(PROCESSORS))

deps:
	@.ci/deps build test

demo:
	@.ci/deps build
	@+$(SUBMAKE) program
	build/bin/bide examples/fetch.lua $(URLS)

test:
	@+.ci/run

# Specs of what is installed build the plain mode, too: better before their time runs.
check-asan:
	@+$(SUBMAKE) all
	@+$(SUBMAKE) MODE=asan all c-tests embed-tests
	@$(SUITE) c:build/asan embed:build/asan program:build/asan

check-gc:
	@+$(SUBMAKE) all gc
	@$(SUITE) program:build/gc

check-oom:
	@+$(SUBMAKE) MODE=asan oom
	@OOM_SECONDS=0 PART_SECONDS=86400 $(SUITE) oom:build/asan

check-tsan:
	@+$(SUBMAKE) MODE=tsan program embed-tests
	@$(SUITE) embed:build/tsan core:build/tsan

# What was found once lies under spec/fuzz/corpus/NAME and is tried first.
FUZZ_SECONDS ?= 60
fuzz check-fuzz: fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) PART_SECONDS=86400 $(SUITE) fuzz

# Specs that take long (*_stress.lua); none of them is part of `make test`.
stress:
	@+$(SUBMAKE) program
	@FILE_SECONDS=3600 $(SUITE) stress

# The published numbers, each beside its baseline; NAME=switch for one, QUICK=1 for less.
bench:
	@.ci/deps build bench
	@+$(SUBMAKE) program
	@+$(SUBMAKE) bench-run

# What systems without epoll and slices get.
check-portable:
	@+$(SUBMAKE) all
	@+$(SUBMAKE) MODE=portable program
	@$(SUITE) program:build/portable

check-all:
	@.ci/deps build test
	@+$(SUBMAKE) all gc fuzzers
	@+$(SUBMAKE) MODE=asan all c-tests oom embed-tests
	@+$(SUBMAKE) MODE=tsan program embed-tests
	@OOM_SECONDS=0 FUZZ_SECONDS=$(FUZZ_SECONDS) PART_SECONDS=86400 FILE_SECONDS=3600 $(SUITE) lint c:build/asan \
	  embed:build/asan embed:build/tsan program:build/asan program module rock program:build/gc core:build/tsan oom:build/asan fuzz stress

# --- lint ------------------------------------------------------------------------------------

C_FILES := $(sort $(wildcard $(foreach d,host/core host/net host/http host/os host/program \
  bindings spec/c spec/fuzz spec/oom spec/embed examples/embed bench/baseline bench/load bench/tools,\
  $(d)/*.c $(d)/*.h)))
HEADERS := $(filter %.h,$(C_FILES))
LUA_LINT := $(wildcard lua host/program spec examples bench *.rockspec .luacheckrc)

lint: lint-lua format-check lint-headers lint-clang

lint-lua:
	@luacheck -q $(LUA_LINT)

format-check:
	@clang-format --dry-run -Werror $(C_FILES)

format:
	clang-format -i $(C_FILES)

# $(call each,COMPILER,FILES,FLAGS): each file by itself, a few at a time.
each = printf '%s\n' $(2) | xargs -n 8 -P $(PROCESSORS) \
  $(1) $(filter-out $(TUNING) $(ALIGNED),$(ALL_CFLAGS)) -Werror -fsyntax-only $(3) -x c
LINTED_HEADERS := $(filter host/% bindings/%,$(HEADERS))

# Each header compiles alone, under both compilers.
lint-headers:
	@$(call each,$(CC),$(LINTED_HEADERS),-Wno-unused-function)
	@$(call each,$(CLANG),$(LINTED_HEADERS),-Wno-unused-function)

# The whole of it under clang; gcc's warnings are errors in every build of a checkout.
lint-clang: $(LUA_FILES_C)
	@$(call each,$(CLANG),$(filter-out spec/fuzz/%,$(filter %.c,$(C_FILES))) $(LUA_FILES_C))

# --- installing ------------------------------------------------------------------------------

.PHONY: install install-program install-library install-module uninstall

D_BIN := $(DESTDIR)$(BINDIR)
D_LIB := $(DESTDIR)$(LIBDIR)
D_INCLUDE := $(DESTDIR)$(INCLUDEDIR)
D_MAN := $(DESTDIR)$(MANDIR)/man1
D_LUA := $(DESTDIR)$(LUADIR)
D_LUAC := $(DESTDIR)$(LUACDIR)
MAN_PAGE := $(wildcard docs/bide.1)
FILL := sed -e 's:@PREFIX@:$(PREFIX):g' -e 's:@LIBDIR@:$(LIBDIR):g' \
  -e 's:@INCLUDEDIR@:$(INCLUDEDIR):g' -e 's:@VERSION@:$(VERSION):g' \
  -e 's:@SOVERSION@:$(SOVERSION):g'

install: install-program install-library install-module

install-program: program
	install -d $(D_BIN)
	install -m 755 $(PROGRAM) $(D_BIN)/bide
	$(if $(MAN_PAGE),install -d $(D_MAN))
	$(if $(MAN_PAGE),install -m 644 $(MAN_PAGE) $(D_MAN)/bide.1)

install-library: library
	install -d $(D_LIB)/pkgconfig $(D_LIB)/cmake/bide $(D_INCLUDE)
	install -m 644 bindings/bide.h $(D_INCLUDE)/bide.h
	install -m 644 $(LIB_A) $(D_LIB)/libbide.a
	install -m 644 $(LIB_REAL) $(D_LIB)/$(notdir $(LIB_REAL))
	ln -sf $(notdir $(LIB_REAL)) $(D_LIB)/libbide.so.$(SOVERSION)
	ln -sf $(notdir $(LIB_REAL)) $(D_LIB)/libbide.so
	$(FILL) bindings/bide.pc.in >$(D_LIB)/pkgconfig/bide.pc
	$(FILL) bindings/bide-config.cmake.in >$(D_LIB)/cmake/bide/bide-config.cmake
	$(FILL) bindings/bide-config-version.cmake.in >$(D_LIB)/cmake/bide/bide-config-version.cmake
	$(if $(DESTDIR),,-[ "$$(id -u)" != 0 ] || ldconfig)

install-module: module
	@for file in $(LUA_SRC); do \
	  install -D -m 644 $$file $(D_LUA)/$${file#lua/} || exit 1; done
	@for file in $(CORE_SO) $(TLS_SO); do \
	  install -D -m 755 $$file $(D_LUAC)/bide/$${file##*/} || exit 1; done

uninstall:
	rm -f $(D_BIN)/bide $(D_MAN)/bide.1 $(D_INCLUDE)/bide.h
	rm -f $(D_LIB)/libbide.a $(D_LIB)/libbide.so $(D_LIB)/libbide.so.$(SOVERSION) \
	  $(D_LIB)/$(notdir $(LIB_REAL)) $(D_LIB)/pkgconfig/bide.pc
	rm -rf $(D_LIB)/cmake/bide $(D_LUA)/bide $(D_LUAC)/bide

clean:
	rm -rf $(BUILD)

help:
	@echo 'all (program, library, module), gc, demo, test, install, uninstall, deps, clean'
	@echo 'checks: check-asan check-gc check-oom check-tsan check-portable check-fuzz check-all'
	@echo '  stress lint'
	@echo 'bench [NAME=switch] [QUICK=1], fuzz, format'
	@echo 'MODE=release|asan|portable|tsan, PREFIX=, DESTDIR=, CFLAGS=, WERROR='

-include bench/bench.mk

-include $(shell find $(OBJ) $(BUILD)/gc/obj -name '*.d' 2>/dev/null)
