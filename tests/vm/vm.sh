#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vm.sh - build the suite, boot one of Debian's kernels under qemu with nothing
# else but the suite, a shell and libc in memory, and run it there.
#
# By environment: KERNEL, 6.1 (bookworm) or 6.12 (bookworm-backports); ARCH,
# x86_64 or aarch64; TESTS, the programs (all test_*); LIMIT, seconds that one
# of them may take (900); TOTAL, seconds for everything (3000); ACCEL, tcg, or
# kvm where that works; WORDS, further words for the kernel, as
# TORC_TEST='a_claim*' for those tests that read it; FETCH, not empty: only
# fetch the kernel and its root.
#
# Packages are fetched into $B/vm and unpacked there; none of them is
# installed, and the machine's own list of sources is not used. What qemu shows
# goes to $B/vm/ARCH-KERNEL.log. The exit status is the suite's.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
ARCH=${ARCH:-x86_64}
KERNEL=${KERNEL:-6.1}
out=$(realpath -m "$B/vm")
root=$out/$ARCH/root
suite=$out/$ARCH/suite
debs=$out/$ARCH/debs
fetch_log=$out/$ARCH/fetch.log

case $ARCH in
x86_64) debian=amd64 qemu=qemu-system-x86 console=ttyS0 machine=q35
	cpu=max compiler="gcc libc6-dev" ;;
aarch64) debian=arm64 qemu=qemu-system-arm console=ttyAMA0 machine=virt
	# Pointer authentication as specified is slow to emulate.
	cpu=max,pauth-impdef=on
	compiler="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
*) echo "vm.sh: ARCH is x86_64 or aarch64, not '$ARCH'" >&2; exit 2 ;;
esac
case $KERNEL in
6.1|6.12) ;;
*) echo "vm.sh: KERNEL is 6.1 or 6.12, not '$KERNEL'" >&2; exit 2 ;;
esac

die() {
	echo "vm.sh: $*" >&2
	exit 1
}

# What runs here: the emulator, a compiler, and cpio.
install_tools() {
	local missing=()
	command -v "qemu-system-$ARCH" >/dev/null || missing+=("$qemu")
	# shellcheck disable=SC2206 # words on purpose
	command -v "$ARCH-linux-gnu-gcc" >/dev/null || missing+=($compiler)
	command -v cpio >/dev/null || missing+=(cpio)
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" -eq 0 ] || die "needs: apt-get install ${missing[*]}"
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
	    --no-install-recommends "${missing[@]}"; } >"$out/install.log" 2>&1 ||
		die "could not install ${missing[*]}: see $out/install.log"
}

# apt's programs with sources, lists and an architecture of our own.
apt() {
	local program=$1 state=$out/$ARCH/apt
	shift
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	printf 'deb [signed-by=%s] http://deb.debian.org/debian %s main\n' \
	    /usr/share/keyrings/debian-archive-keyring.gpg bookworm \
	    /usr/share/keyrings/debian-archive-keyring.gpg \
	    bookworm-backports >"$state/sources.list"
	"$program" -q -o Dir::Etc::SourceList="$state/sources.list" \
	    -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$state/lists" \
	    -o Dir::State::Status=/dev/null -o Dir::Cache="$state/cache" \
	    -o APT::Architecture=$debian -o APT::Architectures=$debian \
	    -o APT::Sandbox::User=root "$@"
}

# fetch PACKAGE...: their files lie in $debs afterwards, and nothing else.
fetch() {
	rm -rf "$debs"
	mkdir -p "$debs"
	(cd "$debs" && apt apt-get download "$@") >>"$fetch_log" 2>&1 ||
		die "could not fetch $*: see $fetch_log"
}

# The package that Debian's newest kernel KERNEL is in.
kernel_package() {
	apt apt-cache show "linux-image-$debian" | awk -v series="$KERNEL." '
		/^Version: / { hit = index($2, series) == 1 }
		/^Depends: / && hit { sub(/[ ,].*/, "", $2); print $2; exit }'
}

# Fetch and unpack once; `make clean` takes it away.
fetch_root() {
	[ ! -e "$root/.complete" ] || return 0
	mkdir -p "$root"
	apt apt-get update >"$fetch_log" 2>&1 ||
		die "no lists of packages: see $fetch_log"
	fetch libc6 libgcc-s1 libcmocka0 libcmocka-dev bash-static busybox-static
	for deb in "$debs"/*.deb; do
		dpkg-deb -x "$deb" "$root" || die "could not unpack $deb"
	done
	rm -rf "${root:?}"/{etc,usr/share,usr/lib/*/gconv}
	touch "$root/.complete"
}

fetch_kernel() {
	local package
	[ ! -e "$out/$ARCH/vmlinuz-$KERNEL" ] || return 0
	package=$(kernel_package)
	[ -n "$package" ] || die "Debian has no kernel $KERNEL for $debian"
	fetch "$package"
	dpkg-deb --fsys-tarfile "$debs"/*.deb |
	    tar -xO --wildcards './boot/vmlinuz-*' \
	    >"$out/$ARCH/vmlinuz.part" || die "no kernel in $package"
	mv "$out/$ARCH/vmlinuz.part" "$out/$ARCH/vmlinuz-$KERNEL"
}

# The programs that run there, and what they need.
programs() {
	local test
	for test in ${TESTS:-$(basename -a tests/*/test_*.c)}; do
		case $test in
		test_redis*|test_pg*) ;;	# their servers are not there
		test_file*) ;;			# nor a disk
		test_fits*) ;;			# nor others' libraries
		*) echo "${test%.c}" ;;
		esac
	done
}

build() {
	local targets=()
	mapfile -t targets < <(programs)
	targets=("${targets[@]/#/$suite/tests/bin/}" "$suite/tests/bin/features"
	    "$suite/bench/load" "$suite"/bin/{echo,hello,raw})
	"${MAKE:-make}" -s --no-print-directory "${targets[@]}" \
	    B="$suite" CC="$ARCH-linux-gnu-gcc" \
	    CFLAGS="-O2 -g -isystem $root/usr/include" \
	    LDFLAGS="-L$root/usr/lib/$ARCH-linux-gnu" || exit 1
}

# Everything that the machine has lies in its memory.
pack() {
	local name=$1 test
	rm -rf "$root"/{tests,suite,tools}
	mkdir -p "$root"/{proc,sys,dev,tmp,tests,suite,tools/bench}
	cp tools/bench/*.awk "$root/tools/bench/"
	cp -r "$suite/bin" "$suite/bench" "$root/suite/"
	cp tests/vm/init "$root/init"
	cp tests/run.sh "$suite/tests/bin/features" "$root/tests/"
	# Where test_bench looks for them.
	mkdir -p "$root/bench" "$root/tools/bench"
	cp "$suite/bench/load" "$root/bench/"
	cp tools/bench/report.awk "$root/tools/bench/"
	for test in $(programs); do
		cp "$suite/tests/bin/$test" "$root/tests/"
	done
	[ -n "${TESTS:-}" ] ||
	    echo "SKIP: test_redis*, test_pg*, test_file*: neither their" \
		"servers nor a disk are there"
	(cd "$root" && find . -mindepth 1 ! -name .complete -print0 |
	    cpio --quiet -0 -o -H newc) >"$name.cpio" || die "cpio failed"
}

# run NAME: the machine, and what it says between its first word and its last.
run() {
	local name=$1
	timeout -k 10 "${TOTAL:-3000}" "qemu-system-$ARCH" -M $machine \
	    -cpu "$cpu" -smp 2 -m 3G -accel "${ACCEL:-tcg}" -no-reboot -nodefaults \
	    -display none -monitor none -serial stdio \
	    -kernel "$out/$ARCH/vmlinuz-$KERNEL" -initrd "$name.cpio" \
	    -append "console=$console quiet panic=-1 LIMIT=${LIMIT:-900} \
	    JOBS=${JOBS:-2} ${WORDS:-}" </dev/null 2>"$name.err" |
	    sed -u 's/\r//g' | tee "$name.log" |
	    sed -un '/^vm: begin/,/^vm: status/p'
	return "${PIPESTATUS[0]}"
}

mkdir -p "$out/$ARCH"
install_tools
fetch_root
fetch_kernel
[ -z "${FETCH:-}" ] || exit 0
build
name=$out/$ARCH-$KERNEL
pack "$name"
status=0
run "$name" || status=$?
rm -f "$name.cpio"
case $status in
124|137) die "ended after ${TOTAL:-3000} s; console: $name.log" ;;
esac
said=$(sed -n 's/^vm: status \([0-9]*\)$/\1/p' "$name.log")
if [ -z "$said" ]; then
	tail -n 20 "$name.log" "$name.err" >&2
	die "the machine ended early, with status $status"
fi
echo "console: ${name#"$PWD"/}.log"
exit "$said"
