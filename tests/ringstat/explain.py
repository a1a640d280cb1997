# SPDX-License-Identifier: MIT
"""explain.py - `ringstat --explain` names the cause, and no other.

Each situation is brought about: seccomp filters, limits, and the sysctl,
which is the whole machine's and is set where TORC_TEST_SYSCTL=1 allows it, or
with TORC_TEST_VM=1 in a machine of its own, on the kernel that tests/vm/vm.sh
has fetched. That a kernel has no io_uring is put in place of libc's answer.
"""

import os
import re
import shutil
import subprocess
import sys

from stage import BUILD, OUTSIDER, Ringstat, Stage, as_user, differences

STATIC = "build-static/bin/ringstat"
SYSCTL = "/proc/sys/kernel/io_uring_disabled"
REFUSED = 78
WELL = "io_uring works here.\n"
# What every cause is known by.
CAUSES = {
    "sysctl 1": "kept to one group by a sysctl|switched off by a sysctl",
    "sysctl 2": "switched off by a sysctl",
    "seccomp": "blocked by a seccomp filter",
    "docker": "blocked by Docker Desktop",
    "gvisor": "gVisor sandbox",
    "old": "kernel is too old",
    "not built": "built without io_uring",
    "module": "refused by a Linux security module",
    "platform": "not offered by this platform",
    "passed": "does not pass it on",
    "memlock": "too little memory may be locked",
    "memory": "kernel has no memory left",
    "descriptors": "this process has no descriptor left",
    "files": "whole system has no open file left",
    "sizes": "sizes of the ring were refused",
    "undocumented": "reason that Linux does not document",
}


def is_explained(text, status, cause, *values):
    """One cause with its values; the others are not mentioned."""
    wrong = differences(status, REFUSED, "status")
    found = {phrase for phrases in CAUSES.values()
             for phrase in phrases.split("|") if phrase in text}
    if len(found) != 1 or not found <= set(CAUSES[cause].split("|")):
        wrong.append(f"{cause}: {found or 'no cause'}")
    wrong += [f"without {value}" for value in values if value not in text]
    if not 1 <= len(text.splitlines()) <= 2 or ": " not in text:
        wrong.append("not one or two lines")
    return [*wrong, text] if wrong else []


def explained(command, cause, *values, **more):
    """What the command prints is that."""
    result = subprocess.run(command, capture_output=True, text=True,
                            timeout=60, check=False, **more)
    if result.stderr:
        return result.stderr
    return is_explained(result.stdout, result.returncode, cause, *values)


def is_well(command, **more):
    """The control."""
    result = subprocess.run(command, capture_output=True, text=True,
                            timeout=60, check=False, **more)
    return differences((result.returncode, result.stdout, result.stderr),
                       (0, WELL, ""))


def by_seccomp(stage, program):
    """The three errnos that profiles of containers answer with."""
    filtered = stage.copy("tests/bin/seccomp_exec")
    wrong = is_well([filtered, "allow", program, "--explain"])
    for errno in ("EPERM", "ENOSYS", "EOPNOTSUPP"):
        for command in ([program, "--explain"],
                        as_user(OUTSIDER, [program, "--explain"])):
            wrong += explained([filtered, errno, *command], "seccomp", errno,
                               "Seccomp: 2", "seccomp profile")
    return wrong


def by_memlock(program):
    """A page is less than a ring needs; what it needs is enough."""
    command = as_user(OUTSIDER, [program, "--explain"])
    # For each reactor, one a CPU: a ring of 36 KiB at least, 16 of buffers.
    one = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    return (explained(["prlimit", "--memlock=4096:4096", *command],
                      "memlock", "ENOMEM", "RLIMIT_MEMLOCK 4 KiB") +
            is_well([*one, "prlimit", "--memlock=65536:65536", *command]) +
            is_well(["prlimit", "--memlock=8388608:8388608", *command]) +
            by_the_second_reactor(command))


def by_the_second_reactor(command):
    """The second one has no room: one of two, and the others of more."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        return []
    return explained(["taskset", "-c", ",".join(map(str, cpus)), "prlimit",
                      "--memlock=65536:65536", *command], "memlock",
                     "reactor 2 of 2: ", "ENOMEM", "RLIMIT_MEMLOCK 64 KiB")


def by_descriptors(program):
    """Three are taken by the standard streams, and there is no fourth."""
    command = [program, "--explain"]
    return (explained(["prlimit", "--nofile=3:3", *command], "descriptors",
                      "EMFILE", "RLIMIT_NOFILE 3") +
            is_well(["prlimit", "--nofile=16:16", *command]))


def by_absence(stage):
    """A kernel before io_uring, and one that was built without it."""
    program = stage.copy("bin/ringstat")
    library = stage.copy("tests/ringstat/absent.so")
    env = {**os.environ, "LD_PRELOAD": library}
    command = [program, "--explain"]
    return (explained(command, "old", "4.19.0", "ENOSYS",
                      env={**env, "ABSENT_ON": "4.19.0"}) +
            explained(command, "not built", "ENOSYS", env=env) +
            is_well(command))


def charges_rings():
    """Whether rings are charged to RLIMIT_MEMLOCK: since Linux 6.14."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return tuple(map(int, release.groups())) >= (6, 14)


# ---- The sysctl ----

def under_sysctl(stage, explain):
    """`explain(value, user)` returns status and text of --explain."""
    wrong = []
    for value, user, cause in (("1", OUTSIDER, "sysctl 1"),
                               ("2", OUTSIDER, "sysctl 2"),
                               ("2", 0, "sysctl 2")):
        status, text = explain(value, user)
        found = is_explained(text, status, cause,
                             f"kernel.io_uring_disabled = {value}")
        wrong += [f"{value}, user {user}: {line}" for line in found]
    for value, user in (("0", OUTSIDER), ("0", 0), ("1", 0)):
        wrong += differences(explain(value, user), (0, WELL),
                             f"{value}, user {user}")
    return wrong


def here(program):
    """On this machine: for moments nobody else can make a ring."""
    def explain(value, user):
        try:
            with open(SYSCTL, "w", encoding="ascii") as file:
                file.write(value)
            result = Ringstat(program, user).run("--explain")
        finally:
            with open(SYSCTL, "w", encoding="ascii") as file:
                file.write("0")
        return result.returncode, result.stdout
    return explain


INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /etc
/bin/busybox mount -t proc proc /proc
echo "outsider:x:%d:%d::/:/bin/sh" >/etc/passwd
/bin/busybox dmesg -n 1
for value in 0 1 2; do
	echo $value >%s
	echo "vm: begin $value 0"
	/ringstat --explain
	echo "vm: status $?"
	echo "vm: begin $value %d"
	/bin/busybox su outsider -s /bin/sh -c "/ringstat --explain"
	echo "vm: status $?"
done
/bin/busybox poweroff -f
"""


def build_root(stage, program, busybox):
    """An archive of ringstat, a shell, and an init that runs both."""
    root = os.path.join(stage.folder, "root")
    os.makedirs(os.path.join(root, "bin"))
    shutil.copy(program, os.path.join(root, "ringstat"))
    shutil.copy(busybox, os.path.join(root, "bin/busybox"))
    os.symlink("busybox", os.path.join(root, "bin/sh"))
    init = os.path.join(root, "init")
    with open(init, "w", encoding="ascii") as file:
        file.write(INIT % (OUTSIDER, OUTSIDER, SYSCTL, OUTSIDER))
    os.chmod(init, 0o755)
    names = "\n".join(os.path.relpath(os.path.join(folder, name), root)
                      for folder, folders, files in os.walk(root)
                      for name in folders + files)
    return subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root,
                          input=names.encode(), capture_output=True,
                          check=True).stdout


def in_machine(stage, program, kernel, busybox):
    """In a virtual machine, booted once; its console says it all."""
    archive = os.path.join(stage.folder, "root.cpio")
    with open(archive, "wb") as file:
        file.write(build_root(stage, program, busybox))
    console = subprocess.run(
        ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "512",
         "-accel", "tcg", "-no-reboot", "-nodefaults", "-display", "none",
         "-monitor", "none", "-serial", "stdio", "-kernel", kernel,
         "-initrd", archive, "-append", "console=ttyS0 quiet panic=-1"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=600,
        check=True).stdout.decode().replace("\r", "")
    said = {(value, int(user)): (int(status), text)
            for value, user, text, status in re.findall(
                r"vm: begin (\d) (\d+)\n(.*?)vm: status (\d+)\n", console,
                re.S)}
    return lambda value, user: said[value, user]


def claim_sysctl(stage, program):
    """Where it may be set."""
    text = "the sysctl is named, 1 and 2"
    kernel = f"{BUILD}/vm/x86_64/vmlinuz-6.12"
    busybox = f"{BUILD}/vm/x86_64/root/bin/busybox"
    if os.environ.get("TORC_TEST_SYSCTL") == "1":
        stage.claim(text, lambda: under_sysctl(stage, here(program)))
    elif os.environ.get("TORC_TEST_VM") != "1":
        stage.skip(text, "needs TORC_TEST_SYSCTL=1 (no program on this "
                   "machine can make a ring meanwhile), or `make explain-vm`")
    elif not os.path.exists(kernel) or not os.path.exists(busybox):
        stage.skip(text, "needs the kernel that `make explain-vm` gets")
    else:
        stage.claim(text + ", in a machine of its own", lambda: under_sysctl(
            stage, in_machine(stage, program, kernel, busybox)))


def main():
    """The static program: a dynamic one needs descriptors to be loaded."""
    if os.getuid() != 0:
        print("SKIP: explain: limits of other users need root")
        return 0
    with Stage() as stage:
        program = os.path.join(stage.folder, "static")
        shutil.copy(STATIC, program)
        os.chmod(program, 0o755)
        stage.claim("all is well", lambda: is_well([program, "--explain"]))
        stage.claim("a seccomp filter is named, whatever it answers",
                    lambda: by_seccomp(stage, program))
        if charges_rings():
            stage.claim("a small RLIMIT_MEMLOCK is named",
                        lambda: by_memlock(program))
        else:
            stage.skip("a small RLIMIT_MEMLOCK is named",
                       "rings are charged to it since 6.14")
        stage.claim("descriptors that have run out are named",
                    lambda: by_descriptors(program))
        stage.claim("a kernel without io_uring is named",
                    lambda: by_absence(stage))
        claim_sysctl(stage, program)
        return stage.failed > 0


if __name__ == "__main__":
    sys.exit(main())
