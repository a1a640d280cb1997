#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# siege.sh - the short form of tests/siege/siege.sh: beside a hundred clients
# of each bad manner, a good one is answered, however late.
set -u
cd "$(dirname "$0")/../.." || exit 2
SHORT=1 PEERS=100 SECONDS_EACH=1 ROLES="files proxy" \
    MANNERS="half unread behind upload poison mixed" exec tests/siege/siege.sh
