# SPDX-License-Identifier: MIT
# How all is built under a sanitizer, in a folder of its own; and the libraries
# so built, for programs that are, too. They are installed beside the others,
# and pkg-config says the flags that go with them:
#
#     make install-asan
#     export PKG_CONFIG_PATH=/usr/local/lib/torc/asan/pkgconfig
#     cc -g shop.c $(pkg-config --cflags --libs torc)
#
# SAN_CC, which compiles, is to be the compiler of the program. Valgrind needs
# no library of its own: torc finds out that it is there.

SAN_CC ?= gcc
ASAN_FLAGS := -fsanitize=address,undefined
TSAN_FLAGS := -fsanitize=thread
ASAN := B=build-asan CC="$(SAN_CC)" CFLAGS= LDFLAGS="$(ASAN_FLAGS)" \
	MODE="-O1 -g -fno-omit-frame-pointer $(ASAN_FLAGS) -fno-sanitize-recover=all"
TSAN := B=build-tsan CC="$(SAN_CC)" CFLAGS= LDFLAGS="$(TSAN_FLAGS)" \
	MODE="-O1 -g $(TSAN_FLAGS)"

.PHONY: install-asan install-tsan
install-asan:	# the libraries under AddressSanitizer, to LIBDIR/torc/asan
	$Q $(MAKE) --no-print-directory install-libraries $(ASAN) \
		LIBDIR=$(LIBDIR)/torc/asan FLAVOUR="$(ASAN_FLAGS)"
install-tsan:	# the libraries under ThreadSanitizer, to LIBDIR/torc/tsan
	$Q $(MAKE) --no-print-directory install-libraries $(TSAN) \
		LIBDIR=$(LIBDIR)/torc/tsan FLAVOUR="$(TSAN_FLAGS)"
