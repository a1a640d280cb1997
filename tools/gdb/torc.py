# SPDX-License-Identifier: MIT
"""torc.py - commands of gdb that look at a program that uses torc.

    torc reactors     each reactor: its thread, its ring, what it does
    torc fibers       each fiber: what it waits for, and where
    torc bt R.N       the backtrace of a fiber, also of one that is parked
    torc conn [R.N]   one connection, or a line for each

R is the number of a reactor, N that of a fiber or a connection in its table;
with one reactor, N alone will do. They work on a live process and on a core
file, and only read memory. They need the debug information of libtorc (-g).

    gdb -p PID -x torc.py -ex 'torc fibers'
"""

import os
import re
import struct
import time

import gdb
import gdb.unwinder

# The structures that are read, and their fields.
NEEDS = {
    "torc_node": "next",
    "torc_list": "ends",
    "torc_slot": "next",
    "torc_slots": "base stride touched",
    "torc_ring": "fd setup_flags",
    "torc_stats_page_file": "page",
    "torc_stats_page": "tid counter gauge",
    "torc_counters": "turns",
    "torc_gauges": "sleeping turn_began",
    "torc_timers": "count",
    "torc_reactor": "ring current now due fibers ops layer_state "
                    "stats_page kin index phase spin_credit sleeps_beside "
                    "timers drain_waiters",
    "torc_fiber": "sp reactor deadline state interruptible cancelled daemon "
                  "entry arg slot stack",
    "torc_fiber_slot": "slot fiber joiner result",
    "torc_op_slot": "op",
    "torc_op": "sqe cancelling",
    "io_uring_sqe": "opcode fd",
    "torc_net": "conns listeners",
    "torc_listener": "port",
    "torc_piece": "next",
    "torc_conn": "fd armed polling poll_input slowed starved eof failed error "
                 "view_size held first staged_size sent_size slabbed "
                 "slab_start slab_end loud aborting send_failed send_error "
                 "shut loud_size reader writer owner handler listener port since "
                 "dormant doomed lingers evicted watcher",
    "torc_waiters": "first",
    "torc_waiter": "next queue",
    "torc_choice": "kind object number",
    "torc_chooser": "choices count",
    "torc_channel": "reactor count capacity item_size senders receivers",
    "torc_group": "alive",
    "torc_pool": "waiting counts config kind",
    "torc_pool_kind": "name",
    "torc_pool_config": "size",
}
# Not every program has linked these in.
OPTIONAL = ("torc_net", "torc_listener", "torc_piece", "torc_conn",
            "torc_choice", "torc_chooser", "torc_channel", "torc_group",
            "torc_pool", "torc_pool_kind", "torc_pool_config")
OUTERMOST = ("run_entry", "run_handler", "switch_entry")
ROOMS = re.compile(r"(sys|ring|reactor|conn)/")
TAKEN = 0xffffffff		# the `next` of a slot that is in use
NEVER = 0xffffffffffffffff
PHASES = {0: "created", 16: "running", 32: "draining", 48: "stopping",
          64: "ended"}
STATES = ("ready", "running", "parked", "ended")
# Bits of io_uring_setup(2).
ENGINE = {0x1: "IOPOLL", 0x2: "SQPOLL", 0x80: "SUBMIT_ALL",
          0x100: "COOP_TASKRUN", 0x200: "TASKRUN_FLAG", 0x1000: "SINGLE_ISSUER",
          0x2000: "DEFER_TASKRUN", 0x10000: "NO_SQARRAY"}
OPCODES = (
    "NOP READV WRITEV FSYNC READ_FIXED WRITE_FIXED POLL_ADD POLL_REMOVE "
    "SYNC_FILE_RANGE SENDMSG RECVMSG TIMEOUT TIMEOUT_REMOVE ACCEPT "
    "ASYNC_CANCEL LINK_TIMEOUT CONNECT FALLOCATE OPENAT CLOSE FILES_UPDATE "
    "STATX READ WRITE FADVISE MADVISE SEND RECV OPENAT2 EPOLL_CTL SPLICE "
    "PROVIDE_BUFFERS REMOVE_BUFFERS TEE SHUTDOWN RENAMEAT UNLINKAT MKDIRAT "
    "SYMLINKAT LINKAT MSG_RING FSETXATTR SETXATTR FGETXATTR GETXATTR SOCKET "
    "URING_CMD SEND_ZC SENDMSG_ZC").split()


# ---- What there is ----

def look_up(name):
    """The type of a structure, or None."""
    try:
        found = gdb.lookup_type("struct " + name)
        return found if found.fields() else None
    except gdb.error:
        return None


def require_torc():
    """What is needed to go on is there, or one sentence says what is not."""
    if gdb.selected_inferior().pid == 0:
        raise gdb.GdbError("torc: there is no process: attach to one, run the "
                           "program, or open a core file")
    if look_up("torc_reactor") is None:
        raise gdb.GdbError(
            "torc: no debug information of libtorc here (struct torc_reactor "
            "is unknown): build libtorc with -g, or install its debug symbols")
    for name, fields in NEEDS.items():
        found = look_up(name)
        if found is None and name in OPTIONAL:
            continue
        known = set(f.name for f in found.fields()) if found else set()
        for group in found.fields() if found else ():
            if group.name is None:
                known |= inner_names(group.type)
        for field in fields.split():
            if field not in known:
                raise gdb.GdbError(
                    "torc: this torc.py is not of this libtorc: struct %s has "
                    "no field %s" % (name, field))


def inner_names(of):
    """The names that an unnamed structure or union adds."""
    names = set()
    for field in of.fields():
        names |= {field.name} if field.name else inner_names(field.type)
    return names


def pointer(name, address):
    """A structure, by its address."""
    return gdb.Value(address).cast(look_up(name).pointer()).dereference()


def read(address, size):
    """Bytes of the program."""
    return bytes(gdb.selected_inferior().read_memory(address, size))


def is_live():
    """It is a process of this machine, and no core file."""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    return connection is not None and connection.type == "native"


def symbol(value):
    """The name of what a pointer points to, or its number."""
    found = re.match(r"(\S+) in section", gdb.execute(
        "info symbol %d" % int(value), to_string=True))
    return found.group(1) if found else "0x%x" % int(value)


def rows(slots, name):
    """(index, structure) of all that a table has."""
    stride = int(slots["stride"])
    touched = int(slots["touched"])
    base = int(slots["base"])
    if touched == 0:
        return
    table = read(base, stride * touched)
    for index in range(touched):
        if struct.unpack_from("=II", table, index * stride)[1] == TAKEN:
            yield index, pointer(name, base + index * stride)


def reactors():
    """[(number, reactor)] of the process."""
    heads = [s.value() for s in gdb.lookup_static_symbols("process")
             if s.type.code == gdb.TYPE_CODE_STRUCT and
             {"reactors", "forks"} <= set(f.name for f in s.type.fields())]
    found = []
    if not heads:
        raise gdb.GdbError("torc: no debug information of libtorc's list of "
                           "reactors (reactor/process.c)")
    offset = [f.bitpos // 8 for f in look_up("torc_reactor").fields()
              if f.name == "kin"][0]
    for head in heads:
        ends = head["reactors"]["ends"]
        node = ends["next"]
        while int(node) not in (0, int(ends.address)):
            found.append(pointer("torc_reactor", int(node) - offset))
            node = node["next"]
    if len(set(int(r["index"]) for r in found)) == len(found):
        return sorted((int(r["index"]), r) for r in found)
    return list(enumerate(found))


def thread_of(reactor):
    """The thread that a reactor runs on, or None."""
    tid = int(reactor["stats_page"]["page"]["tid"])
    pid = gdb.selected_inferior().pid
    for thread in gdb.selected_inferior().threads():
        if tid in (thread.ptid[1], inner_tid(pid, thread.ptid[1])):
            return thread
    return None


def inner_tid(pid, tid):
    """The number that a thread has in a container of its own."""
    try:
        with open("/proc/%d/task/%d/status" % (pid, tid)) as file:
            return int(re.search(r"NSpid:.*\s(\d+)\n", file.read()).group(1))
    except (OSError, AttributeError):
        return -1


def now(reactor):
    """The time of a live process; of a core file, that of the last turn."""
    if is_live():
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return max(int(r["now"]) for _, r in reactors())


def seconds(ns):
    """A span of time, in words."""
    return "%.3f s" % (ns / 1e9)


# ---- Frames of fibers that do not run ----

# Where torc_switch() has left the registers: offsets from the saved stack
# pointer, and how far it is from there to the stack pointer of the caller.
MACHINES = {
    "x86_64": ("rsp", "rip", 56, {"r15": 0, "r14": 8, "r13": 16, "r12": 24,
                                  "rbx": 32, "rbp": 40, "rip": 48}),
    "aarch64": ("sp", "pc", 160, dict(
        {"pc": 8, "x29": 0, "x30": 8},
        **{"x%d" % n: 8 * (n - 17) for n in range(19, 29)})),
}


def machine():
    """What is known of the machine that the program is of."""
    name = gdb.selected_inferior().architecture().name()
    for known, about in MACHINES.items():
        if known.replace("_", "-") in name or known in name:
            return about
    raise gdb.GdbError("torc: cannot read the registers of a fiber on " + name)


class FrameId:
    """Names a frame."""

    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Parked(gdb.unwinder.Unwinder):
    """While it is on, the selected thread was called by a fiber.

    So the frames of the fiber are behind the thread's newest one, and all that
    gdb knows to do with frames works with them, also in a core file, whose
    registers cannot be set.
    """

    def __init__(self):
        super().__init__("torc")
        self.fiber = None
        self.at = None

    def __call__(self, pending):
        if self.fiber is None:
            return None
        sp, pc, size, places = machine()
        if self.at != (int(pending.read_register(sp)),
                       int(pending.read_register(pc))):
            return None
        saved = int(self.fiber["sp"])
        word = gdb.lookup_type("unsigned long")
        # Below all frames of the fiber, as a frame that they called is.
        info = pending.create_unwind_info(FrameId(
            gdb.Value(saved - 16).cast(word), pending.read_register(pc)))
        for name, offset in places.items():
            info.add_saved_register(name, gdb.Value(
                struct.unpack("=Q", read(saved + offset, 8))[0]).cast(word))
        info.add_saved_register(sp, gdb.Value(saved + size).cast(word))
        return info

    def begin(self, fiber):
        """Returns the newest frame of a fiber, and how many are before it."""
        sp, pc, _, _ = machine()
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        self.at = (int(frame.read_register(sp)), int(frame.read_register(pc)))
        self.fiber = fiber
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        before = 0
        while frame is not None and self.at == (
                int(frame.read_register(sp)), int(frame.read_register(pc))):
            frame = frame.older()
            before += 1
        low, high = int(fiber["stack"]), int(fiber.address)
        if frame is None or not low <= int(frame.read_register(sp)) <= high:
            frame = None
        return frame, before

    def end(self):
        """The thread is by itself again."""
        self.fiber = None
        gdb.invalidate_cached_frames()


PARKED = Parked()
gdb.unwinder.register_unwinder(None, PARKED, replace=True)


def home():
    """The folder that libtorc was compiled from, as debug information says:
    mostly none, since it was compiled in its own.
    """
    found = gdb.lookup_global_symbol("torc_fiber_bury")
    name = file_of(found) if found else ""
    file = "reactor/fiber.c"
    return name[:-len(file)] if name.endswith(file) else "/"


def file_of(function):
    """The file of a function, as the compiler was told it."""
    return os.path.normpath(function.symtab.filename)


class Stack:
    """The frames of a fiber, from the newest, as far as they are looked at."""

    def __init__(self, fiber):
        self.root = home()
        self.frames = []
        frame, _ = PARKED.begin(fiber)
        try:
            while frame is not None and len(self.frames) < 100:
                self.frames.append(frame)
                frame = frame.older()
        except gdb.error:
            pass

    def is_torc(self, frame):
        """It is of the library, also if it is inline in the program."""
        function = frame.function()
        if function is None:
            return (frame.name() or "").startswith("torc_")
        name = file_of(function)
        inside = name[len(self.root):] if name.startswith(self.root) else ""
        return ROOMS.match(inside) is not None or (
            name.endswith(".h") and os.path.basename(name).startswith("torc"))

    def names(self):
        """The functions of torc that the fiber waits in, from the newest."""
        found = []
        for frame in self.frames:
            if not self.is_torc(frame) or frame.name() in OUTERMOST:
                break
            found.append(frame.name() or "?")
        return found

    def variable(self, function, name):
        """A variable of a function that the fiber is in, or None."""
        for frame in self.frames:
            if frame.name() == function:
                try:
                    value = frame.read_var(name)
                except (ValueError, gdb.error):
                    return None
                return None if value.is_optimized_out else value
        return None

    def caller(self):
        """The function of the program that has called torc, and where."""
        for frame in self.frames:
            if not self.is_torc(frame):
                return frame.name() or "0x%x" % frame.pc(), place_of(frame)
        return None


def place_of(frame):
    """The line that a frame is at, or else that of its function."""
    sal, function = frame.find_sal(), frame.function()
    if sal.symtab is not None and (
            function is None or
            sal.symtab.filename == function.symtab.filename):
        return " at %s:%d" % (sal.symtab.filename, sal.line)
    return "" if function is None else " (%s)" % function.symtab.filename


# ---- What a fiber waits for ----

class Scene:
    """A reactor, and who of its fibers waits at what."""

    def __init__(self, number, reactor):
        self.number = number
        self.reactor = reactor
        self.readers = {}
        self.writers = {}
        self.owners = {}
        self.joiners = {}
        self.slots = list(rows(reactor["fibers"], "torc_fiber_slot"))
        for index, slot in self.slots:
            self.joiners[int(slot["joiner"])] = index
        self.conns = []
        if look_up("torc_conn") is not None and int(reactor["layer_state"]):
            net = pointer("torc_net", int(reactor["layer_state"]))
            self.conns = list(rows(net["conns"], "torc_conn"))
        for index, conn in self.conns:
            self.readers[int(conn["reader"])] = index
            self.writers[int(conn["writer"])] = index
            self.owners[int(conn["owner"])] = (index, conn)
        self.ops = [slot["op"].dereference() for _, slot in
                    rows(reactor["ops"], "torc_op_slot")]

    def name(self, index):
        """Of a fiber or a connection."""
        return "%d.%d" % (self.number, index)

    def conn(self, index):
        """A connection, with its peer."""
        peer = peer_of(dict(self.conns)[index])
        return "connection %s%s" % (self.name(index),
                                    " with " + peer if peer else "")

    def turn(self):
        """How long its turn has lasted."""
        if not is_live():
            return "in a turn (a core file does not tell for how long)"
        return "in a turn, for " + seconds(
            now(self.reactor) - int(self.reactor["now"]))

    def origin(self, fiber):
        """What a fiber began with."""
        index, conn = self.owners.get(int(fiber.address), (None, None))
        if index is not None and int(conn["handler"]):
            return "handler %s of connection %s" % (symbol(conn["handler"]),
                                                    self.name(index))
        return "%s %s" % ("daemon" if fiber["daemon"] else "fiber",
                          symbol(fiber["entry"]))

    def operations(self, fiber):
        """What it waits for in the kernel: those that lie on its stack."""
        low, high = int(fiber["stack"]), int(fiber.address)
        return [operation(op) for op in self.ops
                if low <= int(op.address) < high]

    def wait(self, fiber, stack):
        """What a parked fiber waits for."""
        address = int(fiber.address)
        if address in self.readers:
            return "waits for input on " + self.conn(self.readers[address])
        if address in self.writers:
            return "waits to send on " + self.conn(self.writers[address])
        if address in self.joiners:
            return "waits for fiber %s to end" % self.name(
                self.joiners[address])
        names = stack.names()
        for function, words in WAITS:
            if function in names:
                said = words(self, stack)
                if said is not None:
                    return said
        operations = self.operations(fiber)
        if operations:
            return "waits for " + " and ".join(operations)
        return "waits in " + (names[-1] if names else "a function without "
                              "debug information")


def operation(op):
    """An operation in the kernel."""
    code = int(op["sqe"]["opcode"])
    return "%s on descriptor %d%s" % (
        OPCODES[code] if code < len(OPCODES) else code, int(op["sqe"]["fd"]),
        ", which is being cancelled" if op["cancelling"] else "")


def queue_length(waiters):
    """How many wait in a queue."""
    count, waiter = 0, waiters["first"]
    while int(waiter) and count < 1000000:
        count, waiter = count + 1, waiter["next"]
    return count


def queue_of(stack):
    """The queue that a fiber is in, or None."""
    waiter = stack.variable("torc_waiter_park", "waiter")
    return waiter["queue"] if waiter is not None and int(
        waiter["queue"]) else None


def channel(address):
    """A channel, and how full it is."""
    about = pointer("torc_channel", address)
    return "channel 0x%x (%d of %d items)" % (
        address, int(about["count"]), int(about["capacity"]))


def channel_around(waiters, reactor):
    """(what, channel) whose queue this is, or None.

    A call that parks may end in a jump, and leave no frame; but the memory
    around a channel's queue looks like no other.
    """
    for side, what in (("senders", "room in"), ("receivers", "an item of")):
        address = waiters - [f.bitpos // 8 for f in look_up(
            "torc_channel").fields() if f.name == side][0]
        about = pointer("torc_channel", address)
        try:
            if int(about["reactor"]) == int(reactor.address) and \
                    int(about["count"]) <= int(about["capacity"]) and \
                    0 < int(about["item_size"]) <= 65536:
                return what, address
        except gdb.MemoryError:
            pass
    return None


def choice_of(scene, choice):
    """One of the things that torc_choose() waits for."""
    number, address = int(choice["number"]), int(choice["object"])
    kind = symbol(choice["kind"])
    if kind == "of_recv":
        return "an item of " + channel(address)
    if kind == "of_send":
        return "room in " + channel(address)
    if kind == "of_time":
        return "a time in " + seconds(number - now(scene.reactor))
    if kind == "of_poll":
        return "descriptor %d" % (number & 0xffffffff)
    if kind == "of_input":
        for index, conn in scene.conns:
            if int(conn.address) == address:
                return "input on " + scene.conn(index)
    return {"of_waiters": "the queue at 0x%x" % address,
            "of_drain": "a drain"}.get(kind, kind)


def choices(scene, stack):
    """Each thing that torc_choose() waits for."""
    chooser = stack.variable("torc_choose", "chooser")
    if chooser is None:
        return "waits for one of several things"
    return "waits for one of: " + "; ".join(
        choice_of(scene, chooser["choices"][index])
        for index in range(int(chooser["count"])))


def pool(_, stack):
    """A connection of a pool."""
    about = stack.variable("queue_up", "pool")
    if about is None:
        return "waits for a connection of a pool"
    counts = about["counts"]
    name = about["kind"]["name"]
    return ("waits for a connection of pool %s (%d rented, %d being opened, at "
            "most %d; %d fibers wait)" % (
                name.string() if int(name) else "0x%x" % int(about),
                int(counts[3]), int(counts[1]), int(about["config"]["size"]),
                int(about["waiting"])))


def group(_, stack):
    """Fibers of a group."""
    for function in ("torc_group_spawn", "torc_group_end"):
        about = stack.variable(function, "group")
        if about is not None:
            return "waits for fibers of its group to end (%d are alive)" % int(
                about["alive"])
    return "waits for fibers of its group to end"


def queue(scene, stack):
    """A channel's queue, or one of the program's or of a client's."""
    waiters = queue_of(stack)
    if waiters is None:
        return None
    if int(waiters) == int(scene.reactor["drain_waiters"].address):
        return "waits for a drain"
    found = channel_around(int(waiters), scene.reactor) if look_up(
        "torc_channel") is not None else None
    if found is not None:
        return "waits for %s %s" % (found[0], channel(found[1]))
    return "waits in the queue at 0x%x (%d in it)" % (
        int(waiters), queue_length(waiters.dereference()))


def plain(words):
    """Nothing more is known."""
    return lambda scene, stack: words


# By the function that the fiber is in.
WAITS = (
    ("torc_choose", choices),
    ("torc_sleep", plain("sleeps")),
    ("queue_up", pool),
    ("torc_group_spawn", group),
    ("torc_group_end", group),
    ("torc_listener_close", plain("waits for a listener to close")),
    ("torc_task_run", plain("waits for work on another thread")),
    ("torc_waiter_park", queue),
)


def until(fiber, clock):
    """When a wait ends at the latest."""
    deadline = int(fiber["deadline"])
    if deadline == NEVER:
        said = ", no deadline"
    elif deadline >= clock:
        said = ", deadline in " + seconds(deadline - clock)
    else:
        said = ", deadline passed %s ago" % seconds(clock - deadline)
    return said + ("" if fiber["interruptible"] else ", cannot be cancelled")


def tell_fiber(scene, index, slot):
    """The lines of one fiber."""
    number = scene.name(index)
    if not int(slot["fiber"]):
        return ["%-7s ended    with result %d, not joined yet" % (
            number, int(slot["result"]))]
    fiber = slot["fiber"].dereference()
    if int(fiber["reactor"]) != int(scene.reactor.address):
        return ["%-7s unknown  its stack is not in this core file: gcore of "
                "gdb stops at guard pages, let the kernel write it (kill "
                "-ABRT)" % number]
    state = STATES[int(fiber["state"])]
    origin = scene.origin(fiber)
    if fiber["cancelled"]:
        origin += ", cancelled"
    if state == "running":
        return ["%-7s running  %s" % (number, scene.turn()),
                "        " + origin]
    stack = Stack(fiber)
    try:
        if state == "parked":
            said = scene.wait(fiber, stack) + until(fiber, now(scene.reactor))
        elif len(stack.frames) > 1:
            said = "runs in this turn or the next"
        else:
            said = "has not started, starts in this turn or the next"
        caller = stack.caller()
        if caller is not None:
            name, place = caller
            origin += (", in " + name if name not in origin.split()
                       else "") + place
    finally:
        PARKED.end()
    return ["%-7s %-8s %s" % (number, state, said), "        " + origin]


# ---- Peers ----

def text_address(text):
    """An address of /proc/net/tcp."""
    address, port = text.split(":")
    words = [struct.pack("=I", int(address[i:i + 8], 16))
             for i in range(0, len(address), 8)]
    data = b"".join(words)
    if len(data) == 16 and data[:12] == b"\0" * 10 + b"\xff" * 2:
        data = data[12:]
    if len(data) == 4:
        return "%s:%d" % (".".join(str(b) for b in data), int(port, 16))
    groups = ":".join("%x" % g for g in struct.unpack(">8H", data))
    return "[%s]:%d" % (groups, int(port, 16))


def peer_of(conn):
    """The other end of a connection of a live process, or None."""
    if not is_live():
        return None
    proc = "/proc/%d" % gdb.selected_inferior().pid
    try:
        link = os.readlink("%s/fd/%d" % (proc, int(conn["fd"])))
        inode = re.match(r"socket:\[(\d+)\]", link).group(1)
        for table in ("tcp", "tcp6"):
            with open("%s/net/%s" % (proc, table)) as file:
                for line in file.readlines()[1:]:
                    words = line.split()
                    if words[9] == inode:
                        return text_address(words[2])
        with open(proc + "/net/unix") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if words[6] == inode:
                    return "a local socket" + (
                        " " + words[7] if len(words) > 7 else "")
    except (OSError, AttributeError, IndexError):
        pass
    return None


# ---- Connections ----

def input_of(conn):
    """The state of what comes in."""
    if conn["failed"]:
        state = "has failed with error %d" % int(conn["error"])
    elif conn["eof"]:
        state = "the peer has sent FIN"
    elif conn["slowed"]:
        state = "the peer is slowed: the handler does not read"
    elif int(conn["starved"]["next"]):
        state = "waits for memory that others hold"
    elif conn["armed"]:
        state = "a receive is in the kernel"
    elif conn["poll_input"] or conn["polling"]:
        state = "the socket is polled"
    else:
        state = "nothing is asked of the kernel until the end of the turn"
    pieces, piece = 0, conn["first"]
    while int(piece) and pieces < 1000000:
        pieces, piece = pieces + 1, piece["next"]
    return "%s; %d bytes in view, %d held in %d pieces" % (
        state, int(conn["view_size"]), int(conn["held"]), pieces)


def output_of(conn):
    """The state of what goes out."""
    said = []
    if conn["send_failed"]:
        said.append("has failed with error %d" % int(conn["send_error"]))
    if conn["shut"]:
        said.append("FIN was sent")
    if int(conn["staged_size"]):
        said.append("%d bytes staged" % int(conn["staged_size"]))
    if int(conn["sent_size"]):
        said.append("%d bytes with the kernel, which tells only if it cannot "
                    "send them" % int(conn["sent_size"]))
    if conn["slabbed"]:
        said.append("%d bytes that the peer did not take at once" % (
            int(conn["slab_end"]) - int(conn["slab_start"])))
    if conn["loud"]:
        said.append("a send of %d bytes waits in the kernel for the peer%s" % (
            int(conn["loud_size"]),
            ", and is to end" if conn["aborting"] else ""))
    return "; ".join(said) or "nothing to be sent"


def life_of(scene, conn):
    """What a connection lives for."""
    if conn["doomed"]:
        return "closed as soon as the kernel has let go of it"
    if conn["lingers"]:
        return "FIN was sent, waits for that of the peer"
    if conn["dormant"]:
        return "waits for input without a fiber, between two calls of its " \
            "handler"
    for index, slot in scene.slots:
        if int(slot["fiber"]) == int(conn["owner"]):
            return "its handler runs on fiber %s" % scene.name(index)
    return "nobody's handler: whoever dialled it closes it"


def tell_conn(scene, index, conn):
    """All of one connection."""
    yield "connection %s: descriptor %d, %s, open for %s" % (
        scene.name(index), int(conn["fd"]),
        "dialled" if int(conn["listener"]) < 0 else
        "accepted on port %d (listener %d)" % (int(conn["port"]),
                                               int(conn["listener"])),
        seconds(now(scene.reactor) - int(conn["since"])))
    yield "  peer: %s" % (peer_of(conn) or (
        "unknown" if is_live() else "unknown, a core file has no sockets"))
    if int(conn["handler"]):
        yield "  handler: " + symbol(conn["handler"])
    yield "  input: " + input_of(conn)
    yield "  output: " + output_of(conn)
    yield "  life: " + life_of(scene, conn)
    for index, slot in scene.slots:
        for role, verb in (("reader", "receive"), ("writer", "send")):
            if int(conn[role]) and int(slot["fiber"]) == int(conn[role]):
                yield "  fiber %s waits to %s" % (scene.name(index), verb)


# ---- Commands ----

def find(argument, what):
    """(scene, index) that R.N names."""
    match = re.fullmatch(r"(?:(\d+)\.)?(\d+)", argument.strip())
    if match is None:
        raise gdb.GdbError("torc: which %s? By its number, such as 0.1" % what)
    there = reactors()
    if match.group(1) is None and len(there) != 1:
        raise gdb.GdbError("torc: there are %d reactors: write R.%s, where R "
                           "is the number of one" % (len(there),
                                                     match.group(2)))
    for number, reactor in there:
        if match.group(1) is None or int(match.group(1)) == number:
            return Scene(number, reactor), int(match.group(2))
    raise gdb.GdbError("torc: there is no reactor %s" % match.group(1))


class Torc(gdb.Command):
    """Look at the reactors, fibers and connections of torc."""

    def __init__(self):
        super().__init__("torc", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE, True)


class Reactors(gdb.Command):
    """torc reactors: each reactor, its thread, its ring, and what it does."""

    def __init__(self):
        super().__init__("torc reactors", gdb.COMMAND_STATUS)

    def invoke(self, _argument, _tty):
        """A line for each, and one for what it does."""
        require_torc()
        there = reactors()
        if not there:
            print("no reactors")
        for number, reactor in there:
            scene = Scene(number, reactor)
            page = reactor["stats_page"]["page"]
            thread = thread_of(reactor)
            flags = int(reactor["ring"]["setup_flags"])
            print("reactor %d: %s, ring %d, %s" % (
                number, "thread unknown" if thread is None else
                "thread %d (LWP %d)" % (thread.num, thread.ptid[1]),
                int(reactor["ring"]["fd"]),
                PHASES.get(int(reactor["phase"]), "?")))
            print("  %d connections, %d fibers, %d operations, %d timers, "
                  "%d turns" % (
                      len(scene.conns), len(scene.slots), len(scene.ops),
                      int(reactor["timers"]["count"]),
                      int(page["counter"]["turns"])))
            print("  engine: " + " ".join(
                [name for bit, name in ENGINE.items() if flags & bit] +
                (["spins"] if int(reactor["spin_credit"]) else []) +
                (["sleeps beside the ring"] if reactor["sleeps_beside"]
                 else [])))
            print("  " + self.doing(scene))

    @staticmethod
    def doing(scene):
        """What a reactor does now."""
        reactor = scene.reactor
        if int(reactor["phase"]) in (0, 64):
            return "does not run"
        if reactor["stats_page"]["page"]["gauge"]["sleeping"]:
            return "sleeps in the kernel" if not is_live() else \
                "sleeps in the kernel, for " + seconds(
                    now(reactor) - int(reactor["now"]))
        for index, slot in scene.slots:
            if int(slot["fiber"]) and int(slot["fiber"]) == int(
                    reactor["current"]):
                return "%s: fiber %s runs, %s" % (
                    scene.turn(), scene.name(index),
                    scene.origin(slot["fiber"].dereference()))
        return scene.turn() + ": no fiber runs"


class Fibers(gdb.Command):
    """torc fibers: each fiber, what it waits for, and where."""

    def __init__(self):
        super().__init__("torc fibers", gdb.COMMAND_STATUS)

    def invoke(self, _argument, _tty):
        """Two lines for each."""
        require_torc()
        for number, reactor in reactors():
            scene = Scene(number, reactor)
            for index, slot in scene.slots:
                for line in tell_fiber(scene, index, slot):
                    print(line)


class Backtrace(gdb.Command):
    """torc bt R.N: the backtrace of a fiber, by its saved registers."""

    def __init__(self):
        super().__init__("torc bt", gdb.COMMAND_STACK)

    def invoke(self, argument, _tty):
        """As gdb's own."""
        require_torc()
        scene, number = find(argument, "fiber")
        slot = dict(scene.slots).get(number)
        if slot is None or not int(slot["fiber"]):
            raise gdb.GdbError("torc: there is no fiber %s, or it has ended" %
                               scene.name(number))
        fiber = slot["fiber"].dereference()
        if STATES[int(fiber["state"])] != "running":
            print(self.parked(fiber), end="")
            return
        thread = thread_of(scene.reactor)
        if thread is None:
            raise gdb.GdbError("torc: the fiber runs, and its thread is not "
                               "known: see `thread apply all bt`")
        gdb.execute("thread apply %d backtrace" % thread.num)

    @staticmethod
    def parked(fiber):
        """The text of its backtrace."""
        _, before = PARKED.begin(fiber)
        try:
            text = gdb.execute("backtrace -no-filters", to_string=True)
        finally:
            PARKED.end()
        frames = re.split(r"(?m)^(?=#\d)", text)[1:][before:]
        return "".join(re.sub(r"^#\d+ *", "#%-3d" % i, frame)
                       for i, frame in enumerate(frames))


class Connection(gdb.Command):
    """torc conn [R.N]: one connection, or a line for each."""

    def __init__(self):
        super().__init__("torc conn", gdb.COMMAND_STATUS)

    def invoke(self, argument, _tty):
        """All of one, or the first line of each."""
        require_torc()
        if not argument.strip():
            for number, reactor in reactors():
                scene = Scene(number, reactor)
                for index, conn in scene.conns:
                    print(next(tell_conn(scene, index, conn)))
            return
        scene, number = find(argument, "connection")
        conn = dict(scene.conns).get(number)
        if conn is None:
            raise gdb.GdbError("torc: there is no connection " +
                               scene.name(number))
        for line in tell_conn(scene, number, conn):
            print(line)


for command in (Torc, Reactors, Fibers, Backtrace, Connection):
    command()
