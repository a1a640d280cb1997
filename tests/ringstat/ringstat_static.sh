#!/bin/sh
# SPDX-License-Identifier: MIT
# ringstat_static.sh - the static ringstat, in an empty root.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build} PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/ringstat/static.py
