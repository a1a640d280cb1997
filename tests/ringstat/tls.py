# SPDX-License-Identifier: MIT
"""tls.py - what ringstat says of TLS is what the clients know.

An example that speaks TLS has clients of Python's: some shake hands, some fail
in known ways.
"""

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

from stage import BUILD, Ringstat, Stage, differences, until

SUITE = "ECDHE-ECDSA-AES256-GCM-SHA384"


def context(version, suite=None):
    """A client's, that trusts everybody."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    if suite is not None:
        made.set_ciphers(suite)
    return made


class Server:
    """hello-tls, on one reactor, with a port for TLS and one without."""

    def __init__(self, stage):
        pem = os.path.join(stage.folder, "pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a.test",
             "-days", "2", "-keyout", pem + ".key", "-out", pem],
            check=True, capture_output=True)
        self.ports = []
        self.left = 0
        for _ in range(2):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.ports.append(free.getsockname()[1])
        self.program = stage.start(
            [os.path.join(BUILD, "bin/hello-tls"), "-r", "1",
             "-l", f"tls:127.0.0.1:{self.ports[0]}",
             "-l", f"127.0.0.1:{self.ports[1]}", "--cert", pem, "--key",
             pem + ".key"], stderr=subprocess.DEVNULL)
        until(lambda: all(map(self.listens, self.ports)), "it listens")
        self.pid = str(self.program.pid)

    def listens(self, port):
        """Whether it does; where TLS is spoken, that is one that left."""
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) != 0:
                return False
        self.left += port == self.ports[0]
        return True

    def connect(self, secure=True):
        """A connection on which nothing is said yet."""
        return socket.create_connection(
            ("127.0.0.1", self.ports[0 if secure else 1]), timeout=60)

    def shake(self, made, name):
        """One that has shaken hands, and was answered."""
        client = made.wrap_socket(self.connect(), server_hostname=name)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        client.recv(4096)
        return client


def fails(server, made=None, said=None):
    """A client that fails, by what it says or by what its context is."""
    client = server.connect()
    try:
        if made is not None:
            made.wrap_socket(client, server_hostname="a.test")
        else:
            client.sendall(said)
            while client.recv(4096):
                pass
    except OSError:
        pass
    client.close()


def torc(ringstat, server, *options):
    """What the page of its one reactor says."""
    return [ring["torc"] for ring in
            ringstat.json("-p", server.pid, *options)[0]["rings"]
            if ring["torc"] is not None][0]


def await_failures(ringstat, server, count):
    """Until so many have failed: all counts."""
    end = time.monotonic() + 60
    while True:
        now = torc(ringstat, server)
        if now["counters"]["handshakes_failed"] >= count:
            return now["handshakes"]
        if time.monotonic() > end:
            raise RuntimeError(f"{now['counters']}")
        time.sleep(0.05)


def reasons(ringstat, server):
    """Each handshake that failed is counted for what its client did."""
    before = await_failures(ringstat, server, server.left)["failures"]
    distrustful = context(ssl.TLSVersion.TLSv1_3)
    distrustful.verify_mode = ssl.CERT_REQUIRED
    fails(server, said=b"GET / HTTP/1.1\r\n\r\n")
    fails(server, said=b"SSH-2.0-client\r\n")
    fails(server, made=context(ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256"))
    fails(server, made=distrustful)
    server.connect().close()
    count = sum(before.values()) + 5
    after = await_failures(ringstat, server, count)["failures"]
    more = {name: after[name] - before[name] for name in after}
    return differences(more, {
        **{name: 0 for name in after}, "clear": 2, "cipher": 1, "refused": 1,
        "left": 1})


def agreements(ringstat, server):
    """Versions and ciphers are those that clients have agreed on."""
    before = torc(ringstat, server)["handshakes"]
    for _ in range(3):
        server.shake(context(ssl.TLSVersion.TLSv1_2, SUITE), "a.test").close()
    server.shake(context(ssl.TLSVersion.TLSv1_3), "a.test").close()
    after = torc(ringstat, server)["handshakes"]
    more = {name: {key: after[name][key] - before[name][key]
                   for key in after[name]} for name in after}
    return (differences(more["versions"], {"1.2": 3, "1.3": 1}) +
            differences(more["ciphers"][SUITE], 3) +
            differences(sum(more["ciphers"].values()), 4))


def same_figures(ringstat, server):
    """--openmetrics and --handshakes have what --json has."""
    until(lambda: torc(ringstat, server)["conns"]["open"] == 0, "all left")
    said = torc(ringstat, server)
    metrics = ringstat.run("--openmetrics", "-p", server.pid).stdout
    table = [re.split(r"  +|\s+(?=\d+$)", line.strip()) for line in
             ringstat.run("--handshakes", "-H", "-W", "-p", server.pid)
             .stdout.splitlines()]
    rows = {row[-2].split()[-1]: int(row[-1]) for row in table}
    wrong = differences(rows["failed"], said["counters"]["handshakes_failed"])
    for name, label in (("failures", "reason"), ("versions", "version"),
                        ("ciphers", "cipher")):
        found = {key: int(value) for key, value in re.findall(
            f'^torc_handshake_{name}_total{{.*{label}="(.*)"}} (\\d+)$',
            metrics, re.M)}
        wrong += differences(found, said["handshakes"][name], name)
        for key, value in found.items():
            wrong += differences(rows.get(key, 0), value, key)
    return wrong


def listed(ringstat, server):
    """The rows of --conns, by the port of the peer."""
    return {conn["peer"].rsplit(":", 1)[1]: conn for conn in
            torc(ringstat, server, "--conns")["conns"]["list"]
            if conn["peer"] is not None}


def rows(ringstat, server):
    """--conns has version and host of each, also of a session that goes on."""
    old = context(ssl.TLSVersion.TLSv1_2)
    first = server.shake(old, "first.test")
    again = old.wrap_socket(server.connect(), server_hostname="first.test",
                            session=first.session)
    clients = [
        (first, (True, "1.2", "first.test")),
        (again, (True, "1.2", "first.test")),
        (server.shake(context(ssl.TLSVersion.TLSv1_3), "x" * 60 + ".test"),
         (True, "1.3", "x" * 60 + ".test")),
        (server.shake(context(ssl.TLSVersion.TLSv1_3), None),
         (True, "1.3", None)),
        (server.connect(), (True, None, None)),
        (server.connect(secure=False), (False, None, None)),
    ]
    until(lambda: len(listed(ringstat, server)) == len(clients), "all")
    found = listed(ringstat, server)
    wrong = [] if again.session_reused else ["no session went on"]
    for client, expected in clients:
        row = found[str(client.getsockname()[1])]
        wrong += differences(
            (row["tls"], row["tls_version"], row["tls_host"]), expected)
        wrong += differences(row["tls_cipher"] is None, expected[1] is None)
    table = ringstat.table("--conns", "-p", server.pid)
    wrong += differences(
        sorted((row["TLS"], row["HOST"]) for row in table),
        sorted((tls and version or (tls and "begins" or "no"), host or "-")
               for _, (tls, version, host) in clients))
    for client, _ in clients:
        client.close()
    return wrong


class Coming:
    """Clients that come and go: a host of one version each."""

    def __init__(self, server):
        self.server = server
        self.over = False
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        """Names of all lengths, with the version as their first letters."""
        versions = [("1.2", context(ssl.TLSVersion.TLSv1_2)),
                    ("1.3", context(ssl.TLSVersion.TLSv1_3))]
        turn = number
        while not self.over:
            version, made = versions[turn % 2]
            letter = "abcdefgh"[turn % 8]
            name = f"v{version}-{letter * (turn * 7 % 50 + 1)}.test"
            self.server.shake(made, name).close()
            turn += 1

    def stop(self):
        """All have ended."""
        self.over = True
        for thread in self.threads:
            thread.join()


def coming_and_going(ringstat, server):
    """No row has the version of one connection and the host of another."""
    coming = Coming(server)
    end = time.monotonic() + 30
    wrong = []
    seen = 0
    while seen < 300 and time.monotonic() < end:
        for conn in torc(ringstat, server, "--conns")["conns"]["list"]:
            host = conn["tls_host"]
            if host is None:
                continue
            seen += 1
            if not re.fullmatch(rf"v{conn['tls_version']}-([a-h])\1*\.test",
                                host):
                wrong.append(f"{conn}")
    coming.stop()
    return wrong or (None if seen > 0 else "no host was seen")


def claims(stage, server, ringstat):
    """In the order of the man page."""
    def claim(text, proof):
        stage.claim(text, lambda: proof(ringstat, server))

    claim("a handshake that failed is counted for its reason", reasons)
    claim("those that were done, by version and cipher", agreements)
    claim("no connection has the host of another one, while they come and go",
          coming_and_going)
    claim("each has its version and its host, or none", rows)
    claim("every format has the same figures", same_figures)


def main():
    """All on one stage."""
    if not os.path.exists(os.path.join(BUILD, "bin/hello-tls")):
        print("SKIP: tls: the examples were built without TLS")
        return 0
    with Stage() as stage:
        claims(stage, Server(stage), Ringstat(os.path.join(BUILD,
                                                           "bin/ringstat")))
        return stage.failed > 0


if __name__ == "__main__":
    sys.exit(main())
