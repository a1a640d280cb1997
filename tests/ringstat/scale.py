# SPDX-License-Identifier: MIT
"""scale.py [PROCESSES [RINGS]] - how long ringstat takes on a large machine:
10,000 processes that sleep and 1,000 rings. It only measures, and is no part
of `make check`.
"""

import subprocess
import sys
import time

from stage import Stage


def measure(program, options):
    """Best and median of seven runs in milliseconds, and processor time."""
    times = []
    for _ in range(7):
        begun = time.monotonic()
        result = subprocess.run(["/usr/bin/time", "-f", "%U %S", program,
                                 *options], capture_output=True, text=True,
                                check=False)
        user, system = map(float, result.stderr.split()[-2:])
        times.append(((time.monotonic() - begun) * 1000, user * 1000,
                      system * 1000, len(result.stdout.splitlines())))
    times.sort()
    print("%-14s best %4.0f ms (user %.0f, system %.0f), median %4.0f ms, "
          "%d lines" % (" ".join(options), *times[0][:3], times[3][0],
                        times[0][3]))


def main():
    """All views, and those of programs."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    rings = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with Stage() as stage:
        stage.copy("tests/ringstat/ring")
        program = stage.copy("bin/ringstat")
        measure(program, [])
        stage.ring("crowd", processes)
        stage.ring("many", rings)
        for options in ([], ["-x"], ["-e"], ["-o"], ["-t"], ["-m"],
                        ["--conns"], ["--json"], ["--openmetrics"],
                        ["--check"]):
            measure(program, options)


if __name__ == "__main__":
    main()
