# SPDX-License-Identifier: MIT
# The benchmarks: programs that are only measured here, and never installed.

BENCH_LIBPQ := $(addprefix $B/tools/bench/clients/,pg_libpq.o peer_libpq.o)
$(BENCH_LIBPQ): BASE += -isystem /usr/include/postgresql
# valgrind knows AVX2, but not all that -march=native may mean.
NATIVE := $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),$(if \
	$(findstring avx2,$(shell cat /proc/cpuinfo)),-mavx2 -mbmi))
$B/tools/bench/%.o: BASE += $(NATIVE)

# Requests and answers alone, without conn/http: what a ring costs; and with
# nothing of it but the codec.
LEAST := $B/bin/raw $B/bin/codec
PROGRAMS += $(LEAST)
all: $(LEAST)
$B/tools/bench/raw.o $B/tools/bench/codec.o: | $(HEADERS)
$(LEAST): $B/bin/%: $B/tools/bench/%.o $(HELPERS) $(LIBRARIES)
	$(link)

bench: all	# ratios to a bare ring and to other servers (minutes)
	$Q tools/bench/bench.sh

# Those that need nothing but libc.
$B/bench/%: $B/tools/bench/%.o
	$(link)

# ---- TLS, beside OpenSSL on a bare ring ----
$B/bench/limit_tls $B/bench/load_tls: LIBS = -lssl -lcrypto
.PHONY: bench-tls
bench-tls: $B/bench/limit_tls $B/bench/load_tls $B/bin/hello-tls \
		$B/bin/files-tls	# requests and handshakes over TLS (minutes)
	$Q BIN=$B/bin OUT=$B/bench tools/bench/tls.sh

# ---- Clients, beside those of others, and what they cost a server ----
WITH_TORC := handler redis_torc pg_torc
WITH_OTHERS := redis_hiredis pg_libpq peer_hiredis peer_libpq
$(WITH_TORC:%=$B/tools/bench/clients/%.o): | $(HEADERS)
$B/bench/redis_torc: $B/lib/libtorc-redis.a
$B/bench/pg_torc: $B/lib/libtorc-pg.a
$B/bench/handler: $(HELPERS) $(LIBRARIES)
$B/bench/pg_torc $B/bench/handler: LIBS = -lcrypto
$B/bench/redis_hiredis $B/bench/peer_hiredis: LIBS = -lhiredis
$B/bench/pg_libpq $B/bench/peer_libpq: LIBS = -lpq
$(WITH_TORC:%=$B/bench/%): $B/bench/%: $B/tools/bench/clients/%.o \
		$B/lib/libtorc.a
	$(link)
$(WITH_OTHERS:%=$B/bench/%): $B/bench/%: $B/tools/bench/clients/%.o
	$(link)

.PHONY: bench bench-clients bench-redis bench-pg bench-handlers
bench-clients: bench-redis bench-pg bench-handlers	# the three that follow (minutes)
bench-redis: $B/bench/redis_torc $B/bench/redis_hiredis	# the client of Redis, beside hiredis
	$Q BIN=$B/bench tools/bench/clients/redis.sh

bench-pg: $B/bench/pg_torc $B/bench/pg_libpq	# the client of PostgreSQL, beside libpq
	$Q BIN=$B/bench tools/bench/clients/pg.sh

bench-handlers: $B/bench/handler $B/bench/peer_hiredis $B/bench/peer_libpq \
		$B/bin/files $B/bin/proxy $B/bin/codec
	$Q B=$B tools/bench/clients/handlers.sh
