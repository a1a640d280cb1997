# SPDX-License-Identifier: MIT
# Flags that make all that is built harder to misuse, and the same wherever it
# is built. A compiler that does not know one builds without it.
#
# Measured as user instructions per request (tests/tools/gates.sh; raw, codec
# and hello, one request at a time, of 302, 1027 and 2590 without any):
#
#   -fstack-clash-protection   302, 1029, 2590: nothing
#   -D_FORTIFY_SOURCE=2        301, 1028, 2586: nothing
#   -D_FORTIFY_SOURCE=3        302, 1050, 2630: 23 and 40 more, all of them in
#                              two files, which have 2 instead
#   -fcf-protection            309, 1039, 2632: over the bound of raw, 306. It
#                              is off. CFLAGS="-O2 -g -fcf-protection" has it,
#                              and sys/switch_x86_64.S its marks.

# knows FLAGS: these, if what is compiled with them is compiled without a word.
knows = $(shell $(CC) $(1) $(MODE) $(CFLAGS) -Werror -include string.h \
	-S -o /dev/null -x c /dev/null 2>/dev/null && echo '$(1)')
# A frame touches each of its pages: none can pass the guard of a fiber.
BASE += $(call knows,-fstack-clash-protection)
# Debuggers and asserts name files from the top of the tree, not of the disk.
PLACE := $(call knows,-ffile-prefix-map=$(CURDIR)=.)
BASE += $(PLACE)

# Does nothing without optimisation. Sanitizers see more of bare calls.
level = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(1)
OPTIMISED := $(shell $(CC) $(MODE) $(CFLAGS) -dM -E -x c /dev/null | \
	grep __OPTIMIZE__)
ifeq ($(if $(OPTIMISED),,none)$(findstring sanitize,$(MODE) $(CFLAGS)),)
FORTIFY := $(or $(call knows,$(call level,3)),$(call knows,$(call level,2)))
endif
BASE += $(FORTIFY)
# Copies of a few bytes, many in each answer.
$(foreach f,conn/http/write tools/bench/codec,$B/$f.o $B/pic/$f.o): \
	BASE += $(if $(FORTIFY),$(call level,2))

# Tables with addresses can only be read, from the start of a program on.
LINK += -Wl,-z,relro,-z,now,-z,noexecstack
