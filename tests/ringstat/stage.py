# SPDX-License-Identifier: MIT
"""stage.py - what the tests of ringstat have in common.

A Stage starts programs and ends all of them, by their process ids; claims are
printed as tests/run.sh reads them.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("B", "build")
NOBODY = 65534
# A user who has no process; each script has one of its own, since what the
# others do at the same time has rings, too.
OUTSIDER = 30000 + os.getpid() % 30000
PATIENCE = 60  # seconds that anything may take on a machine under load


def as_user(uid, command):
    """The command, run by that user and nobody's groups."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
            *command]


def differences(actual, expected, where=""):
    """Where `actual` does not have what `expected` has; [] when it does."""
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{where}: {actual!r} is no object"]
        return [found for key, value in expected.items()
                for found in differences(actual.get(key, "nothing"), value,
                                         f"{where}.{key}")]
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return [f"{where}: {str(actual)[:200]}, not {len(expected)} items"]
        return [found for i, value in enumerate(expected)
                for found in differences(actual[i], value, f"{where}[{i}]")]
    if actual != expected:
        return [f"{where}: {actual!r}, not {expected!r}"]
    return []


class Stage:
    """Programs that run, a scratch folder, and what was claimed."""

    def __init__(self):
        self.failed = 0
        self.programs = []
        self.folder = tempfile.mkdtemp(prefix="ringstat.")
        os.chmod(self.folder, 0o755)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.programs:
            if program.poll() is None:
                program.kill()
        for program in self.programs:
            program.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def copy(self, program):
        """A copy that any user may run."""
        target = os.path.join(self.folder, os.path.basename(program))
        shutil.copy(os.path.join(BUILD, program), target)
        os.chmod(target, 0o755)
        return target

    def start(self, command, **more):
        """Start a program that is ended with the stage."""
        program = subprocess.Popen(command, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, **more)
        self.programs.append(program)
        return program

    def ask(self, program, line=None):
        """Give a program a line, and return the line that it answers."""
        if line is not None:
            program.stdin.write(line + "\n")
            program.stdin.flush()
        if not select.select([program.stdout], [], [], PATIENCE)[0]:
            raise RuntimeError(f"{program.args} says nothing")
        return program.stdout.readline()

    def ring(self, kind, number=0, user=None, name=None, **more):
        """A ring of that kind: its program, and the truth about it."""
        command = [os.path.join(self.folder, "ring"), kind, str(number)]
        environment = dict(os.environ)
        if name is not None:
            environment[b"RING_NAME"] = name
            environment = {os.fsencode(key): os.fsencode(value)
                           for key, value in environment.items()}
        if user is not None:
            command = as_user(user, command)
        program = self.start(command, env=environment, cwd=self.folder,
                             **more)
        return program, json.loads(self.ask(program))

    def skip(self, what, why):
        """Say what cannot be proved here."""
        print(f"SKIP: {what}: {why}", flush=True)

    def claim(self, text, proof):
        """`proof` returns what is wrong (a text or a list), or nothing."""
        try:
            wrong = proof()
        except Exception:  # pylint: disable=broad-except
            wrong = traceback.format_exc()
        if not wrong:
            print(f"ok {text}", flush=True)
            return
        self.failed += 1
        print(f"FAILED {text}")
        lines = wrong if isinstance(wrong, list) else str(wrong).splitlines()
        for line in lines[-40:]:
            print(f"    {line}")
        sys.stdout.flush()


class Ringstat:
    """Runs of one build of ringstat, by one user."""

    def __init__(self, program, user=None):
        self.command = [program] if user is None else as_user(user, [program])

    def run(self, *options, **more):
        """A run that has ended: status, output, errors."""
        return subprocess.run([*self.command, *options], text=True,
                              capture_output=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, check=False, **more)

    def json(self, *options, status=0):
        """The samples of a run that ended with that status."""
        result = self.run("--json", *options)
        if result.returncode != status:
            raise RuntimeError(f"{options}: status {result.returncode}, not "
                               f"{status}: {result.stderr}")
        return [json.loads(line) for line in result.stdout.splitlines()]

    def rings(self, *options):
        """The rings of one sample by inode.

        The kernel shows nobody a ring that another ringstat of this machine
        reads just then: such a sample is taken again.
        """
        for _ in range(20):
            rings = self.json(*options)[0]["rings"]
            if not any(ring["busy"] for ring in rings):
                break
        return {ring["ino"]: ring for ring in rings}

    def table(self, *options):
        """The lines of a table as dictionaries by the names of columns.

        No cell of a column that is looked at may hold a blank.
        """
        lines = self.run(*options).stdout.splitlines()
        names = lines[0].split()
        return [dict(zip(names, line.split())) for line in lines[1:]]


def until(condition, why, seconds=PATIENCE):
    """Wait for a condition, and return what it is then."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError(f"in vain: {why}")
        time.sleep(0.05)
