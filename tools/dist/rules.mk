# SPDX-License-Identifier: MIT
# What is given away: an installed tree, and the sources as one file.

.PHONY: install install-libraries dist

# What pkg-config says of a library lies beside it.
PC := conn/torc.pc.in $(wildcard $(CLIENTS:%=conn/%/*.pc.in))
# FLAVOUR: flags that a program needs besides (flavours.mk).
FOUND_THERE = -Wl,-rpath,$(LIBDIR)
OF_FLAVOUR = $(if $(FLAVOUR),-e 's|^Cflags:.*|& $(FLAVOUR)|' \
	-e 's|^Libs:.*|& $(FLAVOUR) $(FOUND_THERE)|')
install: all install-libraries	# DESTDIR= PREFIX= LIBDIR= INCLUDEDIR= DATADIR= MANDIR= DOCDIR=
install-libraries: $(LIBRARIES) $(SHARED) $(HEADERS)
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(LIBRARIES) $(DESTDIR)$(LIBDIR)
	for so in $(notdir $(SHARED)); do to=$(DESTDIR)$(LIBDIR)/$$so; \
		install -m 755 $B/lib/$$so.0 $$to.$(VERSION) && \
		ln -sfn $$so.$(VERSION) $$to.0 && ln -sfn $$so.0 $$to || \
		exit; done
	for pc in $(PC); do sed $(OF_FLAVOUR) -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		$$pc > $(DESTDIR)$(LIBDIR)/pkgconfig/$$(basename $$pc .in) || \
		exit; done

# What CMake looks for; the folder of headers as it is seen from there.
CMAKEDIR ?= $(LIBDIR)/cmake/torc
install: install-cmake
.PHONY: install-cmake
install-cmake:
	install -d $(DESTDIR)$(CMAKEDIR)
	for file in torc-config torc-config-version; do \
		sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@SONAME@|0|' \
		-e 's|@COMPONENTS@|$(CLIENTS)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e "s|@HEADERS_FROM_HERE@|$$( \
		realpath -m --relative-to=$(CMAKEDIR) $(INCLUDEDIR))|" \
		tools/dist/cmake/$$file.cmake.in \
		> $(DESTDIR)$(CMAKEDIR)/$$file.cmake || exit; done

dist:	# build/torc-VERSION.tar.gz of what is committed
	mkdir -p $B && git archive --prefix=torc-$(VERSION)/ \
		-o $B/torc-$(VERSION).tar.gz HEAD

# What an installation into an empty folder has, taken away from this one. Of
# folders, those that are torc's alone, and empty ones of gdb.
.PHONY: uninstall
STAGED := $B/staged
uninstall:	# remove what `make install` with the same variables has installed
	$Q rm -rf $(STAGED)
	$Q $(MAKE) -s --no-print-directory install \
		DESTDIR='$(abspath $(STAGED))' >/dev/null
	(cd $(STAGED) && find . ! -type d) | while read -r file; do \
		rm -f "$(DESTDIR)/$$file" || exit; done
	(cd $(STAGED) && find . -depth -type d \( -path '*/torc' -o \
		-path '*/torc/*' -o -path '*/ringstat' -o \
		-path '*/gdb' -o -path '*/gdb/auto-load*' \)) | \
		while read -r folder; do [ ! -d "$(DESTDIR)/$$folder" ] || \
		rmdir --ignore-fail-on-non-empty "$(DESTDIR)/$$folder" || \
		exit; done
	$Q rm -rf $(STAGED)

# OpenSSL for `make static TLS=1`. It takes a minute: what is there stays, until
# `make clean`, and what is linked with it is then built along.
OWN_CRYPTO := build-static/openssl/lib/libssl.a
TLS ?= $(if $(wildcard $(OWN_CRYPTO)),1)
static: $(TLS:%=$(OWN_CRYPTO))
$(OWN_CRYPTO):
	$Q $(MAKE) -s B=build-static build-static/kernel-headers
	$Q tools/dist/openssl.sh build-static/openssl "$(STATIC_CC)" \
		build-static/kernel-headers

# As `make static`, and loaded at any address. The start files of musl for that
# are named here: musl-gcc, a wrapper, knows those of other programs only. hello
# has 4,504 bytes more so: 2,664 of them list what is to be relocated, and the
# rest is where pages begin. That passes its bound (tests/tools/minimal.sh), so
# `make static` stays as it is.
PIE := -static -Wl,-pie,--no-dynamic-linker -Wl,-z,text -nostartfiles \
	-l:rcrt1.o -l:crti.o -l:crtn.o -s -Wl,-z,noseparate-code
.PHONY: static-pie
static-pie:	# the same, loaded at any address, in build-static-pie/ (PROGRAM=hello)
	$Q $(MAKE) --no-print-directory B=build-static-pie \
		CC="$(STATIC_CC)" LDFLAGS="$(PIE)" CFLAGS="-Os -g -fPIE \
		-fno-unwind-tables -fno-asynchronous-unwind-tables" \
		$(or $(PROGRAM:%=build-static-pie/bin/%),static-programs)

# ---- For editors ----
# What make would run now, of all that is compiled; a file that is compiled in
# several ways is there as the library or the program has it.
.PHONY: compile_commands.json tags
compile_commands.json: $(HEADERS)	# how each file is compiled, for clangd and others
	$Q $(MAKE) -nkB V=1 all tests 2>/dev/null | \
		awk -v folder='$(CURDIR)' -f tools/dist/commands.awk > $@.new
	$Q mv $@.new $@
tags:	# where each name is defined, for vim and emacs (ctags)
	$Q ctags -f $@ -R --exclude='build*' --exclude=tests/abi .

# ---- Packages ----
# DEB_BUILD: a folder of a build that packages are made of, for tests; without
# it torc is built anew, as Debian does.
.PHONY: deb
DEB := $B/deb
deb:	# packages for Debian in build/deb (needs debhelper, libssl-dev)
	$Q rm -rf $(DEB) && mkdir -p $(DEB)/torc-$(VERSION)/tests
	$Q cp -rp LICENSE README.md Makefile .github sys ring reactor conn \
		tools $(DEB)/torc-$(VERSION)
	$Q cp -p tests/rules.mk $(DEB)/torc-$(VERSION)/tests
	$Q cp -rp tools/dist/debian $(DEB)/torc-$(VERSION)
	$Q cd $(DEB)/torc-$(VERSION) && unset \
		MAKEFLAGS MFLAGS MAKELEVEL B CC CFLAGS LDFLAGS && \
		$(if $(DEB_BUILD),TORC_BUILD='$(abspath $(DEB_BUILD))') \
		dpkg-buildpackage -b -uc -us
