# SPDX-License-Identifier: MIT
# The shared libraries, that of the core and one of each client, and what leaves
# them: a version script is made of the headers when a library is linked.
SHARED := $B/lib/libtorc.so $(CLIENTS:%=$B/lib/libtorc-%.so)
CORE_HEADERS := $(wildcard $(addsuffix /*.h,sys ring reactor conn conn/kit))
# A name that no library has is seen here, not by whom it is installed for.
# The sanitizers' names are the program's.
DEFINED := $(if $(findstring sanitize,$(MODE) $(CFLAGS)),,-Wl,-z,defs)

all: $(SHARED)
$B/lib/libtorc.so: $(PIC) $B/lib/libtorc.map
$B/lib/libtorc.map: $(CORE_HEADERS)
$(foreach c,$(CLIENTS),$(eval $B/lib/libtorc-$c.so: $B/lib/libtorc-$c.map \
	$(patsubst %.c,$B/pic/%.o,$(wildcard conn/$c/*.c)) $B/lib/libtorc.so)$(eval \
	$B/lib/libtorc-$c.map: $(wildcard conn/$c/*.h)))
$B/lib/libtorc-file.so: $B/lib/libtorc-http.so
$B/lib/libtorc-pg.so: private LIBS = -lcrypto
$B/lib/libtorc-tls.so: private LIBS = -lssl -lcrypto
$(SHARED:.so=.map): tools/symbols.awk
	$Q mkdir -p $(@D) && LC_ALL=C awk -f tools/symbols.awk $(filter %.h,$^) > $@
$(SHARED):
	$(call say,LD,$@)
	$Q $(CC) -shared -Wl,-soname,$(@F).0 -Wl,--version-script=$(@:.so=.map) \
		$(DEFINED) -o $@.0 $(filter %.o %.so,$^) $(LIBS) $(LINK) $(LDFLAGS)
	$Q ln -sfn $(@F).0 $@
