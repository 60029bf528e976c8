#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Fuzzes for long: every fuzzer, or those named, for the same time each, beginning with the corpus of
# the repository; what reaches more code is added to it. With afl++ installed, half of the time is
# AFL's. Prints the hours that each ran clean; what it found lies in build-asan/found.
#
# usage: tests/fuzz/long.sh MINUTES [NAME...]      NAME: frame, tcp, pair, resp, memcache, binary, udp

set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

minutes=${1:-}
if ! [[ $minutes =~ ^[1-9][0-9]*$ ]]; then
	sed -n '4,11s/^# \{0,1\}//p' "$0"
	exit 2
fi
shift
names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(frame tcp pair resp memcache binary udp)
found=build-asan/found
failed=0

# build DIR COMPILER [OPTION...]
build() {
	local directory=$1 compiler=$2
	shift 2
	if ! [[ -f $directory/build.ninja ]] &&
		! CC=$compiler meson setup "$directory" -Db_lundef=false -Dfuzz=true -Dhot_asserts=true "$@" >/dev/null; then
		echo "$directory cannot be configured: see $directory/meson-logs/meson-log.txt"
		exit 2
	fi
	if ! ninja -C "$directory" "${names[@]/#/tests/fuzz/fuzz_}" >"$directory/fuzz-build.log"; then
		echo "$directory does not build: see $directory/fuzz-build.log"
		exit 2
	fi
}

# libfuzzer NAME SECONDS
libfuzzer() {
	local fresh
	fresh=$(mktemp -d)
	"build-asan/tests/fuzz/fuzz_$1" -max_total_time="$2" -max_len=4096 -timeout=10 -detect_leaks=0 \
		-rss_limit_mb=4096 -verbosity=0 -artifact_prefix="$found/" "$fresh" "tests/fuzz/corpus/$1" \
		>"$found/$1.log" 2>&1
	local status=$?
	"build-asan/tests/fuzz/fuzz_$1" -merge=1 -detect_leaks=0 "tests/fuzz/corpus/$1" "$fresh" \
		>>"$found/$1.log" 2>&1
	rm -rf "$fresh"
	return "$status"
}

# afl NAME SECONDS: fails when it has found a crash or an input that hangs. What afl-fuzz is told not
# to care about is a core_pattern that would show crashes as hangs, which count as well.
afl() {
	local out="build-afl/found-$1"
	rm -rf "$out"
	AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 afl-fuzz -V "$2" \
		-i "tests/fuzz/corpus/$1" -o "$out" -- "build-afl/tests/fuzz/fuzz_$1" >"$found/$1-afl.log" 2>&1 ||
		return 1
	[[ -z $(find "$out" -path '*/crashes/id*' -o -path '*/hangs/id*') ]]
}

build build-asan clang -Db_sanitize=address,undefined
command -v afl-clang-fast afl-fuzz >/dev/null && build build-afl afl-clang-fast
mkdir -p "$found"
for name in "${names[@]}"; do
	seconds=$((minutes * 60))
	if [[ -d build-afl ]]; then
		seconds=$((seconds / 2))
		if afl "$name" "$seconds"; then
			echo "$name: $seconds s of afl-fuzz clean"
		else
			echo "$name: afl-fuzz found something, or does not run: build-afl/found-$name, $found/$name-afl.log"
			failed=1
		fi
	fi
	if libfuzzer "$name" "$seconds"; then
		echo "$name: $seconds s of libFuzzer clean"
	else
		echo "$name: libFuzzer found something: $found"
		failed=1
	fi
done
exit "$failed"
