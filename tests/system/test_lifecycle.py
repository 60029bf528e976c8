#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Starting, stopping, crashing, and the configurations that must not start."""

import os
import signal
import socket
import subprocess
import tempfile

import harness
from harness import BINARY, SERVER, Appliance, Checks, sh


def run(*args):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=30)


def check_help_and_version():
    done = run("--help")
    assert done.returncode == 0 and "maxmemory" in done.stdout and "nic-device" in done.stdout
    done = run("--version")
    assert done.returncode == 0 and "wirecache" in done.stdout


BAD_CONFIGURATIONS = [
    ("no-such-directive 1", "no-such-directive"),
    ("maxmemory lots", "maxmemory"),
    ("port 70000", "port"),
    ("nic-address 10.0.0.0.1/24", "nic-address"),
    ("poll-idle sometimes", "poll-idle"),
    ("maxmemory-policy", "maxmemory-policy"),
    ('logfile "unbalanced', "quot"),
]


def check_bad_configurations():
    for text, word in BAD_CONFIGURATIONS:
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(f"# a comment\n{text}\n")
            f.flush()
            for args in ((f.name,), (f.name, "--check-config")):
                done = run(*args)
                assert done.returncode == 1, (text, done)
                assert word in done.stderr and f"{f.name}:2" in done.stderr, (text, done.stderr)


def check_shipped_configuration():
    done = run(os.path.join(harness.ROOT, "wirecache.conf"), "--nic-device", "net_null0", "--nic-address", "10.98.0.2/24",
               "--check-config")
    assert done.returncode == 0, done.stderr


def check_bad_devices():
    for device, word in (("net_af_packet0,iface=nosuch0", "nosuch0"), ("0000:ff:1f.7", "0000:ff:1f.7"),
                         ("net_nosuch0", "net_nosuch0")):
        done = run("--nic-device", device, "--nic-address", "10.98.0.2/24", "--nic-huge-pages", "no")
        assert done.returncode == 1 and word in done.stderr, (device, done.stderr)


def check_sigterm_closes_connections():
    with Appliance() as appliance:
        s = socket.create_connection((SERVER, 6379), timeout=10)
        s.sendall(b"PING\r\n")
        assert s.recv(16) == b"+PONG\r\n"
        appliance.process.send_signal(signal.SIGTERM)
        assert s.recv(16) == b"", "the connection was not closed"
        s.close()
        assert appliance.process.wait(timeout=20) == 0, appliance.log()
        assert "wire0" not in sh("ip", "-n", appliance.client, "-o", "link"), "the tap device is still there"


def check_sigterm_resets_who_lingers():
    """A client that does not close its side in time hears a RST, and does not keep the appliance from stopping."""
    with Appliance() as appliance:
        s = socket.create_connection((SERVER, 6379), timeout=10)
        s.sendall(b"PING\r\n")
        assert s.recv(16) == b"+PONG\r\n"
        appliance.process.send_signal(signal.SIGTERM)
        assert appliance.process.wait(timeout=20) == 0, appliance.log()
        assert s.recv(16) == b""  # the FIN had come first
        with harness.expect_error(ConnectionError):
            for _ in range(2):
                s.sendall(b"PING\r\n")
        s.close()


def check_sigterm_serves_the_other_worker():
    """A worker whose clients are gone goes on sending for the one that has no queue until that one is done, too."""
    with Appliance(workers=2) as appliance:
        sockets = []
        while len(sockets) < 8:
            s = socket.create_connection((SERVER, 6379), timeout=10)
            s.sendall(b"CLIENT ID\r\n")
            if int(s.recv(32)[1:]) % 3 == 2:  # worker 1 gives the numbers 2, 5, 8 and so on
                sockets.append(s)
            else:
                s.close()
        appliance.process.send_signal(signal.SIGTERM)
        for s in sockets:
            assert s.recv(16) == b"", "the connection was not closed"
            s.close()
        assert appliance.process.wait(timeout=20) == 0, appliance.log()


def check_sigterm_while_control_is_asked():
    """Clients that keep the control thread busy do not keep it from stopping."""
    with Appliance() as appliance:
        sockets = [socket.create_connection((SERVER, 6379), timeout=10) for _ in range(100)]
        for s in sockets:
            s.setblocking(False)
            s.send(b"CLIENT KILL ID 99999999\r\n" * 2000)
        sockets[0].setblocking(True)
        assert sockets[0].recv(4) == b":0\r\n"
        appliance.process.send_signal(signal.SIGTERM)
        assert appliance.process.wait(timeout=5) == 0, appliance.log()
        for s in sockets:
            s.close()


def threads_of(pid):
    """Name -> cores that it may use."""
    threads = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as f:
            threads[f.read().strip()] = os.sched_getaffinity(int(task))
    return threads


def check_workers_have_cores_to_themselves():
    """No thread of ours runs on a worker's core if there is another, or elsewhere than on control-core if that is set."""
    for options, control in (((), {0}), (("--control-core", "1"), {1})):
        with Appliance(options=("--worker-cores", "1", *options)) as appliance:
            threads = threads_of(appliance.process.pid)
            assert threads["worker-0"] == {1}, threads
            for name in ("wirecached", "ahead", "rcu"):
                assert threads[name] == control, (options, threads)


def check_allow_from():
    """Clients of other networks get no answer, and are counted."""
    stranger = "10.98.0.77"
    with Appliance(options=("--allow-from", f"10.1.0.0/16,{harness.CLIENT}/32")) as appliance:
        device = next(line.split()[1].rstrip(":").split("@")[0] for line in sh("ip", "-o", "addr").splitlines()
                      if harness.CLIENT in line)
        sh("ip", "addr", "add", f"{stranger}/24", "dev", device)
        with harness.expect_error(TimeoutError):
            socket.create_connection((SERVER, 6379), timeout=1, source_address=(stranger, 0))
        with socket.create_connection((SERVER, 6379), timeout=10, source_address=(harness.CLIENT, 0)) as s:
            s.sendall(b"PING\r\n")
            assert s.recv(16) == b"+PONG\r\n"
        assert appliance.metrics()['wirecache_drops_total{reason="ip_not_allowed"}'] > 0


def check_crash_leaves_nothing():
    appliance = Appliance()
    with appliance:
        appliance.process.kill()
        appliance.process.wait()
        appliance.start()


def check_port_busy():
    with Appliance() as appliance:
        done = subprocess.run(["ip", "netns", "exec", appliance.server, BINARY, "--nic-device", "net_null0", "--nic-address",
                               "10.98.0.3/24", "--nic-huge-pages", "no"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and "6380" in done.stderr, done.stderr


def main():
    harness.require_root()
    checks = Checks()
    checks.run("--help and --version", check_help_and_version)
    checks.run("bad configurations name file, line and directive", check_bad_configurations)
    checks.run("the shipped configuration is good", check_shipped_configuration)
    checks.run("devices that are not there", check_bad_devices)
    checks.run("SIGTERM closes connections and takes the device back", check_sigterm_closes_connections)
    checks.run("SIGTERM resets who does not close in time", check_sigterm_resets_who_lingers)
    checks.run("SIGTERM with a worker that has no queue", check_sigterm_serves_the_other_worker)
    checks.run("SIGTERM while the control thread is asked without end", check_sigterm_while_control_is_asked)
    if os.cpu_count() == 2:
        checks.run("workers have their cores to themselves", check_workers_have_cores_to_themselves)
    checks.run("allow-from", check_allow_from)
    checks.run("a start after kill -9", check_crash_leaves_nothing)
    checks.run("a port that is taken", check_port_busy)
    checks.finish()


if __name__ == "__main__":
    main()
