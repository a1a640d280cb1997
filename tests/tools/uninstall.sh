#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# uninstall.sh - `make uninstall` takes away what `make install` has put
# somewhere, and nothing else: neighbours stay, and so does what a user has put
# into a folder of torc's.
#
# What is missing in $B is made.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
unset MAKEFLAGS MFLAGS MAKELEVEL
root=$scratch/root
words=(B="$B" DESTDIR="$root" PREFIX=/opt LIBDIR=/opt/lib/here)

# All that is there, with its kind, its mode and what it holds.
tree() {
	(cd "$root" && find . -printf '%y %m %p %l\n' | sort &&
	    find . -type f -exec cksum {} + | sort)
}

# As a system's folders are, with files whose names are near ours.
neighbours() {
	local folder file
	for folder in bin include lib/here/pkgconfig share/man/man1 \
	    share/man/man3 share/man/man7 share/doc lib/here/cmake \
	    share/bash-completion/completions share/zsh/site-functions \
	    share/fish/vendor_completions.d; do
		mkdir -p "$root/opt/$folder" || return
	done
	for file in lib/here/libtorch.so lib/here/libtorc-mqtt.so.0 \
	    lib/here/pkgconfig/torch.pc include/torc_mqtt.h \
	    bin/ringstatus share/man/man3/torc_mqtt.3; do
		echo "$file" >"$root/opt/$file"
	done
	ln -s libtorc.so.0 "$root/opt/lib/here/libtorc-link.so"
}

installs() {
	make -s "${words[@]}" install && [ -e "$root/opt/include/torc.h" ] &&
	    [ -e "$root/opt/lib/here/libtorc.so.0" ] &&
	    [ -e "$root/opt/bin/ringstat" ]
}

uninstalls() {
	make -s "${words[@]}" uninstall
}

as_before() {
	tree | diff "$scratch/before" -
}

neighbours && tree >"$scratch/before"
claim "make install puts files beside those of others" installs
claim "make uninstall ends well" uninstalls
claim "the tree is what it was before, to the byte" as_before
claim "where nothing is installed it changes nothing" \
    eval 'uninstalls && as_before'

claim "it is installed once more" installs
echo mine >"$root/opt/share/doc/torc/mine"
claim "a user's file in a folder of torc's stays" \
    eval 'uninstalls && [ "$(cat "$root/opt/share/doc/torc/mine")" = mine ]'
[ $failed -eq 0 ]
