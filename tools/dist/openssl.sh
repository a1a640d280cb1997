#!/bin/sh
# SPDX-License-Identifier: MIT
# openssl.sh TO CC [HEADERS] - libssl and libcrypto for static programs, with
# their headers, below the folder TO: of Debian's source package of OpenSSL,
# compiled with CC (musl-gcc). HEADERS: where those of the kernel are.
#
# `make static TLS=1` calls it, once: what is there is not built again. It takes
# a minute on two CPUs, apt-get, dpkg-source (dpkg-dev) and perl, on Debian 12 or
# later, whose own mirrors are asked for sources. Nothing outside of TO is
# written, and it need not be root.
# apt-get compares each file with the checksums of the lists, and those with
# Debian's signature. A mirror may not have the newest version yet: then the one
# before it is taken, and said.
#
# What is left out, and why:
#   no-shared no-dso no-module no-engine  nothing is loaded at run time: in an
#       empty folder there is nothing to load
#   no-legacy           its ciphers are not those of TLS 1.2; it is a module
#   no-async            musl has no makecontext(); torc does not use it
#   no-tests no-ui-console  not built, not asked: torc reads no terminal
#   no-ssl3 no-tls1 no-tls1_1 no-dtls no-srtp no-srp no-nextprotoneg no-comp
#   no-ssl-trace        protocols that torc refuses or does not have
#   no-cms no-cmp no-ts no-ct no-rfc3779  formats that are not of a certificate
#       chain, a key or a list of revoked ones
#   no-aria ... no-whirlpool, no-sm2 ... no-sm4, no-siv no-ocb no-ec2m no-gost
#       ciphers and curves that no suite of torc_tls.h names
# What stays: texts of errors (torc tells why in words), PBES2 with scrypt or
# 3DES (keys with passwords), assembly, and what Debian adds: P-521 in words of
# 128 bits.
set -eu
to=$1
cc=$2
headers=${3:-}
source=$to/source

say() {
	echo "openssl.sh: $*" >&2
}

fails() {
	say "$*"
	exit 1
}

for tool in apt-get dpkg-source perl make "${cc%% *}"; do
	command -v "$tool" >/dev/null || fails "$tool is not installed; it takes \
Debian's apt-get, dpkg-source (dpkg-dev), perl, make and ${cc%% *}"
done
case $(uname -m) in
x86_64) target=linux-x86_64 ;;
aarch64) target=linux-aarch64 ;;
*) fails "no target of OpenSSL is known for $(uname -m)" ;;
esac
mkdir -p "$source/apt/lists/partial" "$source/apt/cache/archives/partial"
to=$(cd "$to" && pwd)
source=$to/source
[ -z "$headers" ] || headers=$(cd "$headers" && pwd)

# ---- The source ----

# What this system has of Debian, as sources, and in a place of its own.
lists=$source/apt
apt() {
	command=$1
	shift
	"$command" -q -o "Dir::Etc::sourcelist=$lists/sources.list" \
	    -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$lists/lists" \
	    -o "Dir::Cache=$lists/cache" -o APT::Sandbox::User= "$@"
}

signed="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
# shellcheck disable=SC2016 # apt-get puts in what they mean
apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' | sort -u |
    sed -n "s|^Debian \(.* main\)\$|deb-src [$signed] \1|p" \
    >"$lists/sources.list"
[ -s "$lists/sources.list" ] || fails "apt-get knows no mirror of Debian: \
run apt-get update first"
apt apt-get update --error-on=any >"$source/log" 2>&1 || {
	cat "$source/log" >&2
	fails "the lists of sources cannot be had from Debian's mirror"
}
versions=$(apt apt-cache showsrc --only-source openssl |
    sed -n 's/^Version: //p' | sort -ruV)
[ -n "$versions" ] || fails "Debian's lists have no source of openssl"

# Newest first, that is all of a package or nothing.
got=
for version in $versions; do
	if (cd "$source" && apt apt-get source --download-only \
	    --only-source "openssl=$version") >"$source/log" 2>&1; then
		got=$version
		break
	fi
	say "$version cannot be had: $(sed -n \
's/^E: Failed to fetch \([^ ]*\) */\1: /p' "$source/log" | head -n 1)"
done
[ -n "$got" ] || fails "the source of openssl cannot be had from the mirror; \
$source/log says more"
say "builds $got in $to"
rm -rf "$source/tree"
(cd "$source" && dpkg-source --no-copy -x "openssl_${got#*:}.dsc" tree) \
    >"$source/log" 2>&1 || {
	cat "$source/log" >&2
	fails "the source of $got cannot be unpacked"
}

# ---- The libraries ----

cd "$source/tree"
# OpenSSL has its flags and its time in it: so no paths, and the time of the
# package.
[ -z "$headers" ] || ln -s "$headers" kernel-headers
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)
export SOURCE_DATE_EPOCH
{
	# shellcheck disable=SC2086 # a word each, or none
	perl Configure $target --prefix=/usr --libdir=lib \
	    --openssldir=/etc/ssl no-shared no-dso no-module no-engine \
	    no-legacy no-async no-tests no-ui-console no-ssl3 no-tls1 \
	    no-tls1_1 no-dtls no-srtp no-srp no-nextprotoneg no-comp \
	    no-ssl-trace no-cms no-cmp no-ts no-ct no-rfc3779 no-aria no-bf \
	    no-blake2 no-camellia no-cast no-idea no-md4 no-mdc2 no-rc2 \
	    no-rc4 no-rc5 no-rmd160 no-seed no-siphash no-whirlpool no-sm2 \
	    no-sm3 no-sm4 no-siv no-ocb no-ec2m no-gost no-pic \
	    enable-ec_nistp_64_gcc_128 \
	    CC="$cc" CFLAGS="-O2 -fno-pie -ffunction-sections -fdata-sections \
-fno-unwind-tables -fno-asynchronous-unwind-tables ${headers:+-idirafter \
kernel-headers}" &&
	    make -j"$(nproc)" build_generated libssl.a libcrypto.a
} >"$source/log" 2>&1 || {
	tail -n 30 "$source/log" >&2
	fails "OpenSSL $got cannot be built; $source/log says more"
}

# What is complete is there at once.
rm -rf "$to/include" "${to:?}/lib" "$to/new"
mkdir "$to/include" "$to/new"
cp -r include/openssl "$to/include"
cp libssl.a libcrypto.a "$to/new"
echo "$got" >"$to/new/version"
mv "$to/new" "$to/lib"
rm -rf "$source"
