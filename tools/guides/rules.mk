# SPDX-License-Identifier: MIT
# The programs of the guides: the samples in Markdown are parts of them.

GUIDES := $(patsubst tools/guides/%.c,$B/guides/%,$(wildcard tools/guides/*.c))
$(GUIDES:$B/guides/%=$B/tools/guides/%.o): | $(HEADERS)
$(GUIDES): $B/guides/%: $B/tools/guides/%.o $(LIBRARIES)
	$(link)
tests: $(GUIDES)
