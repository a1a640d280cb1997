#!/bin/sh
# SPDX-License-Identifier: MIT
# seeds.sh FROM TO - write the seeds FROM/*.txt, in which bytes are escaped,
# to TO as they are.
set -eu

for seed in "$1"/*.txt; do
	# Ends of lines mean nothing; %b wants octal digits.
	text=$(tr -d '\n' <"$seed" |
	    sed 's/\\0/\\0000/g; s/\\x\(..\)/\\x\1/g')
	# shellcheck disable=SC2059 # the escapes are the point
	bash -c 'printf "%b" "$1"' bash "$text" \
	    >"$2/$(basename "$seed" .txt)"
done
