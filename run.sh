#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# From a fresh Debian 12 to an appliance that answers: packages, build, huge pages, a network card
# or a virtual lab, start. What it has done it writes to /run/wirecache, and takes back on `down`,
# or at once when a step fails.

set -euo pipefail
caller_dir=$PWD
cd "$(dirname "$0")"
# shellcheck source=tests/system/lab.sh
. tests/system/lab.sh
# shellcheck source=tests/system/packages.sh
. tests/system/packages.sh

usage() {
	cat <<'TEXT'
usage: sudo ./run.sh [up] [--config FILE] [--kind af_packet|af_xdp|tap] [-- DIRECTIVES...]
       sudo ./run.sh down
       sudo ./run.sh status
       sudo ./run.sh exec CMD...

  up      installs, builds, reserves huge pages, brings up the NIC and starts the appliance. The NIC is the
          one that wirecache.conf (or FILE) names with nic-device; without one it is the virtual lab: a
          client at 10.99.0.1 in the network namespace wirecache-lab, the appliance at 10.99.0.2.
          DIRECTIVES go to wirecached, for example: -- --workers 2 --maxmemory 4gb
  down    stops the appliance and undoes what up did
  status  says whether it runs and answers
  exec    runs CMD where the lab's client lives, for example: redis-cli -h 10.99.0.2 PING
TEXT
}

LAB=wirecache-lab
DEFAULT_KIND=af_packet
RUN_DIR=/run/wirecache
STATE=$RUN_DIR/state
PID_FILE=$RUN_DIR/wirecached.pid
LOG_FILE=/var/log/wirecached.log
PROGRAM=build/wirecached
START_SECONDS_MAX=30
PACKAGES=("${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}")

say() {
	echo "run.sh: $*"
}

fail() {
	echo "run.sh: $*" >&2
	exit 1
}

need_root() {
	[[ $EUID -eq 0 ]] || fail "$1 needs root: sudo ./run.sh $1"
}

# --- state: what has been done and is to be undone -----------------------------------------------

# Lines of "key value"; the last one of a key counts.
state_set() {
	mkdir -p "$RUN_DIR"
	echo "$1 $2" >>"$STATE"
}

state_get() {
	[[ -f $STATE ]] || return 0
	awk -v key="$1" '$1 == key { value = substr($0, length(key) + 2) } END { print value }' "$STATE"
}

# A process that has ended is none, even while nobody has collected it: what started it is gone,
# and not every init collects.
is_alive() {
	local name state
	{ read -r name <"/proc/$1/comm"; } 2>/dev/null || return 1
	state=$(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null)
	# On its way to become wirecached it is called otherwise for a moment.
	[[ $name =~ ^(wirecached|nohup|setsid|run\.sh)$ && $state != [ZX] ]]
}

running_pid() {
	local pid
	[[ -f $PID_FILE ]] || return 1
	pid=$(<"$PID_FILE")
	[[ $pid =~ ^[0-9]+$ ]] && is_alive "$pid" || return 1
	echo "$pid"
}

# With what the appliance runs, so that a later call asks at the ports that it was told.
remember_configuration() {
	state_set config "$config"
	printf '%s\0' "${directives[@]}" >"$RUN_DIR/directives"
}

recall_configuration() {
	config=$(state_get config)
	mapfile -d '' -t directives <"$RUN_DIR/directives"
	address=$(state_get address)
}

# --- configuration --------------------------------------------------------------------------------

config=
directives=()

# The value of a directive: from the command line, else the file, else the default given.
directive() {
	local i value=
	[[ -z $config ]] || value=$(awk -v name="$1" '$1 == name { $1 = ""; v = substr($0, 2) } END { print v }' "$config")
	for ((i = 0; i + 1 < ${#directives[@]}; i++)); do
		[[ ${directives[i]} != "--$1" ]] || value=${directives[i + 1]}
	done
	value=${value#[\"\']}
	value=${value%[\"\']}
	echo "${value:-$2}"
}

# MiB of a size such as 1gb, 512mb, 100k or 1048576, rounded up.
mib_of() {
	local number unit=1
	[[ ${1,,} =~ ^([0-9]{1,15})(k|kb|m|mb|g|gb)?$ ]] || fail "'$1' is no size in the configuration"
	number=${BASH_REMATCH[1]}
	case ${BASH_REMATCH[2]} in
	k) unit=1000 ;;
	kb) unit=1024 ;;
	m) unit=1000000 ;;
	mb) unit=1048576 ;;
	g) unit=1000000000 ;;
	gb) unit=1073741824 ;;
	esac
	echo $(((number * unit + 1048575) / 1048576))
}

# --- packages and build ---------------------------------------------------------------------------

install_packages() {
	local missing
	command -v dpkg-query >/dev/null || fail "this is not Debian: install these yourself: ${PACKAGES[*]}"
	mapfile -t missing < <(packages_missing "${PACKAGES[@]}")
	[[ ${#missing[@]} -gt 0 ]] || return 0
	say "installing ${missing[*]}"
	if ! packages_install "${missing[@]}" >"$RUN_DIR/apt.log" 2>&1; then
		tail -n 5 "$RUN_DIR/apt.log" >&2
		fail "packages cannot be installed. Is there a network, is another apt running? Needed: ${missing[*]}"
	fi
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

build_program() {
	say "building $PROGRAM"
	if [[ ! -f build/build.ninja ]]; then
		as_owner meson setup build >"$RUN_DIR/build.log" 2>&1 || {
			tail -n 20 "$RUN_DIR/build.log" >&2
			fail "meson setup build failed"
		}
	fi
	as_owner ninja -C build wirecached >"$RUN_DIR/build.log" 2>&1 || {
		tail -n 20 "$RUN_DIR/build.log" >&2
		fail "the build failed"
	}
}

# --- what must be right beforehand ----------------------------------------------------------------

# By the program's own judgement, before anything is touched. The lab sets the NIC later.
check_configuration() {
	local lab_nic=()
	[[ -n $(directive nic-device "") ]] ||
		lab_nic=(--nic-device "$(lab_device "$LAB" "${kind:-$DEFAULT_KIND}")" --nic-address "$LAB_APPLIANCE/$LAB_PREFIX")
	"$PROGRAM" --check-config ${config:+"$config"} "${lab_nic[@]}" "${directives[@]}" >"$RUN_DIR/config.log" 2>&1 || {
		sed 's/^/  /' "$RUN_DIR/config.log" >&2
		fail "the configuration cannot be used: see above. Nothing was started."
	}
}

check_kernel_ports() {
	local name port holder
	for name in admin-port:6380 metrics-port:9121; do
		port=$(directive "${name%:*}" "${name#*:}")
		[[ $port != 0 ]] || continue
		holder=$(ss -Hltnp "sport = :$port" | head -n 1)
		[[ -n $holder ]] || continue
		if [[ $holder =~ \(\"([^\"]+)\",pid=([0-9]+) ]]; then
			holder="${BASH_REMATCH[1]} (pid ${BASH_REMATCH[2]})"
		else
			holder="another program"
		fi
		fail "port $port is taken by $holder. Stop that, or choose another port: ${name%:*} in the" \
			"configuration, or sudo ./run.sh -- --${name%:*} PORT"
	done
}

# --- huge pages -----------------------------------------------------------------------------------

huge_counter() {
	echo $(($(<"/sys/kernel/mm/hugepages/hugepages-2048kB/$1")))
}

# Pages of 2 MiB that the appliance wants: for packet buffers, for data, or both.
huge_pages_wanted() {
	local nic=$1 data=$2 region pages=0
	region=$(mib_of "$(directive memory-region 0)")
	[[ $region -ne 0 ]] || region=$(mib_of "$(directive maxmemory 1gb)")
	[[ $region -ne 0 ]] || region=1024
	[[ $nic == no ]] || pages=$((($(directive nic-memory-mib 128) + 1) / 2))
	# wirecached sets a quarter more than maxmemory aside, 64 MiB at least, and its index grows
	# beside that.
	[[ $data == no ]] || pages=$((pages + (region + (region > 256 ? region / 4 : 64) + region / 16 + 32) / 2))
	echo "$pages"
}

# Reserves huge pages where the configuration says so; in the lab also where it does not, because
# there it only says what the defaults are. Without them the appliance runs as well, only slower.
prepare_huge_pages() {
	local nic data pages used before
	nic=$(directive nic-huge-pages no)
	data=$(directive huge-pages no)
	if [[ -z $(directive nic-device "") ]]; then
		nic=$(config='' directive nic-huge-pages try)
		data=$(config='' directive huge-pages try)
	fi
	if [[ $nic == no && $data == no ]]; then
		[[ -z $(directive nic-device "") ]] || say "huge pages are off (nic-huge-pages, huge-pages)"
		return 0
	fi
	pages=$(huge_pages_wanted "$nic" "$data")
	if [[ -d /sys/kernel/mm/hugepages/hugepages-2048kB ]]; then
		before=$(huge_counter nr_hugepages)
		used=$((before - $(huge_counter free_hugepages)))
		if ./hugepages.sh reserve $((used + pages)) >"$RUN_DIR/hugepages.log" 2>&1; then
			state_set huge_reserved $(($(huge_counter nr_hugepages) - before))
			[[ $nic == no ]] || extra+=(--nic-huge-pages yes)
			[[ $data == no ]] || extra+=(--huge-pages yes)
			say "$((pages * 2)) MiB of huge pages are ready"
			return
		fi
		sed 's/^/  /' "$RUN_DIR/hugepages.log" >&2
	fi
	[[ $nic != yes && $data != yes ]] ||
		fail "the configuration asks for huge pages and there are none to be had: see above, or set it to no"
	extra+=(--nic-huge-pages no --huge-pages no)
	say "no huge pages: going on with ordinary ones. What it costs: each random access to a large table takes about"
	say "a third longer, as the TLB misses more often (HARDWARE.md has figures). Small data sets do not notice."
}

give_back_huge_pages() {
	local mine now
	mine=$(state_get huge_reserved)
	[[ ${mine:-0} -gt 0 ]] || return 0
	now=$(huge_counter nr_hugepages)
	echo $((now > mine ? now - mine : 0)) >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages || true
}

# --- the NIC --------------------------------------------------------------------------------------

PCI=/sys/bus/pci

pci_driver() {
	local link
	link=$(readlink "$PCI/devices/$1/driver" 2>/dev/null) || return 0
	echo "${link##*/}"
}

# Gives a PCI NIC to vfio-pci, unless its driver shares it with DPDK. Never one that this machine
# talks through.
pci_bind() {
	local address=$1 driver iface
	[[ -d $PCI/devices/$address ]] ||
		fail "there is no PCI device $address. lspci -D -d ::0200 lists the network cards; nic-device wants the form 0000:3b:00.0"
	driver=$(pci_driver "$address")
	case $driver in
	vfio-pci | uio_pci_generic | igb_uio | mlx4_core | mlx5_core) return 0 ;;
	esac
	for iface in "$PCI/devices/$address/net/"*; do
		iface=${iface##*/}
		[[ $iface != '*' ]] || continue
		[[ -z $(ip -o addr show dev "$iface" scope global) && -z $(ip route show default dev "$iface") ]] ||
			fail "$address is $iface, which has addresses or the default route: taking it would cut this machine" \
				"off. Move them to another card first (ip addr flush dev $iface)."
	done
	modprobe vfio-pci 2>/dev/null || [[ -d $PCI/drivers/vfio-pci ]] ||
		fail "the kernel has no vfio-pci: install the kernel's modules, or bind $address to a DPDK driver yourself"
	[[ -n $(ls -A /sys/kernel/iommu_groups 2>/dev/null) ]] ||
		fail "there is no IOMMU, and vfio-pci needs one: switch on VT-d or AMD-Vi in the BIOS and boot with" \
			"intel_iommu=on iommu=pt (see HARDWARE.md)"
	state_set pci "$address"
	state_set pci_driver "${driver:-none}"
	echo vfio-pci >"$PCI/devices/$address/driver_override"
	[[ -z $driver ]] || echo "$address" >"$PCI/devices/$address/driver/unbind"
	echo "$address" >"$PCI/drivers_probe" || true
	[[ $(pci_driver "$address") == vfio-pci ]] ||
		fail "$address cannot be bound to vfio-pci: look at dmesg; perhaps its IOMMU group holds other devices"
	say "$address belongs to vfio-pci now (was: ${driver:-no driver})"
}

pci_give_back() {
	local address driver
	address=$(state_get pci)
	driver=$(state_get pci_driver)
	[[ -n $address && -d $PCI/devices/$address ]] || return 0
	echo "" >"$PCI/devices/$address/driver_override"
	[[ -z $(pci_driver "$address") ]] || echo "$address" >"$PCI/devices/$address/driver/unbind" || true
	[[ $driver == none ]] || echo "$address" >"$PCI/drivers_probe" || true
	say "$address is given back to ${driver}"
}

# How many queues to ask for: what the configuration says, or one per worker, as wirecached counts
# them.
queues_wanted() {
	local queues workers cores
	queues=$(directive nic-queues 0)
	workers=$(directive workers 0)
	cores=$(nproc)
	[[ $workers -gt 0 ]] || workers=$((cores > 1 ? cores - 1 : 1))
	echo $((queues > 0 && queues < workers ? queues : workers))
}

prepare_nic() {
	local device
	device=$(directive nic-device "")
	case $device in
	"")
		kind=${kind:-$DEFAULT_KIND}
		state_set lab "$kind"
		lab_up "$LAB" "$kind" 2>"$RUN_DIR/lab.log" || {
			sed 's/^/  /' "$RUN_DIR/lab.log" >&2
			fail "the lab does not come up; is another kind possible? --kind tap needs /dev/net/tun, the others veth"
		}
		address=$LAB_APPLIANCE
		extra+=(--nic-device "$(lab_device "$LAB" "$kind" "$(queues_wanted)")" --nic-address "$address/$LAB_PREFIX")
		;;
	net_*) ;;
	*) pci_bind "${device%%,*}" ;;
	esac
	[[ -z $device ]] || address=$(directive nic-address "")
	[[ -n $address ]] || fail "nic-device is set and nic-address is not: which address shall the appliance have?"
	address=${address%/*}
	state_set address "$address"
}

# --- the appliance --------------------------------------------------------------------------------

# PING by RESP over a socket of bash; through the NIC when it is the lab, else where the route
# leads.
ping_redis() {
	local via=()
	[[ -z $(state_get lab) ]] || via=(ip netns exec "$LAB")
	# shellcheck disable=SC2016  # expanded by the inner shell
	"${via[@]}" timeout 2 bash -c '
		exec 3<>"/dev/tcp/$0/$1" && printf "PING\r\n" >&3 && IFS= read -r -t 1 -u 3 answer &&
			[[ $answer == "+PONG"* || $answer == "-NOAUTH"* ]]' "$1" "$2" 2>/dev/null
}

start_program() {
	say "starting the appliance (log: $LOG_FILE)"
	: >>"$LOG_FILE"
	local log_from
	log_from=$(stat -c %s "$LOG_FILE")
	setsid nohup "$PROGRAM" ${config:+"$config"} "${extra[@]}" "${directives[@]}" >>"$LOG_FILE" 2>&1 </dev/null 9>&- &
	echo $! >"$PID_FILE"
	state_set log_from "$log_from"
	remember_configuration
}

last_words() {
	tail -c "+$(($(state_get log_from) + 1))" "$LOG_FILE" | tail -n 15 | sed 's/^/  /' >&2
}

# Where an answer can be expected: through the NIC in the lab; on a card of one's own, from the
# admin listener, because this host need not have a way to the card's network.
answers() {
	if [[ -n $(state_get lab) ]]; then
		ping_redis "$address" "$(directive port 6379)"
	else
		ping_redis 127.0.0.1 "$(directive admin-port 6380)"
	fi
}

wait_for_answer() {
	local deadline=$((SECONDS + START_SECONDS_MAX)) pid
	pid=$(<"$PID_FILE")
	until [[ $SECONDS -ge $deadline ]]; do
		if [[ ! -d /proc/$pid ]]; then
			last_words
			fail "the appliance has ended: see above and $LOG_FILE"
		fi
		[[ -z $(state_get lab) ]] || lab_attach "$LAB" "$(state_get lab)" 2>/dev/null || true
		answers && return
		sleep 0.2
	done
	last_words
	fail "the appliance does not answer PING within $START_SECONDS_MAX s: see above and $LOG_FILE"
}

print_how_to_connect() {
	local port memcached
	port=$(directive port 6379)
	memcached=$(directive memcached-port 11211)
	if [[ -n $(state_get lab) ]]; then
		cat <<TEXT

The appliance answers at $address in the lab ($(state_get lab)). Try:
  sudo ./run.sh exec redis-cli -h $address -p $port SET greeting hello
  sudo ./run.sh exec redis-cli -h $address -p $port GET greeting
  sudo ./run.sh exec sh -c 'printf "get greeting\r\nquit\r\n" | nc $address $memcached'
TEXT
	else
		cat <<TEXT

The appliance is at $address on $(directive nic-device ""). From a machine on that network:
  redis-cli -h $address -p $port PING          memcached: port $memcached
TEXT
	fi
	cat <<TEXT
On this host: redis-cli -p $(directive admin-port 6380) INFO (administration), curl -s localhost:$(directive metrics-port 9121)/metrics
Stop it with: sudo ./run.sh down
TEXT
}

stop_program() {
	local pid i
	pid=$(running_pid) || return 0
	kill -TERM "$pid" 2>/dev/null || true
	for ((i = 0; i < 150; i++)); do
		is_alive "$pid" || break
		sleep 0.1
	done
	if is_alive "$pid"; then
		say "it did not stop within 15 s and is killed"
		kill -KILL "$pid" 2>/dev/null || true
		sleep 0.2
	fi
}

undo() {
	stop_program
	[[ -z $(state_get lab) ]] || lab_down "$LAB" || true
	pci_give_back
	give_back_huge_pages
	rm -rf "$RUN_DIR"
}

undo_after_failure() {
	local rc=$?
	[[ $rc -ne 0 ]] || return 0
	# A second Ctrl-C is not to leave half of it.
	trap '' INT TERM HUP
	undo
	exit "$rc"
}

# --- commands -------------------------------------------------------------------------------------

extra=()
kind=
address=

# One at a time: what one builds up, no other takes down meanwhile.
take_lock() {
	exec 9>/run/wirecache.lock
	flock -n 9 || fail "another run.sh is at work: wait for it, or interrupt it"
}

up() {
	local pid
	need_root up
	[[ -z $config || -f $config && -r $config ]] || fail "$config is no file that can be read. Which one is meant?"
	take_lock
	if pid=$(running_pid); then
		recall_configuration
		say "the appliance runs already (pid $pid). To start it anew: sudo ./run.sh down, then sudo ./run.sh"
		print_how_to_connect
		return
	fi
	# Of a start that was cut short, or a machine that went down.
	[[ ! -f $STATE ]] || undo
	mkdir -p "$RUN_DIR"
	trap undo_after_failure EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	install_packages
	build_program
	check_configuration
	check_kernel_ports
	prepare_huge_pages
	prepare_nic
	start_program
	wait_for_answer
	trap - EXIT INT TERM HUP
	print_how_to_connect
}

down() {
	need_root down
	take_lock
	if [[ ! -f $STATE ]] && ! running_pid >/dev/null; then
		say "nothing is up"
		return
	fi
	undo
	say "the appliance is down"
}

status() {
	local pid where
	need_root status
	if ! pid=$(running_pid); then
		say "the appliance is down"
		return 3
	fi
	recall_configuration
	where=$(state_get lab)
	say "the appliance runs: pid $pid, since $(ps -o lstart= -p "$pid"), ${where:+lab $where, }address $address"
	if answers; then
		say "it answers PING"
	else
		say "it does not answer PING (log: $LOG_FILE)"
		return 1
	fi
}

exec_in_lab() {
	need_root exec
	[[ $# -gt 0 ]] || fail "exec what? For example: sudo ./run.sh exec redis-cli -h $LAB_APPLIANCE PING"
	lab_exists "$LAB" || fail "there is no lab: start it with sudo ./run.sh"
	cd "$caller_dir"
	ip netns exec "$LAB" "$@"
}

command=up
case ${1:-} in
up | down | status)
	command=$1
	shift
	;;
exec)
	shift
	exec_in_lab "$@"
	exit
	;;
esac

while [[ $# -gt 0 ]]; do
	case $1 in
	--config)
		[[ -n ${2:-} ]] || fail "--config needs a file"
		config=$(realpath -m "$caller_dir/$2")
		[[ $2 != /* ]] || config=$2
		shift 2
		;;
	--kind)
		[[ -n ${2:-} ]] || fail "--kind needs af_packet, af_xdp or tap"
		kind=$2
		lab_device x "$kind" >/dev/null || exit 1
		shift 2
		;;
	--)
		shift
		directives=("$@")
		break
		;;
	-h | --help | help)
		usage
		exit 0
		;;
	*)
		echo "run.sh: what is '$1'? See ./run.sh --help" >&2
		exit 2
		;;
	esac
done
[[ -n $config || ! -f wirecache.conf ]] || config=wirecache.conf

$command
