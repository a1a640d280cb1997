# SPDX-License-Identifier: MIT
# The examples: built here as programs of torc, and installed as sources, which
# a user builds with the line at the top of each.

# The client of PostgreSQL needs libcrypto, and one example needs cJSON.
NO_JSON := $(shell $(CC) -E -include cjson/cJSON.h -x c /dev/null 2>&1 >/dev/null)
EXAMPLE_SOURCES := $(wildcard tools/examples/*.c)
EXAMPLES := $(filter-out cli cli_tls memcached $(if $(NO_CRYPTO),api hosts) $(if \
	$(NO_CRYPTO)$(NO_JSON),shop),$(notdir $(EXAMPLE_SOURCES:.c=)))
HELPERS := $B/tools/examples/cli.o
PROGRAMS += $(EXAMPLES:%=$B/bin/%)

all static-programs: $(EXAMPLES:%=$B/bin/%)
$B/tools/%.o: BASE += -iquote tools/examples
$(EXAMPLE_SOURCES:%.c=$B/%.o): | $(HEADERS)
$B/bin/api: LIBS = -lcrypto
$B/bin/hosts: LIBS = -lssl -lcrypto
$B/bin/shop: LIBS = -lcrypto -lcjson
$B/bin/keys: $B/tools/examples/memcached.o
$(EXAMPLES:%=$B/bin/%): $B/bin/%: $B/tools/examples/%.o $(HELPERS) $(LIBRARIES)
	$(link)

# The same programs with TLS; the servers among them are installed.
SERVERS := $(if $(NO_CRYPTO),,hello files proxy)
SECURE := $(if $(NO_CRYPTO),,$(SERVERS) $(filter fetch cache chat api \
	shop,$(EXAMPLES)))
PROGRAMS += $(SECURE:%=$B/bin/%-tls)
all static-programs: $(SECURE:%=$B/bin/%-tls)
$(SECURE:%=$B/bin/%-tls): LIBS = -lssl -lcrypto
$(SECURE:%=$B/bin/%-tls): $B/bin/%-tls: $B/tools/examples/%.o $(HELPERS) \
		$B/tools/examples/cli_tls.o $(LIBRARIES)
	$(link)
$B/bin/shop-tls: LIBS = -lssl -lcrypto -lcjson
# An OpenSSL that was built anew is in all that have one inside.
$(SECURE:%=$B/bin/%-tls) $B/bin/api $B/bin/hosts $B/bin/shop: \
	$(CRYPTO:%=%/lib/version)

DOCDIR ?= $(DATADIR)/doc/torc
install: install-examples
.PHONY: install-examples
install-examples:
	install -d $(DESTDIR)$(DOCDIR)/examples
	install -m 644 $(filter-out %.mk %.md %.1,$(wildcard \
		tools/examples/*)) $(DESTDIR)$(DOCDIR)/examples

# Those with TLS also as programs; they serve clear text as well.
install: $(if $(SERVERS),install-secure)
.PHONY: install-secure
install-secure: $(SERVERS:%=$B/bin/%-tls)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(MANDIR)/man1
	install -m 755 $^ $(DESTDIR)$(PREFIX)/bin
	install -m 644 tools/examples/hello-tls.1 $(DESTDIR)$(MANDIR)/man1
	for name in files proxy; do ln -sfn hello-tls.1 \
		$(DESTDIR)$(MANDIR)/man1/$$name-tls.1 || exit; done
