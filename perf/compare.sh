#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# wirecache beside redis-server and memcached, in one run on one machine: GET and SET, pipeline 1
# and 32, rate end to end and CPU per operation. What each figure is: perf/README.md. Brings up what
# it needs and takes it down again; an appliance that run.sh has started already is used as it is.

set -euo pipefail
caller_dir=$PWD
cd "$(dirname "$0")/.."
# shellcheck source=tests/system/packages.sh
. tests/system/packages.sh

usage() {
	cat <<'TEXT'
usage: sudo perf/compare.sh [--quick] [--json FILE]

  --quick      3 rounds of about 1 s each instead of 5 of 3 s; under a minute in all
  --json FILE  writes the figures there, too
TEXT
}

LAB=wirecache-lab          # where run.sh puts the client
PEERS=wirecache-peers      # namespace of redis-server and memcached
PEER_LINK=wcpeer0          # its veth; the client's end has a "c" behind it
PEER_CLIENT=10.98.0.1
PEER_SERVER=10.98.0.2
SERVER_CORE=1
CLIENT_CORE=0
APPLIANCE_PID_FILE=/run/wirecache/wirecached.pid
started_appliance=no
peer_pids=()
arguments=()

fail() {
	echo "compare.sh: $*" >&2
	exit 1
}

say() {
	echo "compare.sh: $*" >&2
}

cleanup() {
	local pid
	# A second Ctrl-C is not to leave half of it.
	trap '' INT TERM HUP
	for pid in "${peer_pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	[[ ! -f $APPLIANCE_PID_FILE ]] || kill -CONT "$(<"$APPLIANCE_PID_FILE")" 2>/dev/null || true
	ip netns del "$PEERS" 2>/dev/null || true
	ip -n "$LAB" link del "${PEER_LINK}c" 2>/dev/null || true
	[[ $started_appliance == no ]] || ./run.sh down >"$RUN_DIR/down.log" 2>&1 || true
	rm -rf "$RUN_DIR"
}

install_peers() {
	local missing
	mapfile -t missing < <(packages_missing "${COMPARE_PACKAGES[@]}")
	[[ ${#missing[@]} -gt 0 ]] || return 0
	say "installing ${missing[*]}"
	packages_install "${missing[@]}" >"$RUN_DIR/apt.log" 2>&1 ||
		fail "cannot install ${missing[*]}: $(tail -n 1 "$RUN_DIR/apt.log")"
}

# The appliance with one worker on the server's core, unless one runs: then that, as it is.
start_appliance() {
	if [[ -f $APPLIANCE_PID_FILE && -d /proc/$(<"$APPLIANCE_PID_FILE") ]]; then
		say "using the appliance that is running; its keys key:* and mem:* are written"
		return
	fi
	say "starting the appliance"
	started_appliance=yes
	./run.sh up -- --workers 1 --worker-cores "$SERVER_CORE" --control-core "$CLIENT_CORE" \
		--poll-idle busy --maxmemory 512mb >"$RUN_DIR/up.log" 2>&1 || {
		tail -n 20 "$RUN_DIR/up.log" >&2
		fail "run.sh up failed"
	}
}

# The value of a directive on the appliance's command line, or else the default.
appliance_directive() {
	tr '\0' '\n' <"/proc/$(<"$APPLIANCE_PID_FILE")/cmdline" |
		awk -v name="--$1" -v value="$2" '$0 == name { getline value } END { print value }'
}

# A namespace for the peers, on a veth of their own into the client's: the same path as the
# appliance's, with the kernel's offloads, which favour them.
start_peers() {
	ip netns del "$PEERS" 2>/dev/null || true
	ip -n "$LAB" link del "${PEER_LINK}c" 2>/dev/null || true
	ip netns add "$PEERS"
	ip -n "$PEERS" link set lo up
	ip link add "$PEER_LINK" netns "$PEERS" type veth \
		peer name "${PEER_LINK}c" netns "$LAB"
	ip -n "$PEERS" addr add "$PEER_SERVER/24" dev "$PEER_LINK"
	ip -n "$LAB" addr add "$PEER_CLIENT/24" dev "${PEER_LINK}c"
	ip -n "$PEERS" link set "$PEER_LINK" up
	ip -n "$LAB" link set "${PEER_LINK}c" up
	taskset -c "$SERVER_CORE" ip netns exec "$PEERS" \
		redis-server --bind "$PEER_SERVER" --port 6379 --protected-mode no \
		--save '' --appendonly no >"$RUN_DIR/redis.log" 2>&1 &
	peer_pids+=($!)
	taskset -c "$SERVER_CORE" ip netns exec "$PEERS" memcached -u nobody -t 1 -m 1024 \
		-l "$PEER_SERVER" -p 11211 -U 0 >"$RUN_DIR/memcached.log" 2>&1 &
	peer_pids+=($!)
}

while [[ $# -gt 0 ]]; do
	case $1 in
	--quick) arguments+=(--quick) ;;
	--json)
		[[ $# -ge 2 ]] || fail "--json wants a file"
		arguments+=(--json "$(cd "$caller_dir" && realpath -m "$2")")
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "compare.sh: what is '$1'?" >&2
		usage >&2
		exit 2
		;;
	esac
	shift
done
[[ $EUID -eq 0 ]] || fail "needs root: sudo perf/compare.sh"
[[ $(nproc) -ge 2 ]] || fail "needs two cores: one for the server, one for the client"

RUN_DIR=$(mktemp -d /tmp/wirecache-compare.XXXXXX)
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
install_peers
start_appliance
ninja -C build perf/loopload >"$RUN_DIR/build.log" 2>&1 ||
	fail "cannot build loopload: $(tail -n 1 "$RUN_DIR/build.log")"
start_peers

python3 perf/compare.py --lab "$LAB" --client-core "$CLIENT_CORE" --server-core "$SERVER_CORE" \
	--appliance-pid "$(<"$APPLIANCE_PID_FILE")" --appliance 10.99.0.2 \
	--metrics-port "$(appliance_directive metrics-port 9121)" --peers "$PEER_SERVER" \
	--redis-pid "${peer_pids[0]}" --memcached-pid "${peer_pids[1]}" \
	--loopload build/perf/loopload "${arguments[@]}"
