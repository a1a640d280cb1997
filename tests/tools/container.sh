#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# container.sh - tools/dist/Dockerfile makes an image that holds one program,
# which is static, loaded at an address that nobody can foretell, and serves.
#
# Its builder needs Debian's image and packages. Here, where nothing is fetched,
# this machine is the builder: it runs the builder's last command, and podman
# makes an image of what comes out by the rest of the file. The image's root is
# unpacked, and the program runs in it by chroot, as its user and with the
# arguments that the image says, but for the port: containers of podman need
# more rights than this may have. A tool that is not installed is a line
# "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
needs make readelf
unset MAKEFLAGS MFLAGS MAKELEVEL
dockerfile=tools/dist/Dockerfile
hello=build-static-pie/bin/hello
root=$scratch/root
tag=torc-test-$$

if ! has musl-gcc; then
	echo "SKIP: musl-gcc is not installed"
	exit 0
fi

# What the builder does in the end, but for where it copies the program.
builds() {
	local words
	words=$(sed -n 's/^RUN \(make [^&]*\) && .*/\1/p' $dockerfile)
	[ "$words" = 'make static-pie PROGRAM=$PROGRAM' ] &&
	    make -s -j2 static-pie PROGRAM=hello
}

is_static() {
	! readelf -lW $hello | grep -E 'INTERP' &&
	    ! readelf -dW $hello | grep NEEDED
}

is_free() {
	readelf -hW $hello | grep -E 'Type: +DYN'
}

# Where it is loaded: its first page, in two processes.
place() {
	fresh_port
	starts server $hello -r 1 -l "127.0.0.1:$port" &&
	    sed -n '1s/-.*//p' "/proc/$pid/maps" && ends "$pid" >/dev/null
}

moves() {
	place >"$scratch/one" && place >"$scratch/other" &&
	    ! diff "$scratch/one" "$scratch/other"
}

packs() {
	mkdir "$scratch/context" && cp $hello "$scratch/context/program" && {
		printf 'FROM scratch AS builder\nCOPY program /program\n'
		awk '/^FROM scratch/ { on = 1 } on' $dockerfile
	} >"$scratch/context/Dockerfile" &&
	    podman build --pull=never -t $tag "$scratch/context" &&
	    podman create --name $tag localhost/$tag &&
	    mkdir "$root" && podman export $tag | tar -x -C "$root"
}

unpacked() {	# what the image adds, without what podman mounts
	(cd "$root" && find . -type f -size +0)
}

alone() {
	[ "$(unpacked)" = ./program ]
}

inspect() {
	podman image inspect --format "$1" localhost/$tag
}

says() {
	[ "$(inspect '{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}}')" \
	    = '65534:65534 [/program] [-l 0.0.0.0:8080]' ] &&
	    [ "$(inspect '{{.Config.StopSignal}}')" = SIGTERM ]
}

serves() {
	fresh_port
	chmod 755 "$scratch" "$root"
	starts server chroot --userspec=65534:65534 "$root" /program \
	    -l "0.0.0.0:$port" -r 1 &&
	    [ "$(curl -s -m 10 "http://127.0.0.1:$port/")" = hello ] &&
	    ends "$pid"
}

throws_away() {
	podman rm -f $tag && podman rmi -f localhost/$tag
} >/dev/null 2>&1

claim "the builder's command makes a program" builds
[ $failed -eq 0 ] || exit 1
claim "it is static" is_static
claim "it is position-independent" is_free
claim "each process has it at another address" moves
if has podman && [ "$(id -u)" -eq 0 ]; then
	trap 'throws_away; finish' EXIT
	claim "podman makes an image of it" packs
	claim "the image has one file" alone
	claim "its user has no rights, and SIGTERM ends it" says
else
	echo "SKIP: an image needs podman, and root"
	mkdir "$root" && cp $hello "$root/program"
fi
if has curl && [ "$(id -u)" -eq 0 ]; then
	claim "in the image's root, it serves as that user" serves
else
	echo "SKIP: the image's root needs root and curl"
fi
[ $failed -eq 0 ]
