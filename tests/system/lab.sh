# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A virtual lab: a network namespace with a client at 10.99.0.1/24, on one link with an appliance at
# 10.99.0.2. To be sourced by run.sh and by the system tests. All of it needs root.
#
#   lab_up NAME KIND       the namespace and, for af_packet and af_xdp, a veth pair into it
#   lab_device NAME KIND [QUEUES]   what to give to nic-device
#   lab_attach NAME KIND   once the appliance runs: for tap, moves its interface into the namespace
#   lab_exec NAME CMD...   runs CMD where the client lives
#   lab_down NAME          takes everything away
#
# KIND is tap, af_packet or af_xdp. Different NAMEs do not disturb each other: addresses repeat,
# but in namespaces of their own.

LAB_CLIENT=10.99.0.1
# shellcheck disable=SC2034  # for those who source this
LAB_APPLIANCE=10.99.0.2
LAB_PREFIX=24

# The appliance's interface; the client's has a "c" behind it. Names of interfaces hold 15
# characters.
lab_iface() {
	if [[ $1 == wirecache-lab ]]; then
		echo wc0
	else
		printf 'wc%08x\n' "$(printf %s "$1" | cksum | cut -d' ' -f1)"
	fi
}

lab_exists() {
	ip netns list 2>/dev/null | grep -qE "^$1( |\$)"
}

lab_exec() {
	local name=$1
	shift
	ip netns exec "$name" "$@"
}

lab_device() {
	local iface queues=${3:-1}
	iface=$(lab_iface "$1")
	case $2 in
	tap) echo "net_tap0,iface=$iface" ;;
	# Large rings: the driver blocks when one is full. No queueing discipline of the kernel is
	# wanted.
	af_packet) echo "net_af_packet0,iface=$iface,qpairs=$queues,framecnt=2048,qdisc_bypass=1" ;;
	# A veth copies anyway; and without hardware behind it, busy polling is a system call for
	# nothing.
	af_xdp) echo "net_af_xdp0,iface=$iface,force_copy=1,busy_budget=0" ;;
	*)
		echo "lab: '$2' is no kind of device: use tap, af_packet or af_xdp" >&2
		return 1
		;;
	esac
}

lab_up() {
	local name=$1 kind=$2 iface
	iface=$(lab_iface "$name")
	lab_device "$name" "$kind" >/dev/null || return 1
	lab_down "$name"
	ip netns add "$name" || return 1
	ip -n "$name" link set lo up
	[[ $kind == tap ]] || lab_veth "$name" "$iface" || {
		lab_down "$name"
		return 1
	}
}

# One queue on each side: an AF_XDP socket serves one queue, and what arrives on others would pass
# it by.
lab_veth() {
	local name=$1 iface=$2
	ip link add "$iface" numrxqueues 1 numtxqueues 1 type veth \
		peer name "${iface}c" netns "$name" numrxqueues 1 numtxqueues 1 || return 1
	# The host is not to speak on the appliance's side, and not to route what it overhears
	# there.
	sysctl -qw "net.ipv6.conf.$iface.disable_ipv6=1" 2>/dev/null
	sysctl -qw "net.ipv4.conf.$iface.forwarding=0" 2>/dev/null
	lab_exec "$name" sysctl -qw "net.ipv6.conf.${iface}c.disable_ipv6=1" 2>/dev/null
	# Otherwise the client's frames come without checksums and up to 64 KiB long.
	lab_exec "$name" ethtool -K "${iface}c" tx off >/dev/null || return 1
	ip -n "$name" addr add "$LAB_CLIENT/$LAB_PREFIX" dev "${iface}c" || return 1
	ip -n "$name" link set "${iface}c" up || return 1
	ip link set "$iface" up
}

lab_attach() {
	local name=$1 kind=$2 iface
	iface=$(lab_iface "$name")
	[[ $kind == tap ]] || return 0
	# Moved already?
	ip -n "$name" link show "$iface" >/dev/null 2>&1 && return 0
	ip link show "$iface" >/dev/null 2>&1 || return 1
	ip link set "$iface" netns "$name" || return 1
	lab_exec "$name" sysctl -qw "net.ipv6.conf.$iface.disable_ipv6=1" 2>/dev/null
	# The driver gives both ends of the wire one MAC address; the client gets its own.
	ip -n "$name" link set "$iface" address 02:63:6c:69:65:01 || return 1
	ip -n "$name" addr add "$LAB_CLIENT/$LAB_PREFIX" dev "$iface" || return 1
	ip -n "$name" link set "$iface" up
}

lab_down() {
	local name=$1 iface
	iface=$(lab_iface "$name")
	ip link show "$iface" >/dev/null 2>&1 && ip link del "$iface" 2>/dev/null
	lab_exists "$name" && ip netns del "$name"
	return 0
}
