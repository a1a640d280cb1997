# SPDX-License-Identifier: MIT
# The commands of gdb. It loads them by itself with an installed libtorc.so, if
# it looks for scripts in DATADIR/gdb/auto-load (Debian's does in /usr/share).

install: install-gdb
.PHONY: install-gdb
GDB_AUTO := $(DESTDIR)$(DATADIR)/gdb/auto-load$(LIBDIR)
install-gdb:
	$(call put,644,tools/gdb/torc.py,$(DATADIR)/torc/gdb/torc.py)
	install -d $(GDB_AUTO)
	ln -sfn $(DATADIR)/torc/gdb/torc.py \
		$(GDB_AUTO)/libtorc.so.$(VERSION)-gdb.py
