#!/bin/sh
# SPDX-License-Identifier: MIT
# ringstat_watch.sh - `ringstat --watch` in a terminal.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build} PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/ringstat/watch.py
