# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The Debian packages that the project needs, in one place, and how to install them: sourced by
# run.sh, tests/run.sh and perf/compare.sh.
# shellcheck disable=SC2034

BUILD_PACKAGES=(build-essential meson ninja-build pkg-config dpdk libdpdk-dev liburcu-dev
	libjemalloc-dev libcmocka-dev libmicrohttpd-dev liblzf-dev libssl-dev)
RUN_PACKAGES=(iproute2 ethtool procps kmod pciutils curl redis-tools netcat-openbsd)
TEST_PACKAGES=(clang libclang-rt-14-dev redis-server redis-sentinel redis-tools memcached libmemcached-tools
	python3 python3-redis python3-pymemcache python3-pylibmc python3-binary-memcached ethtool iproute2 iputils-ping netcat-openbsd nmap
	util-linux shellcheck spin)
COMPARE_PACKAGES=(python3 redis-server redis-tools memcached libmemcached-tools gnuplot-nox
	util-linux)

# Of the packages given, those that are not installed, one a line.
packages_missing() {
	local package status
	for package in "$@"; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || true
		[[ $status == installed ]] || echo "$package"
	done
}

# Installs them. Debian starts the servers that it installs, and this keeps it from that, now and at
# boot: whoever needs one starts it. Puts the policy back that was there, when interrupted, too.
packages_install() (
	policy=/usr/sbin/policy-rc.d
	saved=$(mktemp)
	[[ ! -e $policy ]] || cp -p "$policy" "$saved"
	# shellcheck disable=SC2317  # called by the trap
	restore() {
		if [[ -s $saved ]]; then cp -p "$saved" "$policy"; else rm -f "$policy"; fi
		rm -f "$saved"
	}
	trap restore EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" || exit
	for service in redis-server redis-sentinel memcached; do
		if [[ " $* " == *" $service "* ]]; then
			systemctl disable -q "$service" 2>/dev/null || true
		fi
	done
)
