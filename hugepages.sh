#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Huge pages for wirecache: reserve, mount, show, release. Reserving means "at least that many":
# what is there already counts, so that a second run changes nothing. Sizes 2M and 1G; all NUMA
# nodes, or one of them.

set -euo pipefail

usage() {
	cat <<'TEXT'
usage: hugepages.sh reserve [--size 2M|1G] [--node N] COUNT | SIZEMiB | SIZEGiB
       hugepages.sh mount   [--size 2M|1G]
       hugepages.sh show
       hugepages.sh release [--size 2M|1G] [--node N]

  reserve   has at least COUNT pages (or that many MiB, GiB of them) in all; fails as a whole
  mount     mounts hugetlbfs, for programs that map huge pages by file (wirecached does not need it)
  show      pages per size and node
  release   gives back every page that is not in use
TEXT
}

fail() {
	echo "hugepages.sh: $*" >&2
	exit 1
}

need_root() {
	[[ $EUID -eq 0 ]] || fail "$1 needs root: sudo $0 $1 ..."
}

# --- arguments ------------------------------------------------------------------------------------

size=2M
node=
amount=
command=${1:-}
[[ $# -gt 0 ]] && shift

while [[ $# -gt 0 ]]; do
	case $1 in
	--size)
		size=${2:-}
		shift 2 || fail "--size needs 2M or 1G"
		;;
	--node)
		node=${2:-}
		shift 2 || fail "--node needs a number"
		[[ $node =~ ^[0-9]+$ ]] || fail "--node needs a number, not '$node'"
		;;
	-h | --help)
		usage
		exit 0
		;;
	-*) fail "unknown option $1 (see --help)" ;;
	*)
		[[ -z $amount ]] || fail "one amount only: '$amount' or '$1'?"
		amount=$1
		shift
		;;
	esac
done

case $size in
2M) size_kib=2048 ;;
1G) size_kib=1048576 ;;
*) fail "--size is 2M or 1G, not '$size'" ;;
esac

# --- the kernel's counters ------------------------------------------------------------------------

# The folder of counters for the size in force: of one node, or of the whole machine.
counters_dir() {
	if [[ -n $node ]]; then
		echo "/sys/devices/system/node/node$node/hugepages/hugepages-${size_kib}kB"
	else
		echo "/sys/kernel/mm/hugepages/hugepages-${size_kib}kB"
	fi
}

check_size_and_node() {
	[[ -d /sys/kernel/mm/hugepages ]] || fail "this kernel has no huge pages (CONFIG_HUGETLBFS)"
	[[ -z $node || -d /sys/devices/system/node/node$node ]] ||
		fail "there is no NUMA node $node: $(cd /sys/devices/system/node && echo node[0-9]*)"
	[[ -d $(counters_dir) ]] ||
		fail "no pages of $size here: the CPU or the kernel does not have them"
}

# Pages for an amount such as 512, 512MiB, 4GiB.
pages_of() {
	local number
	[[ $1 =~ ^([0-9]{1,9})(MiB|GiB)?$ ]] ||
		fail "'$1' is no amount: use a number of pages, or for example 512MiB or 4GiB"
	number=$((10#${BASH_REMATCH[1]}))
	case ${BASH_REMATCH[2]} in
	MiB) echo $(((number * 1024 + size_kib - 1) / size_kib)) ;;
	GiB) echo $(((number * 1024 * 1024 + size_kib - 1) / size_kib)) ;;
	*) echo "$number" ;;
	esac
}

where() {
	echo "pages of $size${node:+ on node $node}"
}

# --- commands -------------------------------------------------------------------------------------

# Asks for that many pages in all. The kernel gives what it finds, so memory is compacted and asked
# again.
set_pages() {
	local dir=$1 wanted=$2
	echo "$wanted" >"$dir/nr_hugepages" 2>/dev/null || return 1
	[[ $(<"$dir/nr_hugepages") -lt $wanted ]] || return 0
	sync
	echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
	echo 1 >/proc/sys/vm/compact_memory 2>/dev/null || true
	echo "$wanted" >"$dir/nr_hugepages" 2>/dev/null || return 1
	[[ $(<"$dir/nr_hugepages") -ge $wanted ]]
}

explain_shortfall() {
	local wanted=$1 got=$2
	echo "hugepages.sh: only $got of $wanted $(where) could be had; nothing was changed" >&2
	if [[ $size == 1G ]]; then
		echo "  1 GiB pages need memory that is free in one piece, which a running system rarely has." >&2
		echo "  Reserve them at boot: hugepagesz=1G hugepages=$wanted on the kernel command line," >&2
		echo "  or use --size 2M." >&2
	else
		echo "  Memory is too full or too fragmented (see: free -m). Stop something large, ask for less," >&2
		echo "  or reserve at boot: hugepages=$wanted on the kernel command line." >&2
	fi
	exit 1
}

reserve() {
	local dir before wanted got available_kib
	need_root reserve
	[[ -n $amount ]] || fail "how many? For example: $0 reserve 512MiB"
	check_size_and_node
	dir=$(counters_dir)
	wanted=$(pages_of "$amount")
	before=$(<"$dir/nr_hugepages")
	if [[ $before -ge $wanted ]]; then
		echo "$before $(where) are reserved already ($(<"$dir/free_hugepages") free)"
		return
	fi
	# The kernel would squeeze everybody else out before it gives up.
	available_kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
	(((wanted - before) * size_kib < available_kib - 262144)) ||
		fail "$wanted $(where) are more than this machine has free ($((available_kib / 1024)) MiB)"
	if ! set_pages "$dir" "$wanted"; then
		got=$(<"$dir/nr_hugepages")
		echo "$before" >"$dir/nr_hugepages" 2>/dev/null || true
		explain_shortfall "$wanted" "$got"
	fi
	echo "$wanted $(where) reserved ($((wanted - before)) new)"
}

mount_point() {
	if [[ $size == 1G ]]; then echo /dev/hugepages1G; else echo /dev/hugepages; fi
}

is_mounted() {
	awk -v dir="$1" '$2 == dir && $3 == "hugetlbfs" { found = 1 } END { exit !found }' /proc/mounts
}

mount_pages() {
	local dir
	need_root mount
	check_size_and_node
	dir=$(mount_point)
	if is_mounted "$dir"; then
		echo "$dir is mounted already"
		return
	fi
	mkdir -p "$dir"
	mount -t hugetlbfs -o "pagesize=$size" none "$dir" || fail "mounting hugetlbfs at $dir failed"
	echo "pages of $size are mounted at $dir"
}

show() {
	local dir place kib
	[[ -d /sys/kernel/mm/hugepages ]] || fail "this kernel has no huge pages (CONFIG_HUGETLBFS)"
	printf '%-8s %-6s %10s %10s\n' size node reserved free
	for dir in /sys/devices/system/node/node*/hugepages/hugepages-*kB \
		/sys/kernel/mm/hugepages/hugepages-*kB; do
		[[ -d $dir ]] || continue
		kib=${dir##*hugepages-}
		kib=${kib%kB}
		place=all
		[[ $dir =~ /node([0-9]+)/ ]] && place=${BASH_REMATCH[1]}
		if ((kib >= 1048576)); then kib="$((kib / 1048576))G"; else kib="$((kib / 1024))M"; fi
		printf '%-8s %-6s %10s %10s\n' "$kib" "$place" \
			"$(<"$dir/nr_hugepages")" "$(<"$dir/free_hugepages")"
	done
	awk '$3 == "hugetlbfs" { print "mounted: " $2 " (" $4 ")" }' /proc/mounts
}

release() {
	local dir used mount
	need_root release
	check_size_and_node
	dir=$(counters_dir)
	used=$(($(<"$dir/nr_hugepages") - $(<"$dir/free_hugepages")))
	echo "$used" >"$dir/nr_hugepages"
	mount=$(mount_point)
	if ((used > 0)); then
		echo "all free $(where) released; $used are in use: stop their program, then release again"
	else
		echo "all $(where) released"
		# Somebody else's mount stays where files are on it.
		if is_mounted "$mount" && [[ -z $node && -z $(ls -A "$mount") ]]; then
			umount "$mount" && echo "$mount unmounted"
		fi
	fi
}

[[ $command == reserve || -z $amount ]] || fail "'$amount' says nothing to $command (see --help)"

case $command in
reserve) reserve ;;
mount) mount_pages ;;
show) show ;;
release) release ;;
-h | --help | help) usage ;;
*)
	[[ -z $command ]] || echo "hugepages.sh: what is '$command'?" >&2
	usage >&2
	exit 2
	;;
esac
