#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Each virtual device under nic/port, with a kernel client or a second process at its other end:
# ARP, ICMP and UDP there and back, several queues, frames of all sizes, a clean stop, and a start
# after a crash. Needs root and a build.
#
# usage: tests/system/ports.sh [BUILDDIR]     closes with "N passed, N failed, N skipped"

set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/system/lab.sh
. tests/system/lab.sh

build=${1:-build}
reflect=$build/tests/system/port_reflect
lab=wirecache-ports
work=$(mktemp -d)
passed=0 failed=0 skipped=0
pid=

pass() {
	passed=$((passed + 1))
	echo "ok    $1"
}

fail() {
	failed=$((failed + 1))
	echo "FAIL  $1"
	sed 's/^/      | /' "$work/out" "$work/err" 2>/dev/null
}

skip() {
	skipped=$((skipped + 1))
	echo "skip  $1: $2"
}

# check NAME CMD...: one test.
check() {
	local name=$1
	shift
	if "$@" >"$work/check" 2>&1; then
		pass "$name"
	else
		fail "$name"
		sed 's/^/      > /' "$work/check"
	fi
}

finish() {
	[[ -z $pid ]] || kill -9 "$pid" 2>/dev/null
	lab_down "$lab"
	rm -rf "$work"
}
trap finish EXIT

# Waits for a condition for at most 10 seconds.
wait_for() {
	local i
	for ((i = 0; i < 200; i++)); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}

is_ready() {
	grep -q '^ready' "$work/out" || ! kill -0 "$pid" 2>/dev/null
}

# start DEVICE ARGS...: the reflecting end, in the background.
start() {
	: >"$work/out" # or the last one's "ready" would be taken for this one's
	"$reflect" "$@" >"$work/out" 2>"$work/err" &
	pid=$!
	wait_for is_ready
	kill -0 "$pid" 2>/dev/null && grep -q '^ready' "$work/out"
}

stop() {
	local rc
	kill -TERM "$pid" 2>/dev/null
	wait "$pid"
	rc=$?
	pid=
	return $rc
}

crash() {
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	pid=
	return 0
}

pings() {
	lab_exec "$lab" ping -q -c "$1" -i 0.01 -w 10 -s "$2" -M "do" "$LAB_APPLIANCE"
}

# 64 flows of 8 datagrams of random sizes; every one must come back as it was.
udp_echo() {
	lab_exec "$lab" timeout 20 python3 - "$LAB_APPLIANCE" <<'PY'
import random, socket, sys
rng = random.Random(1)
for flow in range(64):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    s.connect((sys.argv[1], 7))
    for n in range(8):
        data = rng.randbytes(rng.choice((0, 1, 17, 18, 19, 500, 1471, 1472, rng.randrange(1473))))
        s.send(data)
        if s.recv(4096) != data:
            sys.exit(f"flow {flow}, datagram {n}: other bytes came back")
    s.close()
PY
}

# Whether every one of N queues has received something.
all_queues_busy() {
	local n
	n=$(grep -cE '^queue [0-9]+ received [1-9]' "$work/out")
	[[ $n -eq $1 ]] || {
		cat "$work/out"
		return 1
	}
}

xdp_gone() {
	! ip link show "$(lab_iface "$lab")" | grep -q xdp
}

kernel_device() {
	local kind=$1 queues=$2 name="$1, $2 queue(s)" device
	lab_up "$lab" "$kind" 2>"$work/err" || {
		skip "$name" "the lab does not come up: $(tail -n 1 "$work/err")"
		return
	}
	device=$(lab_device "$lab" "$kind" "$queues")
	if ! start "$device" --queues "$queues" || ! wait_for lab_attach "$lab" "$kind"; then
		fail "$name: start"
		return
	fi
	pass "$name: start"
	check "$name: ping" pings 50 56
	check "$name: ping of full frames" pings 20 1472
	check "$name: 512 datagrams of 64 flows come back whole" udp_echo
	check "$name: stops" stop
	[[ $queues -eq 1 ]] || check "$name: all queues are used" all_queues_busy "$queues"
	[[ $kind != af_xdp ]] || check "$name: leaves no XDP program" xdp_gone

	[[ $kind != tap ]] || lab_up "$lab" "$kind"
	if start "$device" --queues "$queues" && crash &&
		{ [[ $kind != tap ]] || lab_up "$lab" "$kind"; } &&
		start "$device" --queues "$queues" && wait_for lab_attach "$lab" "$kind"; then
		check "$name: works after a crash" pings 20 56
		check "$name: stops after a crash" stop
	else
		fail "$name: start after a crash"
	fi
	lab_down "$lab"
}

# Two processes; the client checks and counts.
memif() {
	local queues=$1 name="memif, $1 queue(s)"
	local socket="id=1,socket=$work/memif.sock,socket-abstract=no"
	start "net_memif0,role=server,$socket" --queues "$queues" || {
		fail "$name: start"
		return
	}
	check "$name: datagrams come back whole" \
		timeout 30 "$reflect" "net_memif0,role=client,$socket" \
		--queues "$queues" --send 20000
	check "$name: server stops" stop
	[[ $queues -eq 1 ]] || check "$name: all queues are used" all_queues_busy "$queues"
}

refusals() {
	refused() { # HINT ARGS...
		local hint=$1
		shift
		! timeout 30 "$reflect" "$@" >"$work/out" 2>"$work/err" && grep -q -- "$hint" "$work/err"
	}
	check "refusal: no such interface" refused wc-none net_af_xdp0,iface=wc-none
	check "refusal: no such PCI device" refused 0000:ff:1f.7 0000:ff:1f.7
	check "refusal: more sockets than queues" \
		refused nic-queues net_af_packet0,iface=lo,qpairs=4 --queues 1
	# More than any machine has free, whatever has been reserved on it.
	check "refusal: no huge pages" refused hugepages.sh net_null0 --huge 1073741824
}

if [[ $EUID -ne 0 ]]; then
	skip "all devices" "needs root"
elif [[ ! -x $reflect ]]; then
	skip "all devices" "there is no $reflect: meson setup $build && ninja -C $build"
else
	for kind in tap af_packet af_xdp; do
		kernel_device "$kind" 1
	done
	kernel_device tap 2
	kernel_device af_packet 2
	skip "af_xdp, 2 queues" "the driver takes one queue per device of a veth"
	memif 1
	memif 2
	for queues in 1 2; do
		check "ring, $queues queue(s): frames come back whole" \
			timeout 30 "$reflect" net_ring0 --queues "$queues" --send 100000
	done
	refusals
fi

echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
