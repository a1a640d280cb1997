# SPDX-License-Identifier: MIT
"""formats.py - ringstat for programs that read it: formats, statuses, names.

JSON is held against tools/ringstat/schema.json, metrics are given to
promtool. Names of processes are as hostile as prctl(2) takes them, processes
die while they are looked at, and rings come and go.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import jsonschema

from stage import (BUILD, OUTSIDER, Ringstat, Stage, differences,
                   until)

NAMES = [b"a\nb\x1b[31m%s%n", b'"}\\ x{y="z', b"%s%n%s%n%d", b"\xff\xfe\x80",
         "ünïcödé".encode(), "\u202eevil".encode(), b" 1 2 3 ", b"-p --raw",
         "\x9b31m\u2066\ufeff".encode()]
NO_PROCESS = "4194303"  # no machine counts so far
VIEWS = ["-x", "-e", "-o", "-t", "-m", "--conns", "--ops", "--handshakes"]
WIDTHS = [20, 40, 80, 120, 200]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e"
                     r"\u2060-\u206f\ufeff]")


def schema():
    """The validator of what --json prints."""
    with open("tools/ringstat/schema.json", encoding="utf-8") as file:
        text = json.load(file)
    jsonschema.Draft202012Validator.check_schema(text)
    return jsonschema.Draft202012Validator(text)


def json_is_valid(ringstat, *options):
    """Each sample, by the schema in the tree."""
    samples = ringstat.json(*options)
    wrong = [f"{'.'.join(map(str, error.path))}: {error.message[:200]}"
             for sample in samples for error in schema().iter_errors(sample)]
    if not samples or not any(sample["rings"] for sample in samples):
        wrong.append("no rings: nothing was proved")
    return wrong


def schema_refuses(ringstat):
    """The control: the schema takes no unknown field, nor a 0x-less word."""
    sample = ringstat.json("--entries")[0]
    sample["rings"][0]["surprise"] = 1
    sample["rings"][0]["cq"]["ready"] = "many"
    return differences(len(list(schema().iter_errors(sample))), 2)


def promtool(text):
    """What promtool says of metrics."""
    result = subprocess.run(["promtool", "check", "metrics"], input=text,
                            text=True, capture_output=True, check=False)
    return result.returncode, result.stdout + result.stderr


def metrics_are_valid(ringstat, *options):
    """Linted, and each family that torc has is there."""
    text = ringstat.run("--openmetrics", *options).stdout
    status, said = promtool(text)
    wrong = said.splitlines() if status != 0 else []
    if not text.endswith("# EOF\n"):
        wrong.append("no end")
    if "io_uring_sq_entries{" not in text or "torc_turns_total{" not in text:
        wrong.append("families are missing")
    for name in ("", "_full_total", "_resumed_total", "_failed_total"):
        if f"\ntorc_handshakes{name}{{" not in text:
            wrong.append(f"no torc_handshakes{name}")
    for label in ("failures_total", "reason=\"left\""), (
            "versions_total", "version=\"1.3\""), (
                "ciphers_total", "cipher=\"other\""):
        if not re.search("\ntorc_handshake_%s{.*%s}" % label, text):
            wrong.append(f"no torc_handshake_{label}")
    if promtool(text + "io_uring_broken{ 1\n")[0] == 0:
        wrong.append("promtool takes anything")
    return wrong


def statuses(cases):
    """Each (status, text of standard error, Ringstat, options)."""
    wrong = []
    for status, text, ringstat, options in cases:
        result = ringstat.run(*options)
        if result.returncode != status or text not in result.stderr:
            wrong.append(f"{options}: {result.returncode} {result.stderr}"
                         f"{result.stdout[:300]}")
        if len(result.stderr.splitlines()) > 1:
            wrong.append(f"{options}: more than one line: {result.stderr}")
    return wrong


def judges_once(stage, ringstat):
    """--check with an interval takes two samples, with a count so many more.
    """
    _, truth = stage.ring("overflowed", 1)
    asked = ["--check", "-p", str(truth["pid"])]
    once = ringstat.run(*asked, "0.05")
    thrice = ringstat.run(*asked, "0.05", "3")
    return (differences(len(once.stdout.splitlines()), 2, "once") +
            differences(len(thrice.stdout.splitlines()), 6, "thrice") +
            differences([once.returncode, thrice.returncode], [4, 4]))


def full_disk(ringstat):
    """Output that cannot be written is an error, and one line says so."""
    wrong = []
    for options in ([], ["--json"], ["--openmetrics"], ["--help"]):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([*ringstat.command, *options], text=True,
                                    stdout=full, stderr=subprocess.PIPE,
                                    check=False)
        wrong += differences(
            (result.returncode, result.stderr),
            (1, "ringstat: cannot write to the standard output\n"),
            str(options))
    return wrong


def without_rings(ringstat):
    """In a namespace without rings all is well."""
    result = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc",
                             *ringstat.command], capture_output=True,
                            text=True, check=False)
    return differences((result.returncode, len(result.stdout.splitlines()),
                        result.stderr), (0, 1, ""))


def ends_with_process(stage, ringstat):
    """A process that is asked for ends between two samples: status 5."""
    program, truth = stage.ring("pending", 3)
    sampler = stage.start([*ringstat.command, "-p", str(truth["pid"]), "0.1"],
                          stderr=subprocess.DEVNULL)
    stage.ask(sampler)
    program.kill()
    program.wait()
    sampler.communicate(timeout=60)
    return differences(sampler.returncode, 5, "status")


def environment(more):
    """Ours, without what a terminal around this test may have put there."""
    plain = {name: value for name, value in os.environ.items()
             if name not in ("COLUMNS", "NO_COLOR")}
    return {**plain, **more}


def piped(ringstat, pids):
    """What is piped has no colours, no width, and does not change."""
    wrong = []
    for options in [[], *([view] for view in VIEWS)]:
        said = [subprocess.run(
            [*ringstat.command, *options, "-p", pids], text=True, check=False,
            capture_output=True, env=environment(more)).stdout
            for more in ({}, {"COLUMNS": "many", "TERM": "xterm"},
                         {"NO_COLOR": "1", "LC_ALL": "de_DE.UTF-8"})]
        if len(set(said)) != 1:
            wrong.append(f"{options}: differs\n" + "\n".join(said))
        if "\033" in said[0] or len(said[0].splitlines()) < 1:
            wrong.append(f"{options}: {said[0]!r}")
    return wrong


def said_columns(ringstat, pids):
    """COLUMNS is the width, without a terminal and on one; -W has none."""
    def lengths(options, **more):
        said = subprocess.run(
            [*ringstat.command, *options, "-p", pids], text=True,
            check=False, capture_output=True, env=environment(more))
        return [len(line) for line in said.stdout.splitlines()]

    wrong = []
    for view in VIEWS:
        full = lengths([view])
        wrong += differences(max(lengths([view], COLUMNS="20")) <= 20, True,
                             f"{view}, 20 columns")
        wrong += differences(lengths([view, "-W"], COLUMNS="20"), full,
                             f"{view} -W")
        wrong += differences(max(full) > 20, True, f"{view} is wide")
    narrow = on_terminal(ringstat, 80, ["-x", "-p", pids],
                         {"COLUMNS": "30", "NO_COLOR": "1"})
    wrong += differences(
        20 < max(map(len, narrow.splitlines())) <= 30, True, "a terminal")
    return wrong


def on_terminal(ringstat, width, options, more):
    """What is printed on a terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ,
                struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen([*ringstat.command, *options], stdout=slave,
                          env=environment(more)) as program:
        os.close(slave)
        said = b""
        while select.select([master], [], [], 60)[0]:
            try:
                said += os.read(master, 65536)
            except OSError:
                break
        program.wait()
    os.close(master)
    return said.decode().replace("\r\n", "\n")


def fits(ringstat, pids):
    """No line is wider than the terminal; a wide one shows more columns."""
    wrong = []
    columns = []
    for width in WIDTHS:
        for view in ["-H", *VIEWS]:
            text = on_terminal(ringstat, width, [view, "-p", pids], {})
            plain = re.sub(r"\033\[\d*m", "", text)
            wrong += [f"{view} at {width}: {line!r}"
                      for line in plain.splitlines() if len(line) > width]
            if CONTROL.search(plain):
                wrong.append(f"{view} at {width}: {plain!r}")
        text = on_terminal(ringstat, width, ["-x", "-p", pids],
                           {"NO_COLOR": "1"})
        columns.append(len(text.splitlines()[0].split()))
    if columns != sorted(columns) or columns[0] == columns[-1]:
        wrong.append(f"columns: {columns}")
    return wrong


def colours(ringstat, pids):
    """A full queue is red, but not for those who want no colours."""
    wrong = []
    for value, expected in (("", True), ("0", False), ("1", False)):
        text = on_terminal(ringstat, 80, ["-p", pids], {"NO_COLOR": value})
        wrong += differences("\033[31m8/8" in text, expected,
                             f"NO_COLOR={value}")
        wrong += differences("\033" in text, expected, f"NO_COLOR={value}")
    return wrong


def hostile_names(stage, ringstat):
    """A name is one cell, one string, one label, whatever is in it."""
    wrong = []
    truths = [stage.ring("overflowed", 2, name=name)[1] for name in NAMES]
    pids = ",".join(str(truth["pid"]) for truth in truths)
    comms = {ring["pid"]: ring["comm"]
             for ring in ringstat.json("-p", pids)[0]["rings"]}
    for name, truth in zip(NAMES, truths):
        wrong += differences(comms.get(truth["pid"]),
                             name[:15].decode("utf-8", "replace"), "JSON")
    for options in ([], *([view] for view in VIEWS), ["--check"],
                    ["--openmetrics"], ["--json"]):
        text = ringstat.run(*options, "-p", pids).stdout
        if CONTROL.search(text):
            wrong.append(f"{options}: {text!r}")
        lines = {(): 10, ("-x",): 10, ("-t",): 10, ("-m",): 10,
                 ("--json",): 1, ("--check",): 18,
                 ("-e",): 91}.get(tuple(options))
        if lines is not None and len(text.splitlines()) != lines:
            wrong.append(f"{options}: {len(text.splitlines())} lines")
    wrong += promtool(ringstat.run("--openmetrics", "-p", pids).stdout)[
        1].splitlines()
    for truth in truths:
        text = ringstat.run("--dump", str(truth["pid"])).stdout
        if CONTROL.search(text):
            wrong.append(f"--dump: {text[:500]!r}")
    return wrong


def dump_is_discreet(stage, ringstat):
    """--dump has no addresses and no user_data, unless --raw is given."""
    _, truth = stage.ring("pending", 3)
    quiet = ringstat.run("--dump", str(truth["pid"])).stdout
    raw = ringstat.run("--dump", str(truth["pid"]), "--raw").stdout
    word = truth["entries"]["sqes"][2]["user_data"]
    number = str(int(word, 16))
    wrong = []
    if word in quiet or number in quiet:
        wrong.append("user_data is told")
    if word not in raw and number not in raw:
        wrong.append("user_data is not told with --raw")
    if "SqMask" not in quiet or "Max locked memory" not in quiet:
        wrong.append("the kernel's text is missing")
    return wrong


def lying_page(stage, ringstat):
    """A page of torc's name in which nothing is true."""
    _, truth = stage.ring("lying")
    wrong = differences(ringstat.rings().get(truth["ino"]), truth)
    for options in ([], *([view] for view in VIEWS), ["--check"],
                    ["--openmetrics"], ["--json", "0.1", "2"]):
        result = ringstat.run(*options, "-p", str(truth["pid"]))
        if result.returncode not in (0, 3, 4):
            wrong.append(f"{options}: {result.returncode} {result.stderr}")
    return wrong + json_is_valid(ringstat, "-p", str(truth["pid"]))


def long_list(stage, ringstat):
    """100,000 completions that wait: counted; the first are shown."""
    program, truth = stage.ring("overflowed", 100000)
    truth["entries"]["overflow"] = truth["entries"]["overflow"][:1024]
    begun = time.monotonic()
    ring = ringstat.rings("-e", "-p", str(truth["pid"]))[truth["ino"]]
    print(f"    100,000 overflowed completions: {time.monotonic() - begun:.2f}"
          " s")
    program.kill()
    return differences(ring, truth)


def changing(stage, ringstat):
    """Processes and rings come and go: no run fails, crashes or hangs."""
    stage.ring("changing")
    wrong = []
    validator = schema()
    seen = 0
    for _ in range(3):
        for options in (["--json"], ["--json", "-e"], ["--openmetrics"],
                        ["-x"], ["-e"], ["-o"], ["-t"], ["-m"]):
            result = ringstat.run(*options)
            if result.returncode != 0:
                wrong.append(f"{options}: {result.returncode} "
                             f"{result.stderr}")
        for sample in ringstat.json("0.05", "2"):
            seen += len(sample["rings"])
            wrong += [error.message[:200]
                      for error in validator.iter_errors(sample)]
    return wrong or (None if seen > 0 else "no ring was seen")


def statuses_of(stage, root, outsider):
    """The documented statuses, each with what leads to it."""
    def pid_of(kind, number=0):
        return str(stage.ring(kind, number)[1]["pid"])

    well, warned = pid_of("polling", 2), pid_of("unreaped", 3)
    critical = pid_of("overflowed", 1)
    none = str(stage.start(["cat"]).pid)
    return statuses([
        (0, "", root, ["-p", well]),
        (0, "", root, ["-p", well, "--check"]),
        (0, "no io_uring descriptor", root, ["-p", none]),
        (0, "", root, ["--help"]),
        (0, "", root, ["--version"]),
        (1, "unrecognized option", root, ["--surprise"]),
        (1, "not an interval", root, ["0"]),
        (1, "not an interval", root, ["nan"]),
        (1, "not a count", root, ["1", "0"]),
        (1, "too many arguments", root, ["1", "1", "1"]),
        (1, "exclude each other", root, ["--json", "--check"]),
        (1, "exclude each other", root, ["-x", "-e"]),
        (1, "not a list of processes", root, ["-p", "1,"]),
        (1, "no such user", root, ["-u", "nobody-of-this-name"]),
        (1, "needs a terminal", root, ["--watch"]),
        (2, "may not be read", outsider, []),
        (2, "may not be read", outsider, ["-p", well]),
        (2, "may not be read", outsider, ["--check"]),
        (3, "", root, ["-p", warned, "--check"]),
        (4, "", root, ["-p", critical, "--check"]),
        (4, "", root, ["-p", f"{warned},{critical}", "--check"]),
        (5, "no such process", root, ["-p", NO_PROCESS]),
        (5, "no such process", root, ["-p", f"{well},{NO_PROCESS}"]),
        (5, "no such process", root, ["--dump", NO_PROCESS]),
    ])


def claims(stage, root, outsider):
    """In the order of the man page."""
    kinds = [("overflowed", 3), ("pending", 4), ("unlisted", 2),
             ("unreaped", 2), ("polling", 3), ("sqpoll", 0)]
    pids = ",".join(str(stage.ring(kind, number)[1]["pid"])
                    for kind, number in kinds)
    server = stage.start([os.path.join(BUILD, "bin/hello"), "-r", "1", "-l",
                          f"unix:{stage.folder}/hello"],
                         stderr=subprocess.DEVNULL)
    until(lambda: os.path.exists(f"{stage.folder}/hello"), "hello listens")
    pids += f",{server.pid}"

    def claim(text, proof, *values):
        stage.claim(text, lambda: proof(*values))

    for options in ([], ["--entries"], ["--conns"], ["--ops"], ["--no-map"],
                    ["--entries", "--no-map"], ["0.2", "2"]):
        claim(f"--json {' '.join(options)} is as the schema has it",
              json_is_valid, root, *options)
    claim("the schema refuses what is wrong", schema_refuses, root)
    claim("promtool takes the metrics", metrics_are_valid, root)
    claim("the exit status is the documented one", statuses_of, stage, root,
          outsider)
    claim("--check judges once, or as often as a count says", judges_once,
          stage, root)
    claim("what cannot be written is an error", full_disk, root)
    claim("a machine without rings is well", without_rings, root)
    claim("it ends with the process that was asked for", ends_with_process,
          stage, root)
    claim("what is piped is always the same", piped, root, pids)
    claim("COLUMNS is the width that is asked for", said_columns, root, pids)
    claim("lines fit into the terminal", fits, root, pids)
    claim("NO_COLOR is honoured", colours, root, pids)
    claim("names are shown, not obeyed", hostile_names, stage, root)
    claim("a dump is discreet", dump_is_discreet, stage, root)
    claim("a page that lies does no harm", lying_page, stage, root)
    claim("a long list is counted and cut", long_list, stage, root)
    claim("what comes and goes does no harm", changing, stage, root)


def main():
    """All on one stage."""
    if os.getuid() != 0:
        print("SKIP: formats: other users and namespaces need root")
        return 0
    with Stage() as stage:
        stage.copy("tests/ringstat/ring")
        program = stage.copy("bin/ringstat")
        claims(stage, Ringstat(program), Ringstat(program, OUTSIDER))
        return stage.failed > 0


if __name__ == "__main__":
    sys.exit(main())
