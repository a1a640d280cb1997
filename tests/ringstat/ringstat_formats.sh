#!/bin/sh
# SPDX-License-Identifier: MIT
# ringstat_formats.sh - ringstat for programs: formats, statuses, hostile names.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build} PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/ringstat/formats.py
