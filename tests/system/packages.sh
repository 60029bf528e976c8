# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The Debian packages that the project needs, in one place: sourced by run.sh and tests/run.sh.
# shellcheck disable=SC2034

BUILD_PACKAGES=(build-essential meson ninja-build pkg-config dpdk libdpdk-dev liburcu-dev
	libjemalloc-dev libcmocka-dev libmicrohttpd-dev)
RUN_PACKAGES=(iproute2 ethtool procps kmod pciutils curl redis-tools netcat-openbsd)
TEST_PACKAGES=(clang libclang-rt-14-dev redis-server redis-tools memcached libmemcached-tools
	python3 python3-redis python3-pymemcache ethtool iproute2 iputils-ping netcat-openbsd
	util-linux shellcheck)

# Of the packages given, those that are not installed, one a line.
packages_missing() {
	local package status
	for package in "$@"; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || true
		[[ $status == installed ]] || echo "$package"
	done
}
