# SPDX-License-Identifier: MIT
# ringstat, and what is installed with it.

DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
RINGSTAT := $(patsubst %.c,$B/%.o,$(wildcard tools/ringstat/*.c))
$B/bin/ringstat: $(RINGSTAT) $B/lib/libtorc.a
	$(link)

install: install-ringstat
.PHONY: install-ringstat
put = install -D -m $(1) $(2) $(DESTDIR)$(3)
install-ringstat: all
	$(call put,755,$B/bin/ringstat,$(PREFIX)/bin/ringstat)
	$(call put,644,tools/ringstat/ringstat.1,$(MANDIR)/man1/ringstat.1)
	$(call put,644,tools/ringstat/schema.json,$(DATADIR)/ringstat/schema.json)
	$(call put,644,tools/ringstat/completions/ringstat.bash,$(DATADIR)/bash-completion/completions/ringstat)
	$(call put,644,tools/ringstat/completions/_ringstat,$(DATADIR)/zsh/site-functions/_ringstat)
	$(call put,644,tools/ringstat/completions/ringstat.fish,$(DATADIR)/fish/vendor_completions.d/ringstat.fish)
