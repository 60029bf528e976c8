#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# From a fresh Debian 12 to a verdict: installs, builds, runs the test suites, and closes with the
# line "N passed, N failed, N skipped". Exit status 0 if nothing failed.
#
# usage: tests/run.sh [SUITE...]     unit sim stress model fuzz system lint; all of them by default
#
# Three builds: build/ (gcc) for everything, build-asan/ (clang, address and undefined behaviour
# sanitizers) for unit, sim, stress and fuzz, build-tsan/ (clang, thread sanitizer) for stress.
# Without root nothing is installed and the system tests are skipped.
#
# FUZZ_SECONDS     seconds for each fuzzer, as many at a time as there are cores (60)
# SYSTEM_SECONDS   at most, for one system test script (240)
# MODEL_LONG       set: also the searches of tests/model that take minutes and gigabytes (skipped)

set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
# shellcheck source=tests/system/packages.sh
. tests/system/packages.sh

ALL_SUITES=(lint unit sim stress model fuzz system)
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
SYSTEM_SECONDS=${SYSTEM_SECONDS:-240}
LOGS=build/test-logs

passed=0 failed=0 skipped=0
failures=()

say() {
	echo "tests/run.sh: $*"
}

finish() {
	local name
	for name in "${failures[@]}"; do
		say "failed: $name"
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	[[ $failed -eq 0 && $passed -gt 0 ]]
	exit
}

count_failure() {
	failed=$((failed + 1))
	failures+=("$1")
}

# --- packages -------------------------------------------------------------------------------------

install_packages() {
	local missing
	mapfile -t missing < <(packages_missing "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}")
	[[ ${#missing[@]} -gt 0 ]] || return 0
	if [[ $EUID -ne 0 ]]; then
		say "not installed, and only root can: ${missing[*]}"
		return 0
	fi
	say "installing ${missing[*]}"
	if ! packages_install "${missing[@]}" >"$LOGS/apt.log" 2>&1; then
		tail -n 5 "$LOGS/apt.log"
		say "packages cannot be installed. Is there a network, is another apt running?"
		count_failure "packages"
		finish
	fi
}

# --- builds ---------------------------------------------------------------------------------------

# As the user who owns the sources, so that the build directories are theirs, too.
as_owner() {
	local owner
	owner=$(stat -c %U .)
	if [[ $EUID -eq 0 && $owner != root && $owner != UNKNOWN ]]; then
		runuser -u "$owner" -- "$@"
	else
		"$@"
	fi
}

# build DIR [MESON OPTION...]: configures it if it is new, and builds. A failure is one failed test.
build() {
	local directory=$1 log="$LOGS/$1.log" start=$SECONDS
	shift
	if ! { [[ -f $directory/build.ninja ]] ||
		as_owner meson setup "$directory" "$@"; } >"$log" 2>&1 ||
		! as_owner ninja -k 0 -C "$directory" >>"$log" 2>&1; then
		grep -E '^FAILED:| error: |undefined reference|^ERROR' "$log" | head -n 40
		say "all of it is in $log"
		count_failure "build of $directory"
		return 1
	fi
	say "$directory is built ($((SECONDS - start)) s)"
}

needs_asan() {
	command -v clang >/dev/null || {
		say "no clang: nothing is run under sanitizers"
		skipped=$((skipped + 1))
		return 1
	}
	[[ -n ${asan_result:-} ]] || {
		CC=clang build build-asan -Db_sanitize=address,undefined -Db_lundef=false \
			-Dhot_asserts=true -Ddeveloper=true -Dfuzz=true
		asan_result=$?
	}
	return "$asan_result"
}

# --- suites ---------------------------------------------------------------------------------------

# Adds up a line of JSON per test, as meson writes it, and shows what failed.
count_meson() {
	local label=$1 file=$2 result name
	while IFS=$'\t' read -r result name; do
		case $result in
		OK | EXPECTEDFAIL) passed=$((passed + 1)) ;;
		SKIP) skipped=$((skipped + 1)) ;;
		*) count_failure "$label: $name ($result)" ;;
		esac
	done < <(python3 - "$file" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    test = json.loads(line)
    print(test["result"], test["name"], sep="\t")
    if test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP"):
        text = (test.get("stdout") or "") + (test.get("stderr") or "")
        print("\n".join(text.splitlines()[-40:]), file=sys.stderr)
PYTHON
	)
}

# meson_suite DIR SUITE [OPTION...]
meson_suite() {
	local directory=$1 suite=$2 start=$SECONDS
	local before=$((passed + failed + skipped))
	shift 2
	say "$suite in $directory"
	rm -f "$directory/meson-logs/testlog.json"
	as_owner meson test -C "$directory" --no-rebuild --suite "$suite" "$@" \
		>"$LOGS/$suite-$directory.log" 2>&1
	if [[ -f $directory/meson-logs/testlog.json ]]; then
		count_meson "$suite in $directory" "$directory/meson-logs/testlog.json"
	fi
	if [[ $((passed + failed + skipped)) -eq $before ]]; then
		say "there are no $suite tests in $directory"
	fi
	say "$suite in $directory took $((SECONDS - start)) s"
}

suite_lint() {
	meson_suite build lint
}

suite_unit() {
	meson_suite build unit
	needs_asan && meson_suite build-asan unit
}

suite_sim() {
	meson_suite build sim
	needs_asan && meson_suite build-asan sim
}

suite_stress() {
	meson_suite build stress --num-processes 1
	needs_asan && meson_suite build-asan stress --num-processes 1
	if command -v clang >/dev/null; then
		CC=clang build build-tsan -Db_sanitize=thread -Db_lundef=false -Drcu_flavor=c11 &&
			meson_suite build-tsan stress --num-processes 1
	fi
}

# One at a time: a long search takes gigabytes.
suite_model() {
	meson_suite build model --num-processes 1
}

# One fuzzer for some seconds, from a fixed seed and the corpus of the repository. What it adds is
# thrown away; tests/fuzz/long.sh keeps it.
fuzz_one() {
	local program=$1 seconds=$2 corpus
	corpus=$(mktemp -d)
	"$program" -seed=1 -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix="$LOGS/" "$corpus" "tests/fuzz/corpus/${program##*fuzz_}" \
		>"$LOGS/$(basename "$program").log" 2>&1
	local status=$?
	rm -rf "$corpus"
	return "$status"
}

suite_fuzz() {
	local program programs=() cores pids=() i status
	needs_asan || return
	meson_suite build-asan fuzz
	for program in build-asan/tests/fuzz/fuzz_*; do
		[[ -f $program && -x $program ]] && programs+=("$program")
	done
	[[ ${#programs[@]} -gt 0 ]] || return
	cores=$(nproc)
	say "each of ${#programs[@]} fuzzers for $FUZZ_SECONDS s"
	for ((i = 0; i < ${#programs[@]}; i += cores)); do
		pids=()
		for program in "${programs[@]:i:cores}"; do
			fuzz_one "$program" "$FUZZ_SECONDS" &
			pids+=($!)
		done
		for program in "${programs[@]:i:cores}"; do
			wait "${pids[0]}"
			status=$?
			pids=("${pids[@]:1}")
			if [[ $status -eq 0 ]]; then
				passed=$((passed + 1))
			else
				tail -n 30 "$LOGS/$(basename "$program").log"
				count_failure "fuzz: $(basename "$program")"
			fi
		done
	done
}

# A system test prints a line per check ("ok NAME", "not ok NAME", "ok NAME # SKIP why"), or its
# exit status is its result: 0, 1, or 77 for skipped.
count_system() {
	local script=$1 status=$2 log=$3 line lines=0 bad=0
	while IFS= read -r line; do
		lines=$((lines + 1))
		case $line in
		skip* | *'# SKIP'*) skipped=$((skipped + 1)) ;;
		ok*) passed=$((passed + 1)) ;;
		*)
			bad=$((bad + 1))
			count_failure "$script: $line"
			;;
		esac
	done < <(grep -E '^(ok|not ok|FAIL|skip)\b' "$log")
	if [[ $bad -gt 0 || $status -ne 0 && $status -ne 77 ]]; then
		tail -n 60 "$log"
	fi
	if [[ $status -eq 77 && $lines -eq 0 ]]; then
		skipped=$((skipped + 1))
	elif [[ $status -eq 0 && $lines -eq 0 ]]; then
		passed=$((passed + 1))
	elif [[ $status -ne 0 && $status -ne 77 && $bad -eq 0 ]]; then
		count_failure "$script (exit status $status)"
	fi
}

suite_system() {
	local script log status start
	if [[ $EUID -ne 0 ]]; then
		say "system tests make network namespaces, which needs root: skipped"
		skipped=$((skipped + 1))
		return
	fi
	for script in tests/system/*.py tests/system/*.sh; do
		[[ -x $script ]] || continue # a part of others
		log="$LOGS/$(basename "$script").log"
		start=$SECONDS
		timeout --kill-after=10 "$SYSTEM_SECONDS" "$script" >"$log" 2>&1
		status=$?
		count_system "$script" "$status" "$log"
		say "$script took $((SECONDS - start)) s"
	done
}

# --- main -----------------------------------------------------------------------------------------

suites=("$@")
[[ ${#suites[@]} -gt 0 ]] || suites=("${ALL_SUITES[@]}")
for suite in "${suites[@]}"; do
	if [[ $suite == -h || $suite == --help ]]; then
		echo "usage: tests/run.sh [SUITE...]    suites: ${ALL_SUITES[*]}"
		exit 0
	fi
	if [[ " ${ALL_SUITES[*]} " != *" $suite "* ]]; then
		echo "usage: tests/run.sh [SUITE...]    suites: ${ALL_SUITES[*]}" >&2
		exit 2
	fi
done

if ! as_owner mkdir -p "$LOGS" 2>/dev/null || [[ ! -w $LOGS ]]; then
	say "this folder belongs to $(stat -c %U .), who alone can build in it: sudo tests/run.sh" >&2
	exit 1
fi
install_packages
if build build -Ddeveloper=true; then
	for suite in "${suites[@]}"; do
		case $suite in
		lint) suite_lint ;;
		unit) suite_unit ;;
		sim) suite_sim ;;
		stress) suite_stress ;;
		model) suite_model ;;
		fuzz) suite_fuzz ;;
		system) suite_system ;;
		esac
	done
fi
finish
