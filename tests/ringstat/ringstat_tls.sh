#!/bin/sh
# SPDX-License-Identifier: MIT
# ringstat_tls.sh - what ringstat says of TLS, and what its clients know.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build} PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/ringstat/tls.py
