# SPDX-License-Identifier: MIT
# torc: what is built and installed; `make help` lists it. Rules for the tests,
# the benchmarks and ringstat lie beside these. V=1 shows the commands; CC,
# CFLAGS, LDFLAGS, DESTDIR and PREFIX are yours. Needs gcc or clang, make and
# the kernel's headers; `make check` installs what the tests need on Debian.

# On all CPUs, unless -j says on how many.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

VERSION := 0.2.0
B := build
CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Werror
# Public headers include each other as users do, without a path.
PLACES := -iquote reactor -iquote conn -iquote conn/kit -iquote conn/http \
	-iquote conn/redis
# What torc itself needs; CFLAGS come behind it.
BASE := -std=c11 -fno-tree-slp-vectorize -D_GNU_SOURCE -iquote . $(PLACES) \
	-fvisibility=hidden -ffunction-sections -fdata-sections -pthread \
	-MMD -MP $(WARN) $(MODE)
LINK := -pthread -Wl,--gc-sections
-include config.mak

# musl's wrapper does not know where the kernel's headers are: give it those
# three folders and nothing else of the system's.
KERNEL_HEADERS := $(if $(findstring musl,$(CC)),$B/kernel-headers)
BASE += $(KERNEL_HEADERS:%=-idirafter %)

CORE := $(sort $(wildcard sys/*.c ring/*.c reactor/*.c conn/*.c conn/kit/*.c))
ASM := $(wildcard sys/*.S)
OBJ := $(CORE:%.c=$B/%.o) $(ASM:%.S=$B/%.o)
PIC := $(CORE:%.c=$B/pic/%.o) $(ASM:%.S=$B/%.o)
# What users include: each lies beside what it is of.
PUBLIC := $(wildcard reactor/torc_*.h conn/torc*.h conn/*/torc_*.h)
HEADERS := $(addprefix $B/include/,$(notdir $(PUBLIC)))
# A library for each client under conn/; nobody pays for the others.
# Those of PostgreSQL and TLS need OpenSSL, the system's or that below CRYPTO.
BASE += $(CRYPTO:%=-isystem %/include)
NO_CRYPTO := $(shell $(CC) $(CRYPTO:%=-isystem %/include) -E -include openssl/ssl.h -x c /dev/null 2>&1 >/dev/null)
CLIENTS := $(filter-out kit $(if $(NO_CRYPTO),pg tls),$(patsubst conn/%/,%,$(wildcard conn/*/)))
LIBRARIES := $(CLIENTS:%=$B/lib/libtorc-%.a) $B/lib/libtorc.a
PROGRAMS := $B/bin/ringstat

Q := $(if $(filter 1,$(V)),,@)
say = @mkdir -p $(@D)$(if $Q,; printf '  %-6s %s\n' $(1) $(2))
define compile
$(call say,CC,"$<$(2)")
$Q $(CC) $(BASE) -I$B/include $(CFLAGS) $(1) -c $< -o $@
endef
# A program of all its prerequisites, where archives need each other.
define link
$(call say,LD,$@)
$Q $(CC) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) \
	-Wl,--end-group $(LIBS) $(LINK) $(LDFLAGS)
endef

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all run static static-programs tables clean help

all: $(LIBRARIES) $(HEADERS) $(PROGRAMS)	# library and programs
run: $B/bin/hello	# serve HTTP on 127.0.0.1:8080
	$B/bin/hello -l 127.0.0.1:8080
tables:	# of Unicode, for passwords of PostgreSQL: written again (python3)
	$Q tools/unicode/tables.py conn/pg

$B/kernel-headers:
	$Q mkdir -p $@ && for d in linux asm asm-generic; do \
		for from in /usr/include /usr/include/$$(uname -m)-linux-gnu; \
		do [ ! -d $$from/$$d ] || ln -sfn $$from/$$d $@/$$d; done; done

# Before anything is compiled: a machine that torc does not know is refused.
$B/machine: sys/machine.h
	$Q mkdir -p $(@D) && $(CC) $(MODE) $(CFLAGS) -E -o $@ $<
$B/%.o: %.c | $(KERNEL_HEADERS) $B/machine
	$(call compile)
$B/pic/%.o: %.c | $(KERNEL_HEADERS) $B/machine
	$(call compile,-fPIC, (pic))
$B/%.o: %.S | $B/machine
	$(call say,AS,$<)
	$Q $(CC) -iquote . -MMD -MP $(PLACE) $(CFLAGS) -c $< -o $@

$B/lib/libtorc.a: $(OBJ)
$(foreach c,$(CLIENTS),$(eval \
	$B/lib/libtorc-$c.a: $(patsubst %.c,$B/%.o,$(wildcard conn/$c/*.c))))
$(LIBRARIES):
	$(call say,AR,$@)
	$Q rm -f $@ && $(AR) rcsD $@ $^

$(foreach h,$(PUBLIC),$(eval $B/include/$(notdir $h): $h))
$(HEADERS):
	$Q mkdir -p $(@D) && cp $< $@

STATIC_CC := $(if $(findstring musl,$(CC)),$(CC),musl-gcc)
static-programs: $B/lib/libtorc.a $(PROGRAMS)
# Code and constants share pages, without gaps; no table has addresses to be
# protected.
static:	# static programs in build-static/ (TLS=1: those with TLS, too)
	$Q $(MAKE) --no-print-directory static-programs B=build-static \
		CC="$(STATIC_CC)" $(TLS:%=CRYPTO=build-static/openssl) \
		LDFLAGS="-static -no-pie -s $(TLS:%=-Lbuild-static/openssl/lib) \
		-Wl,-z,noseparate-code,-z,norelro,--sort-section=alignment" \
		CFLAGS="-Os -g -fno-pie -fno-unwind-tables \
		-fno-asynchronous-unwind-tables"

clean:	# remove what was built
	rm -rf $B build-asan build-tsan build-static build-static-pie \
		build-fuzz build-afl

RULES := tools/flags.mk tools/shared.mk tools/examples/rules.mk \
	tools/ringstat/rules.mk tools/gdb/rules.mk tools/guides/rules.mk \
	tools/manual/rules.mk tools/dist/rules.mk tools/dist/flavours.mk \
	tests/rules.mk tools/bench/rules.mk
include $(RULES)
help:	# this list
	@sed -n 's/^\([a-z-]*\):[^#]*# */  \1\t/p' Makefile $(RULES)

-include $(shell find $B -type f -name '*.d' 2>/dev/null)
