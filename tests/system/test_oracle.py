#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The wire oracle of the simulator over what Linux and the appliance really say to each other."""

import multiprocessing
import os
import socket
import struct
import subprocess
import tempfile
import time

import harness
import test_peers
from harness import SERVER, SERVER6, Appliance, Checks

ORACLE = os.path.join(harness.BUILD, "tests", "sim", "oracle_pcap")


def capture(path, ready, stop, dropped):
    """A process of its own: every frame of the client's interface into a pcap file."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
    raw.bind(("client0", 0))
    raw.settimeout(0.2)
    with open(path, "wb") as f:
        f.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65536, 1))
        ready.set()
        while True:
            try:
                frame = raw.recv(65536)
            except TimeoutError:
                if stop.is_set():
                    break
                continue
            f.write(struct.pack("=IIII", 0, 0, len(frame), len(frame)) + frame)
    dropped.value = struct.unpack("II", raw.getsockopt(263, 6, 8))[1]  # SOL_PACKET, PACKET_STATISTICS


def judge(what, *args):
    """Runs `what` under capture and has the oracle look at it."""
    ready, stop = multiprocessing.Event(), multiprocessing.Event()
    dropped = multiprocessing.Value("I", 0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.pcap")
        process = multiprocessing.Process(target=capture, args=(path, ready, stop, dropped))
        process.start()
        try:
            assert ready.wait(10)
            what(*args)
        finally:
            stop.set()
            process.join(30)
        if dropped.value:
            raise harness.Skip(f"the kernel dropped {dropped.value} frames of the capture")
        done = subprocess.run([ORACLE, path, SERVER, SERVER6], capture_output=True, text=True, timeout=60)
        print(f"#   {done.stdout.strip()}")
        assert done.returncode == 0, done.stdout + done.stderr


def talk(address):
    """A little of everything, slowly: pipelines, pauses longer than a delayed ACK, values of many sizes."""
    for size in (0, 1, 100, 1447, 1448, 1449, 20000, 300000):
        s = test_peers.connect(address)
        test_peers.round_trip(s, os.urandom(size))
        time.sleep(0.06)
        s.sendall(b"PING\r\n" * 50)
        assert test_peers.receive(s, 350) == b"+PONG\r\n" * 50
        s.close()


def run_all(checks, name, lossless):
    """Under faults the same flow is not taken again at once: what is late of the old one would be judged by the new."""
    for address in (SERVER, SERVER6):
        family = "IPv6" if ":" in address else "IPv4"
        checks.run(f"{name}, {family}: talk", judge, talk, address)
        checks.run(f"{name}, {family}: ends", judge, test_peers.check_ends, address)
        if lossless:
            checks.run(f"{name}, {family}: the same flow", judge, test_peers.check_same_flow, address)
        checks.run(f"{name}, {family}: tiny buffers", judge, test_peers.check_buffers, address)
        checks.run(f"{name}, {family}: options", judge, test_peers.check_options, address)


def main():
    harness.require_root()
    checks = Checks()
    test_peers.VALUE = test_peers.VALUE[:1 << 17]  # what a capture keeps up with
    with Appliance("af_packet", 1, 1) as appliance:
        run_all(checks, "lossless", True)
        checks.run("segments of 88 to 8960 bytes", judge, test_peers.check_segments, SERVER, "client0")
    # Not with reordering: the capture would show it as our doing.
    for fault in ("drop", "duplicate"):
        # A RST that is lost leaves a connection behind, which keepalives find.
        options = ("--nic-fault-seed", "1", f"--nic-fault-{fault}", "200", "--tcp-keepalive", "1")
        with Appliance("af_packet", 1, 1, options) as appliance:
            run_all(checks, f"2 % {fault}", False)
    checks.finish()


if __name__ == "__main__":
    main()
