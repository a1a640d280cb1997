# SPDX-License-Identifier: MIT
"""truth.py - what ringstat shows is what the programs know of themselves.

Everything runs at the same time: a torc server under load, an SQPOLL ring,
liburing programs whose completions nobody reaps, whose queue has overflowed,
whose SQEs are pending; fio; a ring of another user.
"""

import json
import os
import re
import socket
import subprocess
import sys

from stage import (BUILD, NOBODY, OUTSIDER, Ringstat, Stage,
                   differences, until)

LOAD_CONNECTIONS = 16
PARTIAL = b"GET / HTT"  # a request that does not end


def fdinfo(pid, descriptor):
    """The kernel's own words about a ring that does not move."""
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
        return dict(re.findall(r"^(\w+):\s+(-?\w+)$", file.read(), re.M))


class Server:
    """tools/examples/hello, its load, and clients that are known."""

    def __init__(self, stage):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.program = stage.start(
            [os.path.join(BUILD, "bin/hello"), "-r", "2", "-l",
             f"127.0.0.1:{self.port}"], stderr=subprocess.DEVNULL)
        until(self.answers, "hello does not listen")
        self.load = stage.start(
            [os.path.join(BUILD, "bench/load"), "-p", str(self.port), "-c",
             str(LOAD_CONNECTIONS), "-d", "600"])
        self.clients = []
        for i in range(5):
            client = socket.create_connection(("127.0.0.1", self.port))
            client.sendall(PARTIAL[:5 + i])
            self.clients.append(client)
        self.pid = self.program.pid

    def answers(self):
        """Whether it listens; the connection is closed at once."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def names(self):
        """Bytes held, by peer."""
        return {"%s:%d" % client.getsockname(): 5 + i
                for i, client in enumerate(self.clients)}


class Cast:
    """All who are on the stage at once."""

    def __init__(self, stage):
        self.truths = {}
        self.programs = {}
        kinds = [("unreaped", 3000), ("dear", 5000), ("overflowed", 333), ("pending", 37),
                 ("unlisted", 5), ("sqpoll", 0), ("polling", 4),
                 ("working", 3), ("shared", 0)]
        for kind, number in kinds:
            self.programs[kind], self.truths[kind] = stage.ring(
                "unreaped" if kind == "dear" else kind, number)
        self.programs["other"], self.truths["other"] = stage.ring(
            "unreaped", 9, user=NOBODY)
        self.server = Server(stage)
        self.fio = stage.start(
            ["fio", "--name=reader", "--ioengine=io_uring", "--rw=randread",
             "--bs=4k", "--size=4m", "--iodepth=8", "--time_based",
             "--runtime=600", "--thread", "--rate_iops=500", "--output-format"
             "=json", f"--directory={stage.folder}"],
            stderr=subprocess.DEVNULL)

    def own_pids(self):
        """Of root's programs."""
        return {truth["pid"] for kind, truth in self.truths.items()
                if kind != "other"} | {self.server.pid, self.fio.pid}


def expected_of(kind, truth, options):
    """What of the truth can be known by these options."""
    expected = json.loads(json.dumps(truth))
    if "--entries" not in options:
        expected.pop("entries", None)
    if "sq" in truth and "--no-map" in options:
        expected["sq"]["dropped"] = expected["cq"]["overflow"] = None
        expected["sq"]["flags"] = None
        if kind == "unlisted":
            expected["hidden"] = ["sqes"]
            if "entries" in expected:
                expected["entries"]["sqes"] = None
    elif kind == "dear":
        expected["cq"]["overflow_listed"] = None
        if "entries" in expected:
            expected["entries"]["overflow"] = None
    return expected


def compare_json(cast, ringstat, *options):
    """Each ring is there, with each figure that its program has told."""
    rings = ringstat.rings(*options)
    return [text for kind, truth in cast.truths.items() for text in
            differences(rings.get(truth["ino"]),
                        expected_of(kind, truth, options), kind)]


def flags_are_right(cast, ringstat):
    """What of the flags' word is known."""
    rings = ringstat.rings()
    expected = {"unreaped": [], "overflowed": ["CQ_OVERFLOW"], "pending": [],
                "sqpoll": ["NEED_WAKEUP"], "polling": []}
    return [text for kind, flags in expected.items() for text in differences(
        rings[cast.truths[kind]["ino"]]["sq"]["flags"], flags, kind)]


def compare_table(cast, ringstat, *options):
    """The table says the same as the programs."""
    rows = {row["RING"]: row for row in ringstat.table(*options)}
    wrong = []
    for kind, truth in cast.truths.items():
        row = rows.get(str(truth["ino"]), {})
        expected = {"PID": str(truth["pid"]), "COMM": "ring",
                    "FD": str(truth["fds"][0])}
        if "sq" in truth:
            sq, cq = truth["sq"], truth["cq"]
            expected["SQ"] = f"{sq['pending']}/{sq['entries']}"
            expected["CQ"] = f"{cq['ready']}/{cq['entries']}"
        if kind == "overflowed":
            expected["OVF"] = "333" if options else "yes"
        else:
            expected["OVF"] = "0"
        wrong += differences(row, expected, kind)
    return wrong


def extended(cast, ringstat):
    """-x: polls, workers, files, buffers, sharers, the SQPOLL thread."""
    pid = cast.truths["working"]["pid"]
    until(lambda: len(threads_of(pid, "iou-wrk-")) >= 3, "three workers")
    rows = {row["RING"]: row for row in ringstat.table("-x")}
    workers = threads_of(pid, "iou-wrk-")
    expected = {
        "polling": {"POLL": "6", "FILES": "2", "BUFS": "3", "WRK": "0"},
        "working": {"POLL": "0", "WRK": str(len(workers))},
        "shared": {"SHARE": "1"},
        "overflowed": {"LOST": "0", "DROP": "0", "NAPI": "off"},
        "sqpoll": {"SQT": str(sqpoll_thread(cast))},
    }
    return [text for kind, row in expected.items() for text in
            differences(rows[str(cast.truths[kind]["ino"])], row, kind)]


def threads_of(pid, prefix):
    """Threads of that name, as the kernel lists them."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as file:
            if file.read().startswith(prefix):
                found.append(int(tid))
    return found


def sqpoll_thread(cast):
    """The thread of the SQPOLL ring."""
    return threads_of(cast.truths["sqpoll"]["pid"], "iou-sqp-")[0]


def sqpoll(cast, ringstat):
    """The thread in JSON, and how much it worked."""
    truth = cast.truths["sqpoll"]
    info = fdinfo(truth["pid"], truth["fds"][0])
    return differences(ringstat.rings()[truth["ino"]]["sqthread"], {
        "pid": sqpoll_thread(cast), "total_us": int(info["SqTotalTime"]),
        "work_us": int(info["SqWorkTime"])})


def entries_table(cast, ringstat):
    """-e: each SQE and CQE with its user_data, result and queue."""
    rows = ringstat.table("-e")
    wrong = []
    for kind, truth in cast.truths.items():
        for queue, name in (("sqes", "SQ"), ("cqes", "CQ"),
                            ("overflow", "OVF")):
            shown = [row for row in rows if row["Q"] == name and
                     row["RING"] == str(truth["ino"])]
            expected = [
                {"USER_DATA": entry["user_data"],
                 "RES": str(entry.get("res", "-")),
                 "OP": entry.get("opcode", "-"),
                 "FD": str(entry.get("fd", "-"))}
                for entry in truth.get("entries", {}).get(queue, [])]
            wrong += differences(shown, expected, f"{kind} {queue}")
    return wrong


def polls_table(cast, ringstat):
    """-o: by operation."""
    truth = cast.truths["polling"]
    rows = {row["OP"]: row["ARMED"] for row in
            ringstat.table("-o", "-p", str(truth["pid"]))}
    return differences(rows, {"POLL_ADD": "4", "RECV": "2"})


def threads_table(cast, ringstat):
    """-t: as many as the kernel lists."""
    rows = {row["PID"]: row for row in ringstat.table("-t")}
    working = cast.truths["working"]["pid"]
    return (differences(rows[str(working)], {
        "RINGS": "1", "WORKERS": str(len(threads_of(working, "iou-wrk-"))),
        "SQPOLL": "0"}) +
            differences(rows[str(cast.truths["sqpoll"]["pid"])], {
                "RINGS": "1", "WORKERS": "0"}))


def memory_table(cast, ringstat):
    """-m: descriptors, and what the queues take, by the kernel's sizes."""
    truth = cast.truths["unreaped"]
    pid = truth["pid"]
    row = {row["PID"]: row for row in ringstat.table("-m", "-n")}[str(pid)]
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        limits = file.read()
    nofile = re.search(r"Max open files\s+(\w+)", limits).group(1)
    queues = -(-(64 + truth["cq"]["entries"] * 16 + truth["sq"]["entries"] *
                 4) // 4096) + truth["sq"]["entries"] * 64 // 4096
    return differences(row, {
        "USER": "0", "RINGS": "1", "MEMORY": f"{queues * 4}K", "VMLCK": "0B",
        "FDS": str(len(os.listdir(f"/proc/{pid}/fd"))), "NOFILE": nofile})


def metric(text, name, ino):
    """The value of a ring's series, or None."""
    found = re.search(rf'^{name}{{[^}}]*ring="{ino}"[^}}]*}} (\S+)$', text,
                      re.M)
    return found and float(found.group(1))


def openmetrics(cast, ringstat):
    """The same figures once more."""
    text = ringstat.run("--openmetrics").stdout
    wrong = []
    for kind, truth in cast.truths.items():
        if "sq" not in truth:
            continue
        sq, cq = truth["sq"], truth["cq"]
        for name, value in (
                ("io_uring_sq_entries", sq["entries"]),
                ("io_uring_sq_pending", sq["pending"]),
                ("io_uring_cq_entries", cq["entries"]),
                ("io_uring_cq_ready", cq["ready"]),
                ("io_uring_submissions_total", sq["head"]),
                ("io_uring_completions_total", cq["tail"])):
            shown = metric(text, name, truth["ino"])
            if shown != value:
                wrong.append(f"{kind} {name}: {shown}, not {value}")
    return wrong


def rates(stage, cast, ringstat):
    """5,000 NOPs between two samples are 5,000, however long they take."""
    program, truth = cast.programs["polling"], cast.truths["polling"]
    sampler = stage.start([*ringstat.command, "--json", "-p",
                           str(truth["pid"]), "0.2"])
    shown = {"submissions": 0.0, "completions": 0.0}
    rounding = 1.0  # intervals are told in milliseconds
    after = None
    stage.ask(sampler)
    program.stdin.write("go 5000\n")
    program.stdin.flush()
    for _ in range(600):
        sample = json.loads(stage.ask(sampler))
        for name, total in shown.items():
            rate = sample["rings"][0]["rates"][name]
            shown[name] = total + rate * sample["interval"]
            rounding += rate * 0.0005
        if after is None and sample["rings"][0]["sq"]["head"] >= 5006:
            after = stage.ask(program)
            continue
        if after is not None:
            break
    sampler.kill()
    truth["sq"]["head"] += 5000
    truth["sq"]["tail"] += 5000
    for name in ("head", "tail"):
        truth["cq"][name] += 5000
    return [f"{name}: {total}" for name, total in shown.items()
            if abs(total - 5000) > rounding]


def torc_conns(cast, ringstat):
    """--conns: each known client by its address, with what is held of it."""
    server = cast.server
    count = LOAD_CONNECTIONS + len(server.clients)

    def are_all_there():
        conns = [ring["torc"]["conns"] for ring in
                 ringstat.json("-p", str(server.pid))[0]["rings"]]
        return (sum(each["open"] for each in conns) == count and
                sum(each["held_bytes"] for each in conns) >=
                sum(server.names().values()))
    until(are_all_there, "all are accepted, and their bytes received")
    rows = ringstat.table("--conns", "-p", str(server.pid))
    held = {row["PEER"]: (row["HELD"], row["STATE"]) for row in rows}
    wrong = [text for peer, size in server.names().items() for text in
             differences(held.get(peer), (f"{size}B", "reading"), peer)]
    if len(rows) != count:
        wrong.append(f"{len(rows)} connections")
    return wrong


def torc_page(cast, ringstat):
    """The page of each reactor: connections in all, counters that move."""
    rings = ringstat.json("-p", str(cast.server.pid), "0.5", "2")
    first, second = (sample["rings"] for sample in rings)
    wrong = []
    count = sum(ring["torc"]["conns"]["open"] for ring in second)
    if len(second) != 2 or count != LOAD_CONNECTIONS + 5:
        wrong.append(f"{count} connections of {len(second)} rings")
    for name in ("turns", "enters", "sqes", "cqes"):
        moved = (sum(ring["torc"]["counters"][name] for ring in second) -
                 sum(ring["torc"]["counters"][name] for ring in first))
        if moved <= 0:
            wrong.append(f"{name}: {moved}")
    for ring in second:
        if "page" not in ring["sources"] or "map" not in ring["sources"]:
            wrong.append(str(ring["sources"]))
        with open(f"/proc/{cast.server.pid}/task/{ring['torc']['tid']}/comm",
                  encoding="ascii"):
            pass
    return wrong


def torc_accepts(cast, ringstat):
    """Three more clients are three more accepts."""
    def totals():
        rings = ringstat.json("-p", str(cast.server.pid))[0]["rings"]
        return (sum(ring["torc"]["counters"]["accepts"] for ring in rings),
                sum(ring["torc"]["conns"]["open"] for ring in rings))
    accepts, opened = totals()
    more = [socket.create_connection(("127.0.0.1", cast.server.port))
            for _ in range(3)]
    until(lambda: totals()[1] >= opened + 3, "three more are open")
    wrong = differences(totals(), (accepts + 3, opened + 3))
    for client in more:
        client.close()
    until(lambda: totals()[1] == opened, "they are closed")
    return wrong


def child_of(program):
    """The process that a program has started, by our number."""
    path = f"/proc/{program.pid}/task/{program.pid}/children"
    with open(path, encoding="ascii") as file:
        return file.read().split()[0]


def stalled(stage, ringstat, *around):
    """A handler that blocks: the reactor is named, and its connection."""
    address = f"{stage.folder}/shop{len(around)}"
    server = stage.start([*around, os.path.join(BUILD, "tests/ringstat/stall"),
                          f"unix:{address}"])
    until(lambda: os.path.exists(address), "it listens")
    pid = child_of(server) if around else str(server.pid)
    quiet = ringstat.run("--check", "-p", pid)
    with socket.socket(socket.AF_UNIX) as other, \
            socket.socket(socket.AF_UNIX) as client:
        other.connect(address)
        until(lambda: len(ringstat.table("--conns", "-p", pid)) == 1, "one")
        client.connect(address)
        client.sendall(b"a word")
        until(lambda: ringstat.run("--check", "-p", pid).returncode == 4,
              "it stalls")
        check = ringstat.run("--check", "-p", pid).stdout
        rows = ringstat.table("--conns", "-p", pid)
    wrong = differences((quiet.returncode, quiet.stdout), (0, "OK: 1 rings\n"))
    if not re.search(rf"(?m)^CRITICAL stall pid {pid} \(shop\) ring \d+: reactor "
                     r"0 has been in one turn for \d+\.\d s: a handler does "
                     r"not return to the loop$", check):
        wrong.append(check)
    if sorted(row["STATE"] for row in rows) != ["reading", "running"]:
        wrong.append(str(rows))
    return wrong


def fio_ring(cast, ringstat):
    """fio while it is stopped: as the kernel's own text has it."""
    def found():
        rings = ringstat.json("-p", str(cast.fio.pid))[0]["rings"]
        return rings and rings[0]["sq"]["head"] and rings
    until(found, "fio has no ring")
    os.kill(cast.fio.pid, 19)
    try:
        ring = until(lambda: settled(cast.fio.pid, ringstat), "it settles")
        info = fdinfo(cast.fio.pid, ring["fds"][0])
        return differences(ring, {
            "comm": "fio",
            "sq": {"entries": int(info["SqMask"], 16) + 1,
                   "head": int(info["SqHead"]), "tail": int(info["SqTail"])},
            "cq": {"entries": int(info["CqMask"], 16) + 1,
                   "head": int(info["CqHead"]), "tail": int(info["CqTail"])},
        }) + differences(ring["sq"]["entries"], 8, "iodepth")
    finally:
        os.kill(cast.fio.pid, 18)


def settled(pid, ringstat):
    """fio's ring, once what was in flight has completed."""
    samples = ringstat.json("-p", str(pid), "0.2", "1")
    ring = samples[0]["rings"][0]
    return ring["rates"]["completions"] == 0 and ring


def fio_total(cast, ringstat):
    """What fio says it did is what the ring has counted."""
    ring = ringstat.json("-p", str(cast.fio.pid))[0]["rings"][0]
    seen = ring["cq"]["tail"]
    cast.fio.send_signal(2)
    report = cast.fio.communicate(timeout=60)[0]
    total = json.loads(report[report.index("{"):])["jobs"][0]["read"][
        "total_ios"]
    return [] if 0 < seen <= total else f"{seen} of {total}"


def unmappable(cast, ringstat):
    """Where pidfd_getfd(2) is refused, as Yama does: fdinfo, none denied."""
    pids = ",".join(str(truth["pid"]) for truth in cast.truths.values())
    result = subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "-e", "trace=pidfd_getfd", "-e",
         "inject=pidfd_getfd:error=EPERM", *ringstat.command, "--json", "-p",
         pids], capture_output=True, text=True, timeout=60, check=False)
    sample = json.loads(result.stdout)
    wrong = differences((result.returncode, sample["denied"]), (0, 0))
    rings = {ring["ino"]: ring for ring in sample["rings"]}
    for kind, truth in cast.truths.items():
        expected = expected_of(kind, truth, ["--no-map"])
        expected["sources"] = ["fdinfo"]
        wrong += differences(rings.get(truth["ino"]), expected, kind)
    return wrong


def nobody_sees_his(cast, ringstat):
    """An unprivileged user sees his own; the others are counted."""
    result = ringstat.run("--json")
    sample = json.loads(result.stdout)
    wrong = differences(result.returncode, 0, "status")
    wrong += differences([ring["ino"] for ring in sample["rings"] if
                          ring["pid"] == cast.truths["other"]["pid"]],
                         [cast.truths["other"]["ino"]], "his")
    pids = {ring["pid"] for ring in sample["rings"]}
    if pids & cast.own_pids():
        wrong.append(f"root's: {pids & cast.own_pids()}")
    if sample["denied"] < len(cast.own_pids()):
        wrong.append(f"denied: {sample['denied']}")
    ring = next(ring for ring in sample["rings"] if ring["ino"] ==
                cast.truths["other"]["ino"])
    truth = dict(cast.truths["other"])
    truth.pop("entries")
    return wrong + differences(ring, truth, "his ring")


def outsider_sees_nothing(ringstat):
    """One who has no ring is told why there is nothing."""
    result = ringstat.run()
    if result.returncode != 2 or "may not be read" not in result.stderr:
        return f"{result.returncode}: {result.stdout}{result.stderr}"
    return None


def check_finds(cast, ringstat):
    """--check: a finding for each that is wrong, and none for the others."""
    result = ringstat.run("--check")
    found = set(re.findall(r"^(\w+) ([\w-]+) pid (\d+) ", result.stdout,
                           re.M))
    pid = {kind: str(truth["pid"]) for kind, truth in cast.truths.items()}
    expected = {
        ("WARNING", "cq-unreaped", pid["unreaped"]),
        ("WARNING", "cq-unreaped", pid["dear"]),
        ("WARNING", "cq-unreaped", pid["other"]),
        ("CRITICAL", "cq-overflow", pid["overflowed"]),
        ("CRITICAL", "cq-unreaped", pid["overflowed"]),
        ("WARNING", "sq-stuck", pid["pending"]),
        ("WARNING", "sq-stuck", pid["unlisted"]),
    }
    ours = {entry for entry in found if entry[2] in pid.values()}
    return ([f"missing: {entry}" for entry in expected - ours] +
            [f"too much: {entry}" for entry in ours - expected] +
            differences(result.returncode, 4, "status"))


def claims(stage, cast, root, nobody, outsider):
    """In an order in which none disturbs the next."""
    def claim(text, proof, *values):
        stage.claim(text, lambda: proof(cast, *values))

    claim("JSON has what the programs know", compare_json, root)
    claim("with --entries, too", compare_json, root, "--entries")
    claim("from fdinfo alone it is the same", compare_json, root, "--no-map")
    claim("and with --entries", compare_json, root, "--entries", "--no-map")
    claim("what may not be mapped is read, and is not denied", unmappable,
          root)
    claim("flags are those of the moment", flags_are_right, root)
    claim("the table has the same figures", compare_table, root)
    claim("so has the extended one", compare_table, root, "-x")
    claim("-x counts polls, workers, files, buffers, sharers", extended, root)
    claim("the SQPOLL thread is named", sqpoll, root)
    claim("-e shows each entry", entries_table, root)
    claim("-o counts by operation", polls_table, root)
    claim("-t counts threads", threads_table, root)
    claim("-m has sizes and limits", memory_table, root)
    claim("OpenMetrics has the same figures", openmetrics, root)
    claim("--conns names each peer and what is held", torc_conns, root)
    claim("the page of a server under load is read", torc_page, root)
    claim("three more clients are counted", torc_accepts, root)
    stage.claim("a stalled reactor is found, and its connection",
                lambda: stalled(stage, root))
    container = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*container, "true"], check=False).returncode == 0:
        stage.claim("so it is from outside of its container",
                    lambda: stalled(stage, root, *container))
    else:
        stage.skip("a stall in a container", "no PID namespace may be made")
    claim("--check finds what is wrong, and only that", check_finds, root)
    claim("a user sees his own rings, and no others'", nobody_sees_his,
          nobody)
    stage.claim("who may see nothing is told so",
                lambda: outsider_sees_nothing(outsider))
    claim("fio's ring is as the kernel has it", fio_ring, root)
    claim("and has counted what fio did", fio_total, root)
    stage.claim("rates add up to what was done",
                lambda: rates(stage, cast, root))


def main():
    """Bring all on the stage, and compare."""
    if os.getuid() != 0:
        print("SKIP: truth: a ring of another user needs root")
        return 0
    with Stage() as stage:
        stage.copy("tests/ringstat/ring")
        program = stage.copy("bin/ringstat")
        cast = Cast(stage)
        claims(stage, cast, Ringstat(program), Ringstat(program, NOBODY),
               Ringstat(program, OUTSIDER))
        return stage.failed > 0


if __name__ == "__main__":
    sys.exit(main())
