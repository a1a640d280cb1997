# SPDX-License-Identifier: MIT
"""static.py - one static file is enough: its size, an empty root, its start.
"""

import os
import shutil
import subprocess
import sys
import time

from stage import NOBODY, Ringstat, Stage, differences

STATIC = "build-static/bin/ringstat"
MOST_BYTES = 200 * 1024
RINGS = 50
LOOKS = 50


def is_small(program):
    """Stripped, static, and at most 200 KB."""
    shown = subprocess.run(["readelf", "-lS", program], text=True,
                           capture_output=True, check=True).stdout
    wrong = [f"it has {part}" for part in (".symtab", ".debug_info", "INTERP")
             if part in shown]
    size = os.path.getsize(program)
    print(f"    {size} bytes")
    if not 10000 < size <= MOST_BYTES:
        wrong.append(f"{size} bytes")
    return wrong


def in_empty_root(stage, program, with_proc, options, user=None):
    """Status, output and errors in a root that has nothing else."""
    root = os.path.join(stage.folder, "empty")
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(os.path.join(root, "proc"))
    shutil.copy(program, os.path.join(root, "ringstat"))
    mount = f"mount -t proc proc {root}/proc && " if with_proc else ""
    drop = "" if user is None else f"--userspec={user}:{user} --groups= "
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         f"{mount}exec chroot {drop}{root} /ringstat {options}"],
        capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def works_there(stage, program, truth):
    """The same rings, the same checks."""
    wrong = []
    for options, text in (
            ("", str(truth["ino"])), ("--json --entries", str(truth["ino"])),
            ("-m", str(truth["pid"])),
            ("--openmetrics", f'ring="{truth["ino"]}"'),
            ("--explain", "io_uring works here"),
            (f"--dump {truth['pid']}", "SqMask")):
        status, said, errors = in_empty_root(stage, program, True, options)
        if status != 0 or text not in said or errors:
            wrong.append(f"{options}: {status} {said[:300]} {errors}")
    return wrong


def works_for_nobody(stage, program, truth):
    """Not even a user's name is needed."""
    status, said, errors = in_empty_root(stage, program, True, "-m", NOBODY)
    if status != 0 or str(truth["pid"]) not in said or errors:
        return f"{status} {said} {errors}"
    return None


def says_without_proc(stage, program):
    """Without /proc there is nothing to read, and that is said."""
    status, said, errors = in_empty_root(stage, program, False, "")
    return differences((status, said, errors),
                       (1, "", "ringstat: cannot read /proc: it is not "
                        "mounted\n"))


def starts(stage, program):
    """With 50 rings more; the time is printed, and nothing asked of it."""
    _, truth = stage.ring("many", RINGS)
    times = []
    for _ in range(11):
        begun = time.monotonic()
        result = subprocess.run([program], capture_output=True, text=True,
                                check=False)
        times.append((time.monotonic() - begun) * 1000)
    lines = [line for line in result.stdout.splitlines()
             if line.split()[0] == str(truth["pid"])]
    times.sort()
    print(f"    {len(result.stdout.splitlines()) - 1} rings: best "
          f"{times[0]:.1f} ms, median {times[5]:.1f} ms")
    return differences(len(lines), RINGS)


def sees_the_same(stage, program, truth):
    """Another ringstat shares a ring while it reads it: look again, then."""
    dynamic = stage.copy("bin/ringstat")
    for _ in range(LOOKS):
        wrong = differences(Ringstat(program).rings("-e")[truth["ino"]],
                            Ringstat(dynamic).rings("-e")[truth["ino"]])
        if not wrong:
            break
        time.sleep(0.1)
    return wrong


def main():
    """With a ring of root's and one of nobody's."""
    if os.getuid() != 0:
        print("SKIP: static: an empty root needs root")
        return 0
    with Stage() as stage:
        stage.copy("tests/ringstat/ring")
        program = os.path.join(stage.folder, "static")
        shutil.copy(STATIC, program)
        os.chmod(program, 0o755)
        _, mine = stage.ring("pending", 4)
        _, his = stage.ring("pending", 4, user=NOBODY)
        stage.claim("the static program is small", lambda: is_small(program))
        stage.claim("it works in an empty root with /proc",
                    lambda: works_there(stage, program, mine))
        stage.claim("also for nobody, on his own processes",
                    lambda: works_for_nobody(stage, program, his))
        stage.claim("without /proc it says so",
                    lambda: says_without_proc(stage, program))
        stage.claim("it shows fifty rings", lambda: starts(stage, program))
        stage.claim("it sees what the dynamic one does",
                    lambda: sees_the_same(stage, program, mine))
        return stage.failed > 0


if __name__ == "__main__":
    sys.exit(main())
