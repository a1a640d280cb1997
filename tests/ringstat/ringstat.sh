#!/bin/sh
# SPDX-License-Identifier: MIT
# ringstat.sh - ringstat against the truth that programs know of themselves.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build} PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/ringstat/truth.py
