# SPDX-License-Identifier: MIT
# The manual, made of the comments of the public headers: section 3 has a page
# for each call, section 7 one for each header. README.md says how.

# When this version was made.
MANUAL_DATE := November 30, 2026
MANUAL_SCRIPTS := $(addprefix tools/manual/,read.awk text.awk out.awk \
	fields.awk pages.awk modules.awk examples.awk)
# As a reader comes to them: torc.h leads to all others.
MANUAL_HEADERS := conn/torc.h $(filter reactor/%,$(PUBLIC)) $(foreach \
	f,conn/http/% conn/file/% conn/pg/% conn/redis/% conn/kit/% \
	conn/torc_%,$(filter $f,$(PUBLIC)))
MANUAL_HEADERS += $(filter-out $(MANUAL_HEADERS),$(PUBLIC))
MANUAL_PROGRAMS := $(filter-out %/cli.c %/cli_tls.c,$(sort $(wildcard tools/examples/*.c \
	tools/examples/*.cc)))
# The program at the end of a page of section 7.
MANUAL_EXAMPLES := torc=echo torc_runtime=fetch torc_http=proxy \
	torc_service=hello torc_file=files torc_client=quote \
	torc_pipeline=pipe torc_redis=cache torc_pg=api torc_tls=hosts
define manual
$(call say,MAN,$(1))
$Q LC_ALL=C awk $(MANUAL_SCRIPTS:%=-f %) \
	-v form=$(2) -v out=$(1) -v version='$(VERSION)' \
	-v date='$(MANUAL_DATE)' -v examples='$(MANUAL_EXAMPLES)' \
	-v sources='$(MANUAL_PROGRAMS)' -v guides='$(GUIDE_PAGES)' \
	$(MANUAL_HEADERS)
endef

# The pages; "links" has the other names of those that have several.
all: $B/manual/links
$B/manual/links: $(MANUAL_SCRIPTS) tools/manual/rules.mk $(PUBLIC) \
		$(MANUAL_PROGRAMS)
	$Q rm -rf $(@D)/man3 $(@D)/man7 && mkdir -p $(@D)/man3 $(@D)/man7
	$(call manual,$(@D),mdoc)
	$Q while read name page; do \
		ln -s $$page.3 $(@D)/man3/$$name.3 || exit; done < $@

.PHONY: manual install-manual
manual: $B/manual/html/index.html	# the manual as HTML: build/manual/html/index.html
$B/manual/html/index.html: $(MANUAL_SCRIPTS) tools/manual/rules.mk $(PUBLIC) \
		$(MANUAL_PROGRAMS) $(GUIDE_PAGES) tools/guides/html.awk \
		tools/manual/style.css
	$Q rm -rf $(@D) && mkdir -p $(@D)
	$(call manual,$(@D),html)
	$Q cp tools/manual/style.css $(@D)
	$Q for page in $(GUIDE_PAGES); do LC_ALL=C awk -v version='$(VERSION)' \
		-f tools/guides/html.awk $@ $$page \
		> $(@D)/guide-$$(basename $$page .md).html || exit; done

install: install-manual
install-manual: $B/manual/links
	install -d $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man7
	install -m 644 $$(find $B/manual/man3 -type f) \
		$(DESTDIR)$(MANDIR)/man3
	install -m 644 $B/manual/man7/*.7 $(DESTDIR)$(MANDIR)/man7
	while read name page; do \
		ln -sfn $$page.3 $(DESTDIR)$(MANDIR)/man3/$$name.3 || exit; \
		done < $B/manual/links
