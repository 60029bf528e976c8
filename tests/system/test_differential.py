#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The comparisons with redis-server and memcached once more, this time over a virtual device and our own TCP.

The originals run beside the client, on its loopback.
"""

import os
import subprocess

import harness
from harness import SERVER, Appliance, Checks

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = os.environ.get("SEED", "1")


def compare(script, *args):
    done = subprocess.run(["/usr/bin/python3", os.path.join(HERE, script), *args], capture_output=True, text=True,
                          timeout=200)
    if done.returncode == harness.SKIP:
        raise harness.Skip(done.stdout.strip() or "nothing to compare with")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def main():
    harness.require_root()
    print(f"# SEED={SEED}")
    checks = Checks()
    with Appliance() as appliance:
        checks.run("redis-server and us answer alike", compare, "differential_redis.py", f"{SERVER}:6379", "--seed", SEED,
                   "--rounds", "3", "--count", "3000")
        checks.run("memcached and us answer alike", compare, "differential_memcached.py", "--ours", f"{SERVER}:11211",
                   "--seed", SEED, "--seconds", "5", "--no-timed")
        checks.run("memcached and us answer alike, binary", compare, "differential_binary.py", "--ours", f"{SERVER}:11211",
                   "--seed", SEED, "--seconds", "5")
        checks.run("back at the baseline", appliance.settled)
    checks.finish()


if __name__ == "__main__":
    main()
