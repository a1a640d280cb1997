# SPDX-License-Identifier: MIT
# The guides, which the manual has as HTML, and their programs: the samples in
# Markdown are parts of these.
GUIDE_PAGES := $(wildcard tools/guides/*.md)

GUIDES := $(patsubst tools/guides/%.c,$B/guides/%,$(wildcard tools/guides/*.c))
# One of them is the libuv server that another one is beside.
NO_UV := $(shell $(CC) -E -include uv.h -x c /dev/null 2>&1 >/dev/null)
GUIDES := $(filter-out $(if $(NO_UV),$B/guides/libuv_echo),$(GUIDES))
GUIDES := $(filter-out $(if $(NO_CRYPTO),$B/guides/ask_tls),$(GUIDES))
$(GUIDES:$B/guides/%=$B/tools/guides/%.o): | $(HEADERS)
$B/guides/libuv_echo: LIBS = -luv
$B/guides/ask_tls: LIBS = -lssl -lcrypto
$(GUIDES): $B/guides/%: $B/tools/guides/%.o $(LIBRARIES)
	$(link)
tests: $(GUIDES)

# With the manual as HTML, since the guides lead to its pages.
install: install-guides
.PHONY: install-guides
install-guides: $B/manual/html/index.html
	install -d $(DESTDIR)$(DOCDIR)/html $(DESTDIR)$(DOCDIR)/guides
	install -m 644 $B/manual/html/* $(DESTDIR)$(DOCDIR)/html
	install -m 644 $(filter-out %.mk %.awk %.md %.svg,$(wildcard \
		tools/guides/*)) $(DESTDIR)$(DOCDIR)/guides
