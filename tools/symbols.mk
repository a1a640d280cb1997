# What leaves libtorc.so.
CORE_HEADERS := $(wildcard $(addsuffix /*.h,sys ring reactor conn conn/kit))
$B/lib/libtorc.map: tools/symbols.awk $(CORE_HEADERS)
	$Q mkdir -p $(@D) && LC_ALL=C awk -f $^ > $@
$B/lib/libtorc.so: $B/lib/libtorc.map
$B/lib/libtorc.so: LINK += -Wl,--version-script=$B/lib/libtorc.map
