#!/bin/sh
# SPDX-License-Identifier: MIT
# ringstat_explain.sh - ringstat --explain, where io_uring is refused.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build} PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/ringstat/explain.py
