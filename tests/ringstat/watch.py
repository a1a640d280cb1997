# SPDX-License-Identifier: MIT
"""watch.py - `ringstat --watch` in a real terminal: tmux, on a server of its
own, whose panes are read as text.
"""

import os
import re
import signal
import subprocess
import sys

from stage import BUILD, Stage, differences, until

SMALL, LARGE = (80, 24), (200, 50)


class Terminal:
    """One window with a shell in it."""

    def __init__(self, stage, size):
        self.socket = os.path.join(stage.folder, "tmux")
        self.size = size
        self.tmux("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]),
                  "env -i PATH=/usr/bin:/bin PS1='$ ' TERM=screen sh")
        self.tmux("set", "-g", "status", "off")
        self.tmux("resize-window", "-x", str(size[0]), "-y", str(size[1]))
        self.wait(r"\$")

    def tmux(self, *arguments):
        """A command of its own server."""
        return subprocess.run(
            ["tmux", "-S", self.socket, "-f", "/dev/null", *arguments],
            check=True, capture_output=True, text=True, timeout=60).stdout

    def close(self):
        """End the server, and all that runs in it."""
        self.tmux("kill-server")

    def type(self, *keys):
        """Press keys, by tmux' names."""
        self.tmux("send-keys", *keys)

    def run(self, command):
        """Type a line."""
        self.tmux("send-keys", "-l", command)
        self.type("Enter")

    def text(self):
        """What is seen."""
        return self.tmux("capture-pane", "-p").rstrip("\n")

    def lines(self):
        """The same, by lines."""
        return self.text().split("\n")

    def wait(self, pattern):
        """Until that is seen; all that is seen then."""
        def seen():
            text = self.text()
            return re.search(pattern, text, re.M) and text
        try:
            return until(seen, pattern)
        except RuntimeError as error:
            raise RuntimeError(f"{error}:\n{self.text()}") from error

    def resize(self, columns, rows):
        """Give the window another size."""
        self.size = columns, rows
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def state(self):
        """Other screen, cursor, and the terminal's own settings."""
        flags = self.tmux("display", "-p", "#{alternate_on} #{cursor_flag}")
        tty = self.tmux("display", "-p", "#{pane_tty}").strip()
        with open(tty, "rb") as file:
            settings = subprocess.run(["stty", "-g"], stdin=file, check=True,
                                      capture_output=True, text=True).stdout
        return flags.strip(), settings

    def child(self):
        """The process id of what the shell runs."""
        shell = self.tmux("display", "-p", "#{pane_pid}").strip()
        with open(f"/proc/{shell}/task/{shell}/children",
                  encoding="ascii") as file:
            return int(file.read().split()[0])


def looks_right(terminal, command, truths):
    """The title, the header, a line for each ring; nothing wraps."""
    terminal.run(command)
    columns, rows = terminal.size
    wrong = []
    text = terminal.wait(r"^ringstat \d\d:\d\d:\d\d +\d+ rings, \d+ process")
    text = terminal.wait(r"^ *PID COMM")
    lines = text.split("\n")
    for truth in truths:
        sq, cq = truth["sq"], truth["cq"]
        row = rf"^ *{truth['pid']} ring .* {sq['pending']}/{sq['entries']} " \
              rf"+{cq['ready']}/{cq['entries']} "
        if len(re.findall(row, text, re.M)) != 1:
            wrong.append(f"no line {row}")
    if len(lines) > rows or max(map(len, lines)) > columns:
        wrong.append("too large")
    if not re.match(r" *PID COMM", lines[1]):
        wrong.append(f"second line: {lines[1]}")
    return wrong and wrong + lines


def each_key(terminal, truths):
    """Every view, every order, the help and the pause."""
    for key, pattern in (
            ("x", r"^ *PID COMM .* POLL WRK"), ("e", r"USER_DATA"),
            ("o", r"ARMED SOCKET"), ("t", r"WORKERS"), ("m", r"NOFILE"),
            ("n", r"STAGED"), ("p", r"^ *PID COMM .*(OP|SUB)"),
            ("d", r"^ *PID COMM .* SUB/s"), ("h", r"q  quit"),
            ("h", r"^ *PID COMM"), ("S", "by SUB/s"), ("C", "by CQE/s"),
            ("P", "by pid"), ("U", "unsorted"), ("Space", "PAUSED"),
            ("Q", "by CQ fill")):
        terminal.type(key)
        terminal.wait(pattern)
    terminal.type("Space")
    full = max(truths, key=lambda truth: truth["cq"]["ready"] /
               truth["cq"]["entries"])
    terminal.wait(rf"PID COMM.*\n *{full['pid']} ")
    until(lambda: "PAUSED" not in terminal.text(), "it goes on")


def scrolls(terminal):
    """Down and up, with keys and arrows, in the longest view."""
    terminal.type("e")
    terminal.wait("USER_DATA")
    terminal.type("Space")
    terminal.wait("PAUSED")
    before = terminal.lines()
    for _ in range(3):
        terminal.type("j")
        terminal.type("Down")
    until(lambda: terminal.lines()[2:5] == before[8:11], "it scrolls")
    for _ in range(3):
        terminal.type("k")
        terminal.type("Up")
    until(lambda: terminal.lines()[2:] == before[2:], "it scrolls back")
    terminal.type("Space")
    terminal.type("d")
    terminal.wait("SUB/s")
    return None


def resizes(terminal):
    """Larger, smaller, tiny, and back; nothing of before is left."""
    wrong = []
    terminal.type("x")
    for columns, rows in (LARGE, (40, 10), (12, 3), (1, 1), (5, 2), LARGE,
                          SMALL):
        terminal.resize(columns, rows)
        if columns < 40:
            continue
        terminal.wait(r"^ringstat \d\d:")
        shown = until(lambda: fitted(terminal), "the table fits")
        if ("SOURCE" in shown) != (columns == LARGE[0]):
            wrong.append(f"at {columns}:\n{shown}")
    terminal.type("d")
    return wrong


def fitted(terminal):
    """The text, once its header suits the size, and there is no other one:
    the terminal may have drawn a part of it yet."""
    text = terminal.text()
    lines = text.split("\n")
    wide = "SOURCE" in text
    return (len(lines) > 1 and "PID" in lines[1] and
            text.count("PID COMM") == 1 and
            wide == (terminal.size[0] == LARGE[0]) and text)


def restores(terminal, command, end):
    """After its end all is as before: screen, cursor, settings, history."""
    mark = f"before-{os.urandom(4).hex()}"
    terminal.run(f"clear; echo {mark}")
    terminal.wait(f"^{mark}$")
    before = terminal.state()
    terminal.run(command + "; echo status $?")
    wrong = []
    if end is not None:
        terminal.wait(r"^ringstat \d\d:")
        wrong += differences(terminal.state()[0], "1 0", "during")
        end()
    terminal.wait(r"^status \d+$")
    text = terminal.text()
    wrong += differences(terminal.state(), before, "after")
    if not re.search(f"^{mark}$", text, re.M) or "PID COMM" in text:
        wrong.append(f"the screen is another: {text}")
    if "status 0" not in text:
        wrong.append(f"its status: {text}")
    return wrong


def stops(terminal, command):
    """^Z gives the terminal to the shell, `fg` takes it again."""
    terminal.run("clear; echo at first")
    terminal.wait("^at first$")
    before = terminal.state()
    terminal.run(command)
    terminal.wait(r"^ringstat \d\d:")
    terminal.type("C-z")
    text = terminal.wait("Stopped")
    wrong = differences(terminal.state(), before, "while it is stopped")
    if not re.search("^at first$", text, re.M) or "PID COMM" in text:
        wrong.append(f"the screen is another: {text}")
    terminal.run("fg")
    terminal.wait(r"^ringstat \d\d:")
    terminal.type("x")
    terminal.wait("POLL WRK")
    terminal.type("q")
    until(lambda: terminal.state() == before, "all is as before")
    return wrong


def newcomers(stage, terminal):
    """A ring that is made while it is watched is shown, and leaves again."""
    program, truth = stage.ring("pending", 99)
    terminal.wait(rf"^ *{truth['pid']} ring .* 99/128 ")
    program.kill()
    program.wait()
    until(lambda: not re.search(rf"^ *{truth['pid']} ring", terminal.text(),
                                re.M), "it leaves")


def claims(stage, terminal, command, truths):
    """A session."""
    pids = ",".join(str(truth["pid"]) for truth in truths)
    only = f"{command} --watch=0.2 -p {pids}"

    def signalled(number):
        return lambda: os.kill(terminal.child(), number)

    for size in (SMALL, LARGE):
        terminal.resize(*size)
        stage.claim("it looks right at %dx%d" % size, lambda: looks_right(
            terminal, only, truths))
        terminal.type("q")
        terminal.wait(r"^\$ *$")
    terminal.resize(*SMALL)
    stage.claim("a terminal without a size has 24 lines of 80 columns",
                lambda: looks_right(
                    terminal, f"clear; stty rows 0 cols 0; {only}", truths))
    terminal.type("q")
    terminal.wait(r"^\$ *$")
    terminal.run(only)
    terminal.wait(r"^ringstat \d\d:")
    stage.claim("each key does what the help says", lambda: each_key(
        terminal, truths))
    stage.claim("it scrolls", lambda: scrolls(terminal))
    stage.claim("it is resized", lambda: resizes(terminal))
    terminal.type("q")
    terminal.wait(r"\$ *$")
    terminal.run(f"clear; {command} --watch=0.2 -c ring")
    stage.claim("what is made meanwhile is shown", lambda: newcomers(
        stage, terminal))
    terminal.type("q")
    terminal.wait(r"\$ *$")
    for name, end in (("q", lambda: terminal.type("q")),
                      ("the keys of SIGINT", lambda: terminal.type("C-c")),
                      ("SIGINT", signalled(signal.SIGINT)),
                      ("SIGTERM", signalled(signal.SIGTERM))):
        stage.claim(f"{name} gives the terminal back",
                    lambda end=end: restores(terminal, only, end))
    stage.claim("^Z gives it to the shell, and fg takes it again",
                lambda: stops(terminal, only))
    stage.claim("it ends after COUNT samples", lambda: restores(
        terminal, f"{only} 0.1 3", None))


def show(stage, command):
    """For the manual: a server under load and others, as they are seen."""
    port = "17470"
    pids = [stage.start(
        [os.path.join(BUILD, "bin/hello"), "-r", "2", "-l",
         f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL).pid]
    until(lambda: subprocess.run(
        [os.path.join(BUILD, "bench/load"), "-p", port, "-d", "1"],
        capture_output=True, check=False).returncode == 0, "it serves")
    stage.start([os.path.join(BUILD, "bench/load"), "-p", port, "-c", "64",
                 "-d", "60"])
    for name, kind, number in ((b"ingest", "overflowed", 272),
                               (b"batcher", "pending", 37),
                               (b"poller", "sqpoll", 0),
                               (b"proxy", "polling", 9)):
        pids.append(stage.ring(kind, number, name=name)[1]["pid"])
    shown = ",".join(map(str, pids))
    for size, options in ((SMALL, ""), (LARGE, " -x")):
        terminal = Terminal(stage, size)
        terminal.run(f"{command} --watch=1{options} -p {shown}")
        terminal.wait(r"hello .* [1-9]\d+ +[1-9]\d+ ")
        terminal.type("Q")
        terminal.wait("by CQ fill")
        print(terminal.text())
        terminal.close()


def main():
    """With `show`: print the screens instead of judging them."""
    with Stage() as stage:
        stage.copy("tests/ringstat/ring")
        command = stage.copy("bin/ringstat")
        if sys.argv[1:] == ["show"]:
            show(stage, command)
            return 0
        truths = [stage.ring(*kind)[1] for kind in (
            ("unreaped", 500), ("overflowed", 40), ("pending", 37),
            ("sqpoll", 0), ("polling", 3))]
        terminal = Terminal(stage, SMALL)
        try:
            claims(stage, terminal, command, truths)
        finally:
            terminal.close()
        return stage.failed > 0


if __name__ == "__main__":
    sys.exit(main())
