# SPDX-License-Identifier: MIT
# The tests: `make check` runs them all; README.md says what lies where.

# ---- Programs: one of each ROOM/test_*.c ----
# Functions of sys/ that a test puts its own in place of are listed in its first
# lines: "wrap: torc_sys_enter ...".
SOURCES := $(wildcard tests/*/test_*.c)
SUITE := $(basename $(notdir $(SOURCES)))
TEST_BINS := $(SUITE:%=$B/tests/bin/%)
wraps = $(foreach w,$(shell sed -n 's/^ \* wrap: //p' \
	$(filter %/$(1).c,$(SOURCES))),-Wl,--wrap=$(w))
# What `make check` runs besides them: programs, and scripts.
EXTRAS :=
CHECKS := tests/lint.sh tests/siege/short.sh $(filter-out %/websocket.sh, \
	$(wildcard $(addprefix tests/,sys/*.sh reactor/*.sh conn/*.sh \
	tls/*.sh tools/*.sh ringstat/*.sh abi/*.sh)))

$(foreach s,$(SOURCES),$(eval \
	$B/tests/bin/$(basename $(notdir $s)): $(s:%.c=$B/%.o)))
$(TEST_BINS): LIBS = -lcmocka $(call wraps,$(@F))
$(TEST_BINS): $B/tests/harness.o $B/tests/child.o $(LIBRARIES)
	$(link)

# Tests may know what a call returns.
$B/tests/%.o: BASE += -Wno-unused-result

# What some of them have in common, or need besides.
named = $(filter $(1:%=$B/tests/bin/test_%),$(TEST_BINS))
$(call named,ring bufring parts reactor): $B/tests/tally.o
$(call named,http_codec): $B/tests/http/portable.o
$(call named,http_carrier http_client http_forward http_proxy): $B/tests/http/origin.o
$(call named,redis%): $B/tests/redis/servers.o
$(call named,redis_tls_servers): LIBS += -lssl -lcrypto
$(call named,pg_%): $(patsubst %,$B/tests/pg/%.o,server scene secure)
$(call named,pg_%): LIBS += -lpq -lssl -lcrypto
$B/tests/pg/%.o: BASE += -isystem /usr/include/postgresql
$(call named,redis_outage pg_outage): $B/tests/http/outage.o
$(call named,file_site file_look file_keep file_service): $B/tests/file/site.o
$(call named,fits): LIBS += -lcjson -lssl -lcrypto
$(call named,order): $B/tests/order/sides.o
$(call named,transport shake pg_tls redis_tls): $B/tests/toy.o
$(call named,pg_tls): $B/tests/pg/scripted.o
$(call named,tls%): $B/tests/tls/peer.o
$(call named,tls_client tls_http tls_counts): $B/tests/tls/secure.o
$(call named,tls%): LIBS += -lssl -lcrypto
$(call named,ringstat_%): $(filter-out %/main.o,$(RINGSTAT))
$(call named,tls_protocols): $B/tests/tls/peer.o
$(call named,tls_protocols): LIBS += -lssl -lcrypto
# With a call from each block, which counts.
COUNTED := $(addprefix $B/counted/conn/,http/head.o http/chunks.o http/secret.o \
	http/input.o redis/resp.o redis/pass.o redis/tree.o redis/number.o \
	file/target.o file/range.o file/coding.o file/condition.o file/date.o)
$(COUNTED): $B/counted/%.o: %.c | $(KERNEL_HEADERS)
	$(call compile,-fsanitize-coverage=trace-pc, (counted))
$(call named,http_cost): $(filter $B/counted/conn/http/%,$(COUNTED))
$(call named,redis_cost): $(filter $B/counted/conn/redis/%,$(COUNTED))
$(call named,file_cost): $(filter $B/counted/conn/file/%,$(COUNTED)) \
	$B/counted/conn/http/head.o

# ---- The proofs of the barriers ----
# On real threads, and in all ways that there are: there the sanitizer's calls
# go to interleave.c instead of its library.
EXTRAS += $B/tests/bin/interleave
CHECKS += tests/order/mutate_order.sh
INTERLEAVED := ring/ring ring/bufring reactor/mailbox tests/order/sides
$(INTERLEAVED:%=$B/order/%.o): $B/order/%.o: %.c | $(KERNEL_HEADERS)
	$(call compile,-O1 -fsanitize=thread, (interleaved))
$B/tests/bin/interleave: $(INTERLEAVED:%=$B/order/%.o) \
		$B/tests/order/interleave.o $(ASM:%.S=$B/%.o)
	$(link)

.PHONY: mutate-order
mutate-order:	# weaken each barrier in turn: a proof turns red (minutes)
	$Q tests/install.sh
	$Q tests/order/mutate_order.sh all

# ---- The simulation ----
# The core without its crossings, on a kernel of tests/sim; the same scenarios
# on the kernel that runs here; and a kernel whose moves the bytes of an input
# choose, which is alone, for `make check`.
EXTRAS += $B/tests/bin/sim $B/tests/bin/sim_fuzz
CHECKS += tests/sim/differential.sh
SIM := world faults net kernel requests files seam check threads peers veil \
	scenarios clients clients_http clients_redis clients_pg backend_pg \
	clients_file together run
SIM_CORE := $(patsubst %.c,$B/debug/%.o,$(filter-out sys/sys.c sys/heap.c \
	sys/explain.c sys/resolve.c sys/send_file.c conn/kit/offload.c,$(CORE))) \
	$(ASM:%.S=$B/%.o)
SIM_CLIENTS := $(patsubst %.c,$B/%.o,$(wildcard conn/http/*.c \
	conn/redis/*.c conn/pg/*.c conn/file/*.c))

# With all that it says of its own state (sys/trap.h).
$B/debug/%.o: %.c | $(KERNEL_HEADERS) $B/machine
	$(call compile,-DTORC_DEBUG, (debug))

$B/tests/bin/sim $B/tests/bin/sim_fuzz: LIBS = -lcrypto $(foreach \
	w,listen listen_fd dial dial_name dial_next,-Wl,--wrap=torc_$w)
$B/tests/bin/sim: $B/tests/sim/drive.o
$B/tests/bin/sim_fuzz: $B/tests/sim/fuzz.o
$B/tests/bin/sim $B/tests/bin/sim_fuzz: $(SIM:%=$B/tests/sim/%.o) \
		$B/tests/toy.o \
		$(SIM_CORE) $(SIM_CLIENTS)
	$(link)

tests: $B/tests/bin/sim_real
$B/tests/bin/sim_real: $B/tests/sim/real.o $B/tests/sim/peers.o \
		$B/tests/sim/veil.o $B/tests/toy.o \
		$B/tests/sim/scenarios.o $B/lib/libtorc.a
	$(link)

$B/tests/sim/fuzz.o: BASE += $(if $(FUZZER),,-DFUZZ_ALONE)

.PHONY: sim fuzz-sim afl-sim
JOBS ?= $(shell nproc)
sim: $B/tests/bin/sim	# SEEDS=n runs of a simulated kernel, or SEED=x again
	$Q $(if $(SEED),$< seed $(SEED),$< seeds $(or $(FIRST),1) \
		$(or $(SEEDS),100000) $(JOBS))

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

# ---- Fuzzing: tests/fuzz/fuzz_NAME.c, seeds in tests/fuzz/NAME/ ----
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SYS := sys/sys.c sys/heap.c sys/say.c
# What each is made of, from the top of the tree, and linked with.
FUZZ_http := conn/http/head.c conn/http/chunks.c conn/http/write.c \
	tests/http/portable.c
FUZZ_LIBS_http := -lhttp_parser
FUZZ_redis := $(addprefix conn/redis/,resp.c pass.c tree.c number.c) sys/heap.c
FUZZ_LIBS_redis := -lhiredis
FUZZ_ringstat := $(filter-out %/main.c %/scan.c %/watch.c \
	%/explain.c,$(wildcard \
	tools/ringstat/*.c)) $(FUZZ_SYS) sys/pages.c
FUZZ_pg := $(patsubst %,conn/pg/%.c,wire write values number auth text config \
	sslmode uri nature carry error saslprep unicode unicode_low unicode_high \
	unicode_sets) reactor/error.c sys/explain.c $(FUZZ_SYS)
FUZZ_LIBS_pg := -lcrypto
FUZZ_file := conn/file/target.c conn/file/range.c conn/file/coding.c \
	conn/file/condition.c conn/file/date.c conn/http/head.c \
	conn/http/write.c $(FUZZ_SYS)
FUZZ_service := $(addprefix conn/http/,decode.c path.c tree.c json.c number.c \
	head.c write.c) $(FUZZ_SYS) sys/explain.c reactor/error.c
FUZZ_LIBS_service := -lcjson
FUZZ_tls := $(wildcard conn/tls/*.c) reactor/error.c reactor/config.c sys/pages.c \
	sys/explain.c $(FUZZ_SYS)
FUZZ_LIBS_tls := -lssl -lcrypto
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

# ---- Programs that tests start ----
$B/tests/bin/seccomp_exec: $B/tests/sys/seccomp_exec.o
	$(link)

# What ringstat is shown: it needs liburing, so `make check` alone builds it.
$B/tests/ringstat/ring: LIBS = -luring
$B/tests/ringstat/ring: $B/tests/ringstat/ring.o
	$(link)

$B/tests/ringstat/stall: $B/tests/ringstat/stall.o $B/lib/libtorc.a
	$(link)

$B/tests/ringstat/absent.so: $B/pic/tests/ringstat/absent.o
	$Q mkdir -p $(@D) && $(CC) -shared -o $@ $<
$B/pic/tests/ringstat/absent.o: BASE += -fvisibility=default

$B/tests/bin/features: $B/tests/vm/features.o $B/lib/libtorc.a
	$(link)

# Clients with bad manners; what they besiege is in siege.sh.
EXTRA_PARTS := $B/tests/bin/siege $B/tests/bin/origin
$(EXTRA_PARTS): $B/tests/bin/%: $B/tests/siege/%.o
	$(link)

$B/tests/bin/soak: $B/tests/soak/soak.o $B/tests/soak/server.o
	$(link)

# ---- Runs ----
# What longer runs are made of is compiled along, so that it keeps up.
LONG_RUNS := $B/tests/bin/soak $B/tests/vm/features.o \
	$(patsubst %,$B/tools/bench/clients/%.o,handler pg_torc redis_torc)

.PHONY: tests check
tests: all $(LONG_RUNS) $(TEST_BINS) $(EXTRAS) $(EXTRA_PARTS) \
	$B/tests/bin/seccomp_exec $B/bench/load

check:	# install what the tests need (Debian), build and run them all
	$Q tests/install.sh
	$Q $(MAKE) --no-print-directory tests $B/tests/ringstat/ring \
		$B/tests/ringstat/stall $B/tests/ringstat/absent.so
	$Q $(MAKE) --no-print-directory static
	$Q B=$B tests/run.sh $(TEST_BINS) $(filter $B/tests/bin/%,$(EXTRAS)) \
		$(CHECKS)

# The suite under the sanitizers, in build folders of their own
# (tools/dist/flavours.mk).
asan:	# the suite under AddressSanitizer and UndefinedBehaviorSanitizer
	$Q tests/install.sh
	$Q $(MAKE) --no-print-directory sanitized $(ASAN)

tsan:	# the suite under ThreadSanitizer
	$Q tests/install.sh
	$Q $(MAKE) --no-print-directory sanitized $(TSAN)

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
	$Q B=$B TORC_TEST_VM=1 tests/ringstat/ringstat_explain.sh

MINUTES ?= 10
.PHONY: soak-tls
# COUNT=100000 handshakes, and files that are read again for a minute
soak-tls: $B/tests/bin/test_tls $B/tests/bin/test_tls_proofs	# TLS for longer
	$Q TORC_HANDSHAKES=$(or $(COUNT),100000) TORC_HANG=3600 \
		TORC_TEST='memory_and_descriptors*' $<
	$Q TORC_RELOADS=600 TORC_HANG=3600 TORC_TEST='files_read_again*' \
		$B/tests/bin/test_tls_proofs

.PHONY: soak
soak: all $B/tests/bin/soak	# hard use of the real servers: MINUTES=10
	$Q mkdir -p $B/soak
	$Q $B/tests/bin/soak $B/bin $B/soak $$(($(MINUTES) * 60))

.PHONY: siege scan-tls check-static-tls check-browser websocket check-pooler
siege: all $(EXTRA_PARTS)	# torc's programs and nginx under bad clients (minutes)
	$Q B=$B tests/siege/siege.sh

check-static-tls:	# static programs with TLS in an empty root (builds OpenSSL: a minute)
	$Q $(MAKE) --no-print-directory static TLS=1
	$Q tests/tls/static.sh
	$Q B=build-static tests/tls/clients.sh

check-browser: all	# hello-tls and files-tls in Chromium, if it is installed
	$Q B=$B tests/tls/browser.sh

scan-tls: all	# the programs with TLS, judged by sslscan and testssl.sh
	$Q tests/install.sh
	$Q B=$B tests/tls/scan.sh --all

websocket: $B/bin/proxy	# npm's ws and socket.io through the proxy
	$Q B=$B tests/tools/websocket.sh

check-pooler: $B/tests/bin/test_pg_pooler	# behind a PgBouncer of Debian's next release
	$Q B=$B tests/pg/pooler_new.sh
