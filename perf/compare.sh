#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# wirecache beside redis-server, memcached and whatever else is found, in one run on one machine.
# What each figure is: perf/README.md. This script installs, builds and sets the lab up, hands over
# to perf/compare/compare.py, which measures, and takes everything down again. An appliance that
# run.sh has started already is used for view A as it is.

set -euo pipefail
caller_dir=$PWD
cd "$(dirname "$0")/.."
# shellcheck source=tests/system/packages.sh
. tests/system/packages.sh

usage() {
	cat <<'TEXT'
usage: sudo perf/compare.sh [--quick] [--json FILE] [--against FILE]
                            [--view A,B,C] [--workload NAME,NAME] [--rounds N] [--seconds S]

  --quick           the main workloads, in under a minute; without it about 20 minutes
  --json FILE       writes the figures there, beside perf/results/
  --against FILE    compares the ratios with those of an earlier run's JSON; exit status 1 when one
                    has become worse
  --view A,B,C      only these: A end to end, B cycles per operation, C in one process
  --workload NAMES  only these: get, set, mix, mget, connect, ... (all sizes and pipelines of them)
  --rounds N        of each workload (11 in view B, 5 in A and C)
  --seconds S       of each round, beside its warm-up
TEXT
}

LAB=wirecache-lab          # where run.sh puts the client
PEERS=wirecache-peers      # namespace of the peers
PEER_LINK=wcpeer0          # its veth; the client's end has a "c" behind it
PEER_CLIENT=10.98.0.1
PEER_SERVER=10.98.0.2
APPLIANCE=10.99.0.2
SERVER_CORE=1
CLIENT_CORE=0
APPLIANCE_PID_FILE=/run/wirecache/wirecached.pid
PROGRAMS=(wirecached perf/wirecache-load perf/bench_path perf/echo_server
	perf/core_distance)
PACKAGES=("${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${COMPARE_PACKAGES[@]}")
views=A,B,C
started_appliance=no
measuring_pid=
arguments=()

fail() {
	echo "compare.sh: $*" >&2
	exit 1
}

say() {
	echo "compare.sh: $*" >&2
}

cleanup() {
	# A second Ctrl-C is not to leave half of it.
	trap '' INT TERM HUP
	if [[ -n $measuring_pid ]] && kill -TERM "$measuring_pid" 2>/dev/null; then
		wait "$measuring_pid" || true
	fi
	[[ ! -f $APPLIANCE_PID_FILE ]] || kill -CONT "$(<"$APPLIANCE_PID_FILE")" 2>/dev/null || true
	ip netns del "$PEERS" 2>/dev/null || true
	ip -n "$LAB" link del "${PEER_LINK}c" 2>/dev/null || true
	[[ $started_appliance == no ]] || ./run.sh down >"$RUN_DIR/down.log" 2>&1 || true
	rm -rf "$RUN_DIR"
}

install_packages() {
	local missing
	mapfile -t missing < <(packages_missing "${PACKAGES[@]}")
	[[ ${#missing[@]} -gt 0 ]] || return 0
	say "installing ${missing[*]}"
	packages_install "${missing[@]}" >"$RUN_DIR/apt.log" 2>&1 ||
		fail "cannot install ${missing[*]}: $(tail -n 1 "$RUN_DIR/apt.log")"
}

# As the user who owns the sources, so that the build directory is theirs too.
as_owner() {
	local owner
	owner=$(stat -c %U .)
	if [[ $owner != root && $owner != UNKNOWN ]]; then
		runuser -u "$owner" -- "$@"
	else
		"$@"
	fi
}

build_programs() {
	if [[ ! -f build/build.ninja ]] && ! as_owner meson setup build >"$RUN_DIR/build.log" 2>&1 ||
		! as_owner ninja -C build "${PROGRAMS[@]}" >>"$RUN_DIR/build.log" 2>&1; then
		tail -n 20 "$RUN_DIR/build.log" >&2
		fail "the build failed"
	fi
}

appliance_runs() {
	[[ -f $APPLIANCE_PID_FILE && -d /proc/$(<"$APPLIANCE_PID_FILE") ]]
}

# The appliance with one worker on the server's core, unless one runs: then that, as it is.
start_appliance() {
	if appliance_runs; then
		say "using the appliance that is running; its keys key:* are written, all of them deleted"
		return
	fi
	say "starting the appliance"
	started_appliance=yes
	./run.sh up -- --workers 1 --worker-cores "$SERVER_CORE" --control-core "$CLIENT_CORE" \
		--poll-idle busy --maxmemory 1gb >"$RUN_DIR/up.log" 2>&1 8>&- || {
		tail -n 20 "$RUN_DIR/up.log" >&2
		fail "run.sh up failed"
	}
}

# The value of a directive on the appliance's command line, or else the default.
appliance_directive() {
	tr '\0' '\n' <"/proc/$(<"$APPLIANCE_PID_FILE")/cmdline" |
		awk -v name="--$1" -v value="$2" '$0 == name { getline value } END { print value }'
}

# Thousands of short connections one after another want all ports, and those of the last second.
make_room_for_clients() {
	ip netns exec "$1" sysctl -qw net.ipv4.ip_local_port_range="1024 65535" \
		net.ipv4.tcp_tw_reuse=1 net.core.somaxconn=4096
}

# A namespace for the peers; for view A with a veth into the client's, the same path as the
# appliance's, with the kernel's offloads, which favour them.
make_peers_namespace() {
	ip netns del "$PEERS" 2>/dev/null || true
	ip netns add "$PEERS"
	ip -n "$PEERS" link set lo up
	make_room_for_clients "$PEERS"
	[[ $views == *A* ]] || return 0
	ip -n "$LAB" link del "${PEER_LINK}c" 2>/dev/null || true
	ip link add "$PEER_LINK" netns "$PEERS" type veth \
		peer name "${PEER_LINK}c" netns "$LAB"
	ip -n "$PEERS" addr add "$PEER_SERVER/24" dev "$PEER_LINK"
	ip -n "$LAB" addr add "$PEER_CLIENT/24" dev "${PEER_LINK}c"
	ip -n "$PEERS" link set "$PEER_LINK" up
	ip -n "$LAB" link set "${PEER_LINK}c" up
	make_room_for_clients "$LAB"
}

command="perf/compare.sh $*"
while [[ $# -gt 0 ]]; do
	case $1 in
	--quick) arguments+=(--quick) ;;
	--json | --against)
		[[ $# -ge 2 ]] || fail "$1 wants a file"
		arguments+=("$1" "$(cd "$caller_dir" && realpath -m "$2")")
		[[ $1 == --json || -r ${arguments[-1]} ]] || fail "$2 cannot be read"
		shift
		;;
	--view)
		[[ ${2:-} =~ ^[ABC](,[ABC])*$ ]] || fail "--view wants some of A,B,C"
		views=$2
		shift
		;;
	--workload | --rounds | --seconds)
		[[ $# -ge 2 ]] || fail "$1 wants a value"
		arguments+=("$1" "$2")
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

# One at a time: there is one server's core, and one namespace of the peers.
exec 8>/run/wirecache-compare.lock
flock -n 8 || fail "another compare.sh is at work: wait for it, or interrupt it"
RUN_DIR=$(mktemp -d /tmp/wirecache-compare.XXXXXX)
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
install_packages
build_programs
[[ $views != *A* ]] || start_appliance
make_peers_namespace
# The largest workload wants some more than 10,000.
ulimit -n "$(ulimit -Hn)"
appliance_pid=0 metrics_port=0
if appliance_runs; then
	appliance_pid=$(<"$APPLIANCE_PID_FILE")
	metrics_port=$(appliance_directive metrics-port 9121)
fi

# In the background, so that a signal to this script is heard at once.
/usr/bin/python3 perf/compare/compare.py --lab "$LAB" --client-core "$CLIENT_CORE" \
	--server-core "$SERVER_CORE" --appliance-pid "$appliance_pid" --appliance "$APPLIANCE" \
	--metrics-port "$metrics_port" --peers-namespace "$PEERS" --peers "$PEER_SERVER" \
	--run-dir "$RUN_DIR" --command "$command" --view "$views" "${arguments[@]}" &
measuring_pid=$!
wait "$measuring_pid"
