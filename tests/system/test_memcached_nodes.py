#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Three memcached nodes: a client that spreads keys over them, and one that discovers them."""

import contextlib
import os
import socket

import harness
from harness import Appliance, Checks, enter_namespace, sh
from test_memcached import ask

PORT = 11211
NODES = 3


class Node(Appliance):
    """One of several appliances, each at the end of a wire of its own to one client."""

    def __init__(self, number, client, options=()):
        super().__init__("af_packet", options=options, name=f"wcn{os.getpid()}-{number}")
        self.number, self.client = number, client
        self.address = f"10.98.{number}.2"

    def lab_up(self):
        sh("ip", "netns", "del", self.server, check=False)
        sh("ip", "netns", "add", self.server)
        sh("ip", "-n", self.server, "link", "set", "lo", "up")
        far = f"node{self.number}"
        sh("ip", "-n", self.server, "link", "add", "wire0", "type", "veth", "peer", "name", far, "netns", self.client)
        sh("ip", "-n", self.server, "link", "set", "wire0", "up")
        sh("ip", "netns", "exec", self.client, "ethtool", "-K", far, "tx", "off")
        sh("ip", "-n", self.client, "addr", "add", f"10.98.{self.number}.1/24", "dev", far)
        sh("ip", "-n", self.client, "link", "set", far, "up")

    def lab_down(self):
        sh("ip", "netns", "del", self.server, check=False)

    def command(self):
        # A later option goes before: the lab's addresses make way for this node's.
        return super().command() + ["--nic-address", f"{self.address}/24", "--nic-address6", "", "--maxmemory", "256mb"]

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection((self.address, 6379), timeout=0.5) as s:
            s.sendall(b"PING\r\n")
            return s.recv(16) == b"+PONG\r\n"
        return False

    def warm_up(self):
        pass

    def settled(self):
        """Nothing is deleted behind the other nodes' back."""

    def items(self):
        with socket.create_connection((self.address, PORT), timeout=10) as s:
            lines = ask(s, b"stats\r\n", b"END\r\n").decode().splitlines()
        return int(next(line.split()[2] for line in lines if line.startswith("STAT curr_items ")))


def discover(address):
    """What an Auto Discovery client learns from one node: the version, and the nodes as host, address, port."""
    with socket.create_connection((address, PORT), timeout=10) as s:
        reply = ask(s, b"config get cluster\r\n", b"END\r\n")
    head, rest = reply.split(b"\r\n", 1)
    words = head.split()
    assert words[:3] == [b"CONFIG", b"cluster", b"0"], reply
    version, nodes = rest[:int(words[3])].decode().split("\n")[:2]
    return int(version), [tuple(node.split("|")) for node in nodes.split(" ")]


class DiscoveringClient:
    """HashClient on whatever nodes the cluster says that it has, as ElastiCache's own clients do it."""

    def __init__(self, endpoint):
        self.endpoint, self.version, self.client = endpoint, 0, None
        self.refresh()

    def refresh(self):
        from pymemcache.client.hash import HashClient

        version, nodes = discover(self.endpoint)
        if version <= self.version:
            return
        self.version = version
        if self.client:
            self.client.close()
        self.client = HashClient([(ip or host, int(port)) for host, ip, port in nodes], connect_timeout=5, timeout=5)


def check_hash_client(nodes):
    from pymemcache.client.hash import HashClient

    c = HashClient([(n.address, PORT) for n in nodes], connect_timeout=5, timeout=5)
    values = {f"h{i}": str(i).encode() for i in range(3000)}
    assert c.set_many(values) == [] and c.get_many(list(values)) == values
    counts = [n.items() for n in nodes]
    assert sum(counts) == 3000 and min(counts) > 500, counts
    assert all(c.delete(key, noreply=False) for key in values)
    assert [n.items() for n in nodes] == [0, 0, 0]
    c.close()


def check_identical(nodes):
    lists = [discover(n.address) for n in nodes]
    assert lists[0] == lists[1] == lists[2], lists
    assert lists[0] == (3, [(f"cache-{n.number}", n.address, str(PORT)) for n in nodes])


def check_discovering_client(nodes):
    """It finds all nodes by one; when one is taken off on all of them it goes on with the others."""
    c = DiscoveringClient(nodes[1].address)
    values = {f"d{i}": str(i).encode() for i in range(900)}
    assert c.client.set_many(values) == [] and c.client.get_many(list(values)) == values
    assert all(n.items() > 100 for n in nodes)
    c.refresh()
    assert c.version == 3
    fewer = b"4\n" + b" ".join(b"cache-%d|%s|%d" % (n.number, n.address.encode(), PORT) for n in nodes[:2]) + b"\n"
    for n in nodes:
        with socket.create_connection((n.address, PORT), timeout=10) as s:
            assert ask(s, b"config set cluster 0 %d\r\n%s\r\n" % (len(fewer), fewer), b"\r\n") == b"STORED\r\n"
    c.refresh()
    before = nodes[2].items()
    assert c.version == 4 and c.client.set_many(values) == [] and c.client.get_many(list(values)) == values
    assert nodes[2].items() == before
    c.client.close()


def main():
    harness.require_root()
    checks = Checks()
    client = f"wcn{os.getpid()}-client"
    listed = ",".join(f"cache-{i}|10.98.{i}.2|{PORT}" for i in (3, 1, 2))
    options = ("--memcached-cluster-nodes", listed, "--memcached-cluster-version", "3")
    sh("ip", "netns", "add", client)
    try:
        sh("ip", "-n", client, "link", "set", "lo", "up")
        with contextlib.ExitStack() as stack:
            nodes = [stack.enter_context(Node(i + 1, client, options)) for i in range(NODES)]
            enter_namespace(client)
            checks.run("HashClient over three nodes", check_hash_client, nodes)
            checks.run("one node list on all", check_identical, nodes)
            checks.run("a client that discovers its nodes", check_discovering_client, nodes)
    finally:
        harness.enter_namespace_of_init()
        sh("ip", "netns", "del", client, check=False)
    checks.finish()


if __name__ == "__main__":
    main()
