# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# words.sh - shared words have their orders and their labels.

grep -rnE '__atomic_|__ATOMIC_|_Atomic|__sync_|stdatomic|volatile' \
    sys ring reactor conn | grep -v -e '^sys/barrier.h' -e '__asm__' \
    -e ':[0-9]*:[ 	]*[/ ]\*' |
    claim "memory orders are named in sys/barrier.h only"

# Every use of a shared word has a label within the five lines before it.
awk 'FNR == 1 { label = -9 }
	/(^|[^A-Z])[SCFBMKV][1-9][:,]/ { label = FNR }
	/torc_(load|store|exchange|replace|add)_(relaxed|acquire|release|full)/ {
		if (FNR - label > 5)
			print FILENAME ":" FNR ": " $0
	}' ring/*.[ch] reactor/*.[ch] conn/*.[ch] conn/kit/*.[ch] |
    claim "each use of a shared word is labelled"

labels() {
	grep -ohE '(^|[^A-Z0-9])[SCFBMKV][1-9]:' ring/*.[ch] reactor/*.[ch] \
	    conn/*.[ch] conn/kit/*.[ch] | tr -dc 'A-Z0-9\n' | sort -u
}
rows() {
	sed -n 's/^| \([SCFBMKV][1-9]\) |.*/\1/p' ring/PROTOCOL.md | sort -u
}
{ labels; rows; } | sort | uniq -u | tr -d '\0' |
    { grep . || :; } |
    claim "PROTOCOL.md and the code have the same labels"
