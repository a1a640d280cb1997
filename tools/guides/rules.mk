# SPDX-License-Identifier: MIT
# The programs of the guides: the samples in Markdown are parts of them.

GUIDES := $(patsubst tools/guides/%.c,$B/guides/%,$(wildcard tools/guides/*.c))
# One of them is the libuv server that another one is beside.
NO_UV := $(shell $(CC) -E -include uv.h -x c /dev/null 2>&1 >/dev/null)
GUIDES := $(filter-out $(if $(NO_UV),$B/guides/libuv_echo),$(GUIDES))
$(GUIDES:$B/guides/%=$B/tools/guides/%.o): | $(HEADERS)
$B/guides/libuv_echo: LIBS = -luv
$(GUIDES): $B/guides/%: $B/tools/guides/%.o $(LIBRARIES)
	$(link)
tests: $(GUIDES)
