# torc: `make help` lists what there is. V=1 shows the commands; CC, CFLAGS,
# LDFLAGS, DESTDIR and PREFIX are yours. Needs gcc or clang, make and the
# kernel's headers; `make check` installs what the tests need on Debian.

VERSION := 0.1.0
B := build
CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Werror
# Public headers include each other as users do, without a path.
PLACES := -iquote reactor -iquote conn -iquote conn/kit -iquote conn/http \
	-iquote conn/redis
# What torc itself needs; CFLAGS come behind it.
BASE := -std=c11 -fno-tree-slp-vectorize -D_GNU_SOURCE -iquote . $(PLACES) \
	-fvisibility=hidden \
	-ffunction-sections -fdata-sections -pthread -MMD -MP $(WARN) $(MODE)
# For what is only measured here, and never installed (valgrind knows AVX2, but
# not all that -march=native may mean).
NATIVE := $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),$(if \
	$(findstring avx2,$(shell cat /proc/cpuinfo)),-mavx2 -mbmi))
LINK := -pthread -Wl,--gc-sections
# The library touches each page of a frame: none can pass a fiber's guard.
PROBE := $(shell $(CC) -Werror -fstack-clash-protection -S -o /dev/null \
	-x c /dev/null 2>/dev/null && echo -fstack-clash-protection)

-include config.mak

# musl's wrapper does not know where the kernel's headers are: give it those
# three folders and nothing else of the system's.
ifneq (,$(findstring musl,$(CC)))
KERNEL_HEADERS := $(B)/kernel-headers
BASE += -idirafter $(KERNEL_HEADERS)
endif

CORE := $(sort $(wildcard sys/*.c ring/*.c reactor/*.c conn/*.c conn/kit/*.c))
ASM := $(wildcard sys/*.S)
OBJ := $(CORE:%.c=$B/%.o) $(ASM:%.S=$B/%.o)
PIC := $(OBJ:$B/%=$B/pic/%)
EXAMPLES := echo hello proxy quote cache chat files fetch notes
# One static library for each client under conn/; nobody pays for the others.
CLIENTS := $(filter-out kit,$(notdir $(patsubst %/,%,$(wildcard conn/*/))))
# The one of PostgreSQL needs libcrypto.
ifneq (,$(shell $(CC) -E -include openssl/evp.h -x c /dev/null 2>&1 >/dev/null))
CLIENTS := $(filter-out pg,$(CLIENTS))
endif
LIBRARIES := $B/lib/libtorc.a $(CLIENTS:%=$B/lib/libtorc-%.a)
# What users include: each lies beside what it is of.
PUBLIC := $(wildcard reactor/torc_*.h conn/torc*.h conn/*/torc_*.h)
HEADERS := $(addprefix $B/include/,$(notdir $(PUBLIC)))
PROGRAMS := $(EXAMPLES:%=$B/bin/%) $B/bin/raw $B/bin/ringstat
RINGSTAT := $(patsubst %.c,$B/%.o,$(wildcard tools/ringstat/*.c))
HELPERS := $(B)/tools/examples/cli.o

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-6s %s\n' $(1) $(2)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all run check asan tsan bench static install dist clean help

all: $B/lib/libtorc.so $(LIBRARIES) $(HEADERS) $(PROGRAMS)	# library and programs

run: $B/bin/hello	# serve HTTP on 127.0.0.1:8080
	$B/bin/hello -l 127.0.0.1:8080

$B/kernel-headers:
	$(call say,LINK,$@)
	$Q mkdir -p $@
	$Q for d in linux asm asm-generic; do \
		for from in /usr/include /usr/include/$$(uname -m)-linux-gnu; \
		do [ ! -d $$from/$$d ] || ln -sfn $$from/$$d $@/$$d; done; done

# Before anything is compiled: a machine that torc does not know is refused.
MACHINE := $B/machine
$(MACHINE): sys/machine.h
	$Q mkdir -p $(@D)
	$Q $(CC) $(MODE) $(CFLAGS) -E -o $@ $<

$B/%.o: %.c | $(KERNEL_HEADERS) $(MACHINE)
	$(call say,CC,$<)
	$Q mkdir -p $(@D)
	$Q $(CC) $(BASE) -I$B/include $(CFLAGS) -c $< -o $@

$B/%.o: %.S | $(MACHINE)
	$(call say,AS,$<)
	$Q mkdir -p $(@D)
	$Q $(CC) -MMD -MP $(CFLAGS) -c $< -o $@

$B/pic/%.o: %.c | $(KERNEL_HEADERS) $(MACHINE)
	$(call say,CC,"$< (pic)")
	$Q mkdir -p $(@D)
	$Q $(CC) $(BASE) -fPIC $(CFLAGS) -c $< -o $@

$B/sys/%.o $B/ring/%.o $B/reactor/%.o $B/conn/%.o $B/pic/%.o: \
	BASE += $(PROBE)

$B/pic/%.o: %.S | $(MACHINE)
	$Q mkdir -p $(@D)
	$Q $(CC) -MMD -MP $(CFLAGS) -c $< -o $@

$B/lib/libtorc.a: $(OBJ)
$(foreach c,$(CLIENTS),$(eval \
	$B/lib/libtorc-$c.a: $(patsubst %.c,$B/%.o,$(wildcard conn/$c/*.c))))
$(LIBRARIES):
	$(call say,AR,$@)
	$Q mkdir -p $(@D)
	$Q rm -f $@
	$Q $(AR) rcs $@ $^

$B/lib/libtorc.so: $(PIC)
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -shared -Wl,-soname,libtorc.so.0 -o $@.0 $^ $(LINK) $(LDFLAGS)
	$Q ln -sfn libtorc.so.0 $@

$(foreach h,$(PUBLIC),$(eval $B/include/$(notdir $h): $h))
$(HEADERS):
	$Q mkdir -p $(@D)
	$Q cp $< $@

$B/tools/%.o: BASE += -iquote tools/examples
$B/tools/bench/%.o: BASE += $(NATIVE)
$(HELPERS) $(EXAMPLES:%=$B/tools/examples/%.o) $B/tools/bench/raw.o: \
	| $(HEADERS)

$(EXAMPLES:%=$B/bin/%): $B/bin/%: $B/tools/examples/%.o $(HELPERS) \
		$B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $(filter %.o,$^) $(LIBS) $B/lib/libtorc.a $(LINK) \
		$(LDFLAGS)

$B/bin/raw: $B/tools/bench/raw.o $(HELPERS) $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $(filter %.o,$^) $B/lib/libtorc.a $(LINK) $(LDFLAGS)

$B/bin/ringstat: $(RINGSTAT) $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LINK) $(LDFLAGS)

# Tests: one program per tests/test_*.c; functions of sys/ that a test puts its
# own in place of are listed in its first lines: "wrap: torc_sys_enter ...".
SUITE := $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
TEST_BINS := $(SUITE:%=$B/tests/bin/%)
wraps = $(foreach w,$(shell sed -n 's/^ \* wrap: //p' tests/$(1).c),-Wl,--wrap=$(w))

$(TEST_BINS): $B/tests/bin/%: $B/tests/%.o $B/tests/harness.o \
		$B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $(filter %.o,$^) $(LIBS) $B/lib/libtorc.a -lcmocka $(LINK) \
		$(call wraps,$*) $(LDFLAGS)

$B/tests/bin/test_fits: LINK += -lcjson -lssl -lcrypto

# What `make check` runs besides them: programs, and scripts.
EXTRAS :=
CHECKS := $(wildcard tests/lint.sh tests/minimal.sh tests/starting.sh \
	tests/interop.sh \
	tests/gates.sh tests/valgrind.sh tests/quote.sh tests/machine.sh \
	tests/installed.sh tests/cxx.sh)

# ---- The proofs of the barriers ----
# On real threads, and in all ways that there are: there the sanitizer's calls
# go to interleave.c instead of its library.
EXTRAS += $B/tests/bin/interleave
CHECKS += tests/mutate_order.sh
$B/tests/bin/test_order: $B/tests/order/sides.o

INTERLEAVED := ring/ring ring/bufring reactor/mailbox tests/order/sides
$(INTERLEAVED:%=$B/order/%.o): $B/order/%.o: %.c | $(KERNEL_HEADERS)
	$(call say,CC,"$< (interleaved)")
	$Q mkdir -p $(@D)
	$Q $(CC) $(BASE) $(CFLAGS) -O1 -fsanitize=thread -c $< -o $@

$B/tests/bin/interleave: $(INTERLEAVED:%=$B/order/%.o) \
		$B/tests/order/interleave.o $(ASM:%.S=$B/%.o)
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LINK) $(LDFLAGS)

.PHONY: mutate-order
mutate-order:	# weaken each barrier in turn: a proof turns red (minutes)
	$Q tests/install.sh
	$Q tests/mutate_order.sh all

# ---- The simulation ----
# The core without its crossings, on a kernel of tests/sim.
EXTRAS += $B/tests/bin/sim
SIM := world faults net kernel requests files seam check threads peers \
	scenarios clients clients_http clients_redis clients_pg backend_pg \
	clients_file together run
SIM_CORE := $(filter-out $(addprefix $B/,sys/sys.o sys/explain.o \
	sys/resolve.o sys/send_file.o conn/kit/offload.o),$(OBJ))
# Of the clients, which use the heap of libc: theirs is counted, too.
SIM_CLIENTS := $(patsubst %.c,$B/sim/%.o,$(wildcard conn/http/*.c \
	conn/redis/*.c conn/pg/*.c conn/file/*.c))
$B/sim/%.o: $B/%.o
	$Q mkdir -p $(@D)
	$Q objcopy $(foreach f,malloc calloc realloc free strdup RAND_bytes \
		getrandom clock_gettime,--redefine-sym $f=sim_$f) $< $@

$B/tests/bin/sim $B/tests/bin/sim_fuzz: LINK += -lcrypto
$B/tests/bin/sim: $(SIM:%=$B/tests/sim/%.o) $B/tests/sim/drive.o $(SIM_CORE) \
		$(SIM_CLIENTS)
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LINK) $(LDFLAGS)

# The same scenarios on the kernel that runs here.
CHECKS += tests/sim/differential.sh
tests: $B/tests/bin/sim_real
$B/tests/bin/sim_real: $B/tests/sim/real.o $B/tests/sim/peers.o \
		$B/tests/sim/scenarios.o $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $(filter %.o,$^) $B/lib/libtorc.a $(LINK) $(LDFLAGS)

# A kernel whose moves the bytes of an input choose; alone, for `make check`.
$B/tests/bin/sim_fuzz: $(SIM:%=$B/tests/sim/%.o) $B/tests/sim/fuzz.o \
		$(SIM_CORE) $(SIM_CLIENTS)
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LINK) $(LDFLAGS)

EXTRAS += $B/tests/bin/sim_fuzz
$B/tests/sim/fuzz.o: BASE += $(if $(FUZZER),,-DFUZZ_ALONE)

.PHONY: fuzz-sim afl-sim
fuzz-sim:	# SECONDS=n of libFuzzer on the simulated kernel (clang)
	$Q $(MAKE) --no-print-directory B=build-fuzz CC=clang FUZZER=1 \
		MODE="-O1 -g -fsanitize=fuzzer-no-link,address" CFLAGS= \
		LDFLAGS="-fsanitize=fuzzer,address" build-fuzz/tests/bin/sim_fuzz
	$Q mkdir -p build-fuzz/corpus
	$Q build-fuzz/tests/bin/sim_fuzz -max_total_time=$(or $(SECONDS),60) \
		-max_len=8192 -timeout=20 build-fuzz/corpus

afl-sim:	# SECONDS=n of AFL++ on the same (afl++)
	$Q $(MAKE) --no-print-directory B=build-afl CC=afl-clang-fast FUZZER=1 \
		MODE="-O1 -g -fsanitize=fuzzer" CFLAGS= \
		LDFLAGS="-fsanitize=fuzzer" build-afl/tests/bin/sim_fuzz
	$Q mkdir -p build-afl/seeds && head -c 512 /dev/urandom \
		> build-afl/seeds/any
	$Q AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_SKIP_CPUFREQ=1 \
		AFL_NO_UI=1 timeout $(or $(SECONDS),60) afl-fuzz \
		-i build-afl/seeds -o build-afl/found \
		build-afl/tests/bin/sim_fuzz || [ $$? -eq 124 ]

JOBS ?= $(shell nproc)
.PHONY: sim
sim: $B/tests/bin/sim	# SEEDS=n runs of a simulated kernel, or SEED=x again
	$Q $(if $(SEED),$< seed $(SEED),$< seeds $(or $(FIRST),1) \
		$(or $(SEEDS),100000) $(JOBS))

# ---- conn/http ----
HTTP_TESTS := $(filter test_http_% test_service test_routes test_json,$(SUITE))

$(HTTP_TESTS:%=$B/tests/bin/%): LIBS = $B/lib/libtorc-http.a
$(HTTP_TESTS:%=$B/tests/bin/%): $B/lib/libtorc-http.a
$B/tests/bin/test_http_codec: $B/tests/http_portable.o
# With a call from each block, which counts.
HTTP_COUNTED := $(addprefix $B/counted/conn/http/,head.o chunks.o input.o)
$B/tests/bin/test_http_cost: $(HTTP_COUNTED)
$(HTTP_COUNTED): $B/counted/%.o: %.c | $(KERNEL_HEADERS)
	$(call say,CC,"$< (counted)")
	$Q mkdir -p $(@D)
	$Q $(CC) $(BASE) $(CFLAGS) -fsanitize-coverage=trace-pc -c $< -o $@
$B/tests/bin/test_http_client $B/tests/bin/test_http_forward: \
	$B/tests/http_origin.o
HTTP_PROGRAMS := hello proxy fetch notes
$(HTTP_PROGRAMS:%=$B/bin/%): LIBS = $B/lib/libtorc-http.a
$(HTTP_PROGRAMS:%=$B/bin/%): $B/lib/libtorc-http.a
CHECKS += tests/proxy.sh tests/fetch.sh tests/notes.sh

.PHONY: websocket
websocket: $B/bin/proxy	# npm's ws and socket.io through the proxy
	$Q B=$B tests/websocket.sh

# ---- conn/redis ----
REDIS_TESTS := $(filter test_redis%,$(SUITE))

$(REDIS_TESTS:%=$B/tests/bin/%): LIBS = $B/lib/libtorc-redis.a
$(REDIS_TESTS:%=$B/tests/bin/%): $B/lib/libtorc-redis.a \
	$B/tests/redis_servers.o

# With a call from each block, which counts.
REDIS_COUNTED := $(addprefix $B/counted/conn/redis/,resp.o pass.o tree.o \
	number.o)
$B/tests/bin/test_redis_cost: $(REDIS_COUNTED)
$(REDIS_COUNTED): $B/counted/%.o: %.c | $(KERNEL_HEADERS)
	$(call say,CC,"$< (counted)")
	$Q mkdir -p $(@D)
	$Q $(CC) $(BASE) $(CFLAGS) -fsanitize-coverage=trace-pc -c $< -o $@

$B/bin/cache $B/bin/chat: LIBS = $B/lib/libtorc-redis.a $B/lib/libtorc-http.a
$B/bin/cache $B/bin/chat: $B/lib/libtorc-redis.a $B/lib/libtorc-http.a
CHECKS += tests/redis_examples.sh

$B/tools/bench/clients/redis_torc.o: | $(HEADERS)
$B/bench/redis_torc: $B/tools/bench/clients/redis_torc.o \
		$B/lib/libtorc-redis.a $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LINK) $(LDFLAGS)

$B/bench/redis_hiredis: $B/tools/bench/clients/redis_hiredis.o
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $< -lhiredis $(LINK) $(LDFLAGS)

.PHONY: bench-clients bench-redis
bench-clients: bench-redis	# the three that follow (minutes)
bench-redis: $B/bench/redis_torc $B/bench/redis_hiredis	# the client of Redis, beside hiredis
	$Q BIN=$B/bench tools/bench/clients/redis.sh

# ---- conn/pg ----
PG_TESTS := $(filter test_pg_%,$(SUITE))

$(PG_TESTS:%=$B/tests/bin/%): LIBS = $B/lib/libtorc-pg.a
$(PG_TESTS:%=$B/tests/bin/%): LINK += -lpq -lcrypto
$(PG_TESTS:%=$B/tests/bin/%): $B/lib/libtorc-pg.a $B/tests/pg_server.o \
	$B/tests/pg_scene.o
$B/tests/pg_server.o $(PG_TESTS:%=$B/tests/%.o): BASE += \
	-isystem /usr/include/postgresql

ifneq (,$(filter pg,$(CLIENTS)))
PROGRAMS += $B/bin/api
all: $B/bin/api
endif
CHECKS += tests/pg_examples.sh

.PHONY: tables
tables:	# of Unicode, for passwords of PostgreSQL: written again (python3)
	$Q tools/unicode/tables.py conn/pg

.PHONY: check-pooler
check-pooler: $B/tests/bin/test_pg_pooler	# behind a PgBouncer of Debian's next release
	$Q B=$B tests/pooler_new.sh

$B/tools/examples/api.o: | $(HEADERS)
$B/bin/api: $B/tools/examples/api.o $(HELPERS) $B/lib/libtorc-pg.a \
		$B/lib/libtorc-http.a $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ -lcrypto $(LINK) $(LDFLAGS)

$B/tools/bench/clients/pg_torc.o: | $(HEADERS)
$B/tools/bench/clients/pg_libpq.o: BASE += -isystem /usr/include/postgresql
$B/bench/pg_torc: $B/tools/bench/clients/pg_torc.o $B/lib/libtorc-pg.a \
		$B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ -lcrypto $(LINK) $(LDFLAGS)

$B/bench/pg_libpq: $B/tools/bench/clients/pg_libpq.o
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $< -lpq $(LINK) $(LDFLAGS)

.PHONY: bench-clients bench-pg
bench-clients: bench-pg
bench-pg: $B/bench/pg_torc $B/bench/pg_libpq	# the client of PostgreSQL, beside libpq
	$Q BIN=$B/bench tools/bench/clients/pg.sh

# Handlers whose backend is away.
OUTAGES := $(filter %_outage,$(SUITE))
$(OUTAGES:%=$B/tests/bin/%): LIBS += $B/lib/libtorc-http.a
$(OUTAGES:%=$B/tests/bin/%): $B/lib/libtorc-http.a $B/tests/outage.o

# ---- conn/file ----
FILE_TESTS := $(filter test_file%,$(SUITE))

$B/bin/files: LIBS = $B/lib/libtorc-file.a $B/lib/libtorc-http.a
$B/bin/files: $B/lib/libtorc-file.a $B/lib/libtorc-http.a
CHECKS += tests/files.sh
FILE_COUNTED := $(addprefix $B/counted/conn/file/,target.o range.o coding.o \
	condition.o date.o)
$B/tests/bin/test_file_cost: $(FILE_COUNTED) $B/counted/conn/http/head.o
$(FILE_COUNTED): $B/counted/%.o: %.c | $(KERNEL_HEADERS)
	$(call say,CC,"$< (counted)")
	$Q mkdir -p $(@D)
	$Q $(CC) $(BASE) $(CFLAGS) -fsanitize-coverage=trace-pc -c $< -o $@
$(addprefix $B/tests/bin/test_file_,site look keep service): $B/tests/file_site.o

$(FILE_TESTS:%=$B/tests/bin/%): LIBS = $B/lib/libtorc-file.a \
	$B/lib/libtorc-http.a
$(FILE_TESTS:%=$B/tests/bin/%): $B/lib/libtorc-file.a $B/lib/libtorc-http.a

# ---- What clients cost a server ----
$B/tools/bench/clients/handler.o: | $(HEADERS)
$B/bench/handler: $B/tools/bench/clients/handler.o $(HELPERS) \
		$B/lib/libtorc-redis.a $B/lib/libtorc-pg.a \
		$B/lib/libtorc-http.a $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ -lcrypto $(LINK) $(LDFLAGS)

$B/tools/bench/clients/peer_libpq.o: BASE += -isystem /usr/include/postgresql
$B/bench/peer_hiredis: LIBS = -lhiredis
$B/bench/peer_libpq: LIBS = -lpq
$B/bench/peer_hiredis $B/bench/peer_libpq: $B/bench/%: \
		$B/tools/bench/clients/%.o
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $< $(LIBS) $(LINK) $(LDFLAGS)

.PHONY: bench-clients bench-handlers
bench-clients: bench-handlers
bench-handlers: $B/bench/handler $B/bench/peer_hiredis $B/bench/peer_libpq \
		$B/bin/files $B/bin/proxy $B/bin/hello
	$Q B=$B tools/bench/clients/handlers.sh

# ---- Fuzzing: tests/fuzz/fuzz_NAME.c, seeds in tests/fuzz/NAME/ ----
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# What each is made of, from the top of the tree, and linked with.
FUZZ_http := conn/http/head.c conn/http/chunks.c conn/http/write.c \
	tests/http_portable.c
FUZZ_LIBS_http := -lhttp_parser
FUZZ_redis := $(addprefix conn/redis/,resp.c pass.c tree.c number.c)
FUZZ_LIBS_redis := -lhiredis
FUZZ_ringstat := $(filter-out %/main.c %/scan.c %/watch.c \
	%/explain.c,$(wildcard \
	tools/ringstat/*.c)) sys/sys.c sys/pages.c sys/say.c
FUZZ_pg := $(patsubst %,conn/pg/%.c,wire write values number auth text config \
	uri nature saslprep unicode unicode_low unicode_high unicode_sets)
FUZZ_LIBS_pg := -lcrypto
FUZZ_file := conn/file/target.c conn/file/range.c conn/file/coding.c \
	conn/file/condition.c conn/file/date.c conn/http/head.c \
	conn/http/write.c
FUZZ_service := $(addprefix conn/http/,decode.c path.c tree.c json.c number.c \
	head.c write.c) sys/sys.c sys/pages.c sys/say.c
FUZZ_LIBS_service := -lcjson
FUZZ_CC ?= clang
FUZZ_FLAGS := -std=c11 -g -O1 -D_GNU_SOURCE -iquote . $(PLACES) $(WARN)

# Without a fuzzer, for replays; the sanitizers of gcc watch.
$B/tests/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/main.c
	$(call say,CC,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) $(FUZZ_FLAGS) -fsanitize=address,undefined \
		-fno-sanitize-recover=all -o $@ $^ $(FUZZ_LIBS_$*)
$(foreach f,$(FUZZERS),$(eval $B/tests/fuzz/$f: $(FUZZ_$f)))

EXTRAS += $(FUZZERS:%=$B/tests/fuzz/%)
CHECKS += tests/fuzz/replay.sh
.PHONY: fuzz
# RINGSTAT_PARSER=NAME in the environment: ringstat's fuzzer, one parser alone.
fuzz:	# TARGET= SECONDS=: fuzz a target with libFuzzer (CC: clang)
	$Q mkdir -p $B/fuzz/$(TARGET)
	$Q $(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o $B/fuzz/fuzz_$(TARGET) \
		tests/fuzz/fuzz_$(TARGET).c $(FUZZ_$(TARGET)) \
		$(FUZZ_LIBS_$(TARGET))
	$Q tests/fuzz/seeds.sh tests/fuzz/$(TARGET) $B/fuzz/$(TARGET)
	$Q $B/fuzz/fuzz_$(TARGET) -max_total_time=$(SECONDS) -max_len=4096 \
		-artifact_prefix=$B/fuzz/ -print_final_stats=1 \
		$B/fuzz/$(TARGET)
SECONDS ?= 60

# ---- Programs of single tests ----
$B/tests/bin/test_ringstat_parse $B/tests/bin/test_ringstat_live: $(filter-out %/main.o,$(RINGSTAT))

$B/tests/bin/seccomp_exec: $B/tests/seccomp_exec.o
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $< $(LDFLAGS)

# What ringstat is shown: it needs liburing, so `make check` alone builds it.
CHECKS += $(wildcard tests/ringstat*.sh)
$B/tests/ringstat/ring: $B/tests/ringstat/ring.o
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $< -luring $(LDFLAGS)

$B/tests/ringstat/stall: $B/tests/ringstat/stall.o $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LINK) $(LDFLAGS)

$B/tests/ringstat/absent.so: $B/pic/tests/ringstat/absent.o
	$Q mkdir -p $(@D)
	$Q $(CC) -shared -o $@ $<
$B/pic/tests/ringstat/absent.o: BASE += -fvisibility=default

$B/tests/bin/features: $B/tests/vm/features.o $B/lib/libtorc.a
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LINK) $(LDFLAGS)

# Clients with bad manners; what they besiege is in siege.sh.
EXTRA_PARTS := $B/tests/bin/siege $B/tests/bin/origin
CHECKS += tests/siege.sh
$(EXTRA_PARTS): $B/tests/bin/%: $B/tests/siege/%.o
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $< $(LDFLAGS)

.PHONY: siege
siege: all $(EXTRA_PARTS)	# torc's programs and nginx under bad clients (minutes)
	$Q B=$B tests/siege/siege.sh

$B/tests/bin/soak: $B/tests/soak/soak.o $B/tests/soak/server.o
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $^ $(LDFLAGS)

# The programs of the benchmark that need nothing but libc.
$B/bench/%: $B/tools/bench/%.o
	$(call say,LD,$@)
	$Q mkdir -p $(@D)
	$Q $(CC) -o $@ $< $(LINK) $(LDFLAGS)

# What longer runs are made of is compiled along, so that it keeps up.
LONG_RUNS := $B/tests/bin/soak $B/tests/vm/features.o \
	$(patsubst %,$B/tools/bench/clients/%.o,handler pg_torc redis_torc)

.PHONY: tests
tests: $(LONG_RUNS) $(TEST_BINS) $(EXTRAS) $(EXTRA_PARTS) $B/tests/bin/seccomp_exec $B/bench/load \
	$(PROGRAMS)

check:	# install what the tests need (Debian), build and run them all
	$Q tests/install.sh
	$Q $(MAKE) --no-print-directory tests $B/tests/ringstat/ring \
		$B/tests/ringstat/stall $B/tests/ringstat/absent.so
	$Q $(MAKE) --no-print-directory static
	$Q B=$B tests/run.sh $(TEST_BINS) $(filter $B/tests/bin/%,$(EXTRAS)) \
		$(CHECKS)

# The suite under the sanitizers, in build folders of their own.
asan:	# the suite under AddressSanitizer and UndefinedBehaviorSanitizer
	$Q tests/install.sh
	$Q $(MAKE) --no-print-directory sanitized B=build-asan CC=$(SAN_CC) \
		MODE="-O1 -g -fno-omit-frame-pointer \
		-fsanitize=address,undefined -fno-sanitize-recover=all" \
		CFLAGS= LDFLAGS="-fsanitize=address,undefined"

tsan:	# the suite under ThreadSanitizer
	$Q tests/install.sh
	$Q $(MAKE) --no-print-directory sanitized B=build-tsan CC=$(SAN_CC) \
		MODE="-O1 -g -fsanitize=thread" \
		CFLAGS= LDFLAGS="-fsanitize=thread"

.PHONY: coverage
coverage:	# lines and branches that the suite reaches, and those not
	$Q tests/install.sh
	$Q $(MAKE) --no-print-directory covered B=$B/coverage CC=gcc \
		MODE="-O0 -g --coverage -fprofile-update=atomic" CFLAGS= \
		LDFLAGS=--coverage

.PHONY: covered
ifneq (,$(findstring --coverage,$(MODE)))
$(TEST_BINS): $B/tests/coverage.o
$(TEST_BINS): LINK += -Wl,--wrap=_exit -Wl,--wrap=abort
endif
covered: tests
	$Q find $B -name '*.gcda' -delete
	$Q B=$B LIMIT=600 tests/run.sh $(TEST_BINS) $B/tests/bin/sim
	$Q B=$B tests/coverage.sh

mutate:	# break the rules of lifetime one by one: the suite notices each
	$Q tests/install.sh
	$Q PROGRAMS="$(SUITE) $(notdir $(filter \
		$B/tests/bin/%,$(EXTRAS)))" tests/mutate.sh

SAN_CC ?= gcc
.PHONY: sanitized
sanitized: $(TEST_BINS) $B/tests/bin/seccomp_exec $B/bench/load $(PROGRAMS)
	$Q B=$B LIMIT=600 tests/run.sh

.PHONY: vm
vm:	# the suite on Debian's kernels: KERNEL=6.1|6.12 ARCH=x86_64|aarch64
	$Q B=$B tests/vm/vm.sh

.PHONY: explain-vm
explain-vm: static	# ringstat --explain under sysctl 1 and 2, in a machine
	$Q B=$B KERNEL=6.12 ARCH=x86_64 FETCH=1 tests/vm/vm.sh
	$Q $(MAKE) --no-print-directory $B/tests/bin/seccomp_exec \
		$B/tests/ringstat/ring $B/tests/ringstat/absent.so
	$Q B=$B TORC_TEST_VM=1 tests/ringstat_explain.sh

MINUTES ?= 10
.PHONY: soak
soak: all $B/tests/bin/soak	# hard use of the real servers: MINUTES=10
	$Q mkdir -p $B/soak
	$Q $B/tests/bin/soak $B/bin $B/soak $$(($(MINUTES) * 60))

bench: all	# ratios to a bare ring and to other servers (minutes)
	$Q tools/bench/bench.sh

static:	# static programs in build-static/ (CC=musl-gcc)
	$Q $(MAKE) --no-print-directory static-programs B=build-static \
		CC=$(STATIC_CC) LDFLAGS="-static -s" CFLAGS="-Os -g \
		-fno-unwind-tables -fno-asynchronous-unwind-tables"

STATIC_CC := $(if $(findstring musl,$(CC)),$(CC),musl-gcc)
.PHONY: static-programs
static-programs: $B/lib/libtorc.a $(EXAMPLES:%=$B/bin/%) $B/bin/ringstat

# What pkg-config says of the libraries. Those of clients are static, so that
# what they need is linked with them; and they use parts of torc that change
# with each version.
PC_WHAT_torc := io_uring runtime
PC_MORE_torc := 'Libs.private: -pthread'
PC_WHAT_torc-http := HTTP/1.1 for torc
PC_MORE_torc-http := 'Requires: torc = $(VERSION)'
PC_WHAT_torc-redis := client of Redis for torc
PC_MORE_torc-redis := 'Requires: torc = $(VERSION)'
PC_WHAT_torc-pg := client of PostgreSQL for torc
PC_MORE_torc-pg := 'Requires: torc = $(VERSION) libcrypto'
PC_WHAT_torc-file := files, and a server of them, for torc
PC_MORE_torc-file := 'Requires: torc-http = $(VERSION)'
define install_pc
	printf '%s\n' 'Name: $c' 'Description: $(PC_WHAT_$c)' \
		'Version: $(VERSION)' 'Cflags: -I$(INCLUDEDIR)' \
		'Libs: -L$(LIBDIR) -l$c' $(PC_MORE_$c) \
		> $(DESTDIR)$(LIBDIR)/pkgconfig/$c.pc

endef

install: all	# DESTDIR= PREFIX= LIBDIR= INCLUDEDIR= DATADIR= MANDIR=
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(LIBRARIES) $(DESTDIR)$(LIBDIR)
	install -m 755 $B/lib/libtorc.so.0 \
		$(DESTDIR)$(LIBDIR)/libtorc.so.$(VERSION)
	ln -sfn libtorc.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libtorc.so.0
	ln -sfn libtorc.so.0 $(DESTDIR)$(LIBDIR)/libtorc.so
	$(foreach c,torc $(CLIENTS:%=torc-%),$(install_pc))
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(MANDIR)/man1 \
		$(DESTDIR)$(DATADIR)/ringstat \
		$(DESTDIR)$(DATADIR)/bash-completion/completions \
		$(DESTDIR)$(DATADIR)/zsh/site-functions \
		$(DESTDIR)$(DATADIR)/fish/vendor_completions.d
	install -m 755 $B/bin/ringstat $(DESTDIR)$(PREFIX)/bin/ringstat
	install -m 644 tools/ringstat/ringstat.1 $(DESTDIR)$(MANDIR)/man1
	install -m 644 tools/ringstat/schema.json $(DESTDIR)$(DATADIR)/ringstat
	cd tools/ringstat/completions && \
	install -m 644 ringstat.bash \
	    $(DESTDIR)$(DATADIR)/bash-completion/completions/ringstat && \
	install -m 644 _ringstat $(DESTDIR)$(DATADIR)/zsh/site-functions && \
	install -m 644 ringstat.fish \
	    $(DESTDIR)$(DATADIR)/fish/vendor_completions.d

dist:	# build/torc-VERSION.tar.gz of what is committed
	mkdir -p $B
	git archive --prefix=torc-$(VERSION)/ -o $B/torc-$(VERSION).tar.gz HEAD

clean:	# remove what was built
	rm -rf $B build-asan build-tsan build-static \
		build-fuzz build-afl

help:	# this list
	@sed -n 's/^\([a-z-]*\):[^#]*# */  \1\t/p' Makefile

-include $(shell find $B -name '*.d' 2>/dev/null)
