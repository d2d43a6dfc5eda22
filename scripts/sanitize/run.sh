#!/bin/bash
# Runs cgotorch's C++ under tools that watch memory and threads. README.md in this folder tells what each part covers.
#
#   scripts/sanitize/run.sh            all parts
#   scripts/sanitize/run.sh drivers    the C++ by itself, under ThreadSanitizer, AddressSanitizer and UBSan
#   scripts/sanitize/run.sh tests      the Go tests of PACKAGES (./cgotorch/... and ddp) under AddressSanitizer and UBSan
#   scripts/sanitize/run.sh valgrind   two training steps under valgrind, in C++ and in Go
#
# It needs g++ with its sanitizers, and valgrind. What is missing is a failure: nothing is left out in silence.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/scripts/sanitize
packages=${PACKAGES:-./cgotorch ./ddp}
cxx=${CXX:-g++}

work=$(mktemp -d "${TMPDIR:-/tmp}/golite-sanitize.XXXXXX")
trap 'rm -rf "$work"' EXIT

say() { printf '\n== %s\n' "$*"; }
die() { echo "FAIL: $*" >&2; exit 1; }

# Finds of a sanitizer end the program with a status of their own.
export ASAN_OPTIONS=exitcode=66:abort_on_error=0:handle_segv=0:allow_user_segv_handler=1:detect_stack_use_after_return=0
export UBSAN_OPTIONS=halt_on_error=1:exitcode=66:print_stacktrace=1:suppressions=$here/ubsan.supp
export LSAN_OPTIONS=suppressions=$here/lsan.supp:print_suppressions=0
export TSAN_OPTIONS=exitcode=66:halt_on_error=1:suppressions=$here/tsan.supp:print_suppressions=0
# One thread for an operation: OpenMP's barriers are unknown to the tools.
export OMP_NUM_THREADS=1

# What UBSan looks for. Left out: vptr, which needs type information that libtorch keeps to itself, and null and object-size,
# which triple the time to compile libtorch's headers, and whose faults AddressSanitizer reports as soon as they touch memory.
ubsan="-fsanitize=undefined -fno-sanitize=vptr,null,object-size -fno-sanitize-recover=undefined"

# driver compiles driver.cc with some flags, once.
driver() {
	local out=$1 lib=$PWD/third_party/libtorch/lib include=third_party/libtorch/include
	shift
	[ -x "$out" ] && return
	say "compiling $(basename "$out")"
	"$cxx" -std=c++20 -g1 -Wall -Wno-sign-compare "$@" -I$include -I$include/torch/csrc/api/include -Icgotorch \
		-Icgotorch/internal/stubs scripts/sanitize/driver.cc -o "$out" -L"$lib" -ltorch_cpu -lc10 -ldl -pthread -Wl,-rpath,"$lib"
}

# fixed runs a command without address randomization: gcc 12 has a ThreadSanitizer that does not start with 32 bits of it.
fixed() { timeout 600 setarch "$(uname -m)" -R "$@"; }

# clean runs a command that must succeed.
clean() {
	echo "$*"
	"$@" >"$work/log" 2>&1 || { cat "$work/log"; die "$*"; }
}

# found runs a command that must fail with a report that has a text: else the tool is blind.
found() {
	local text=$1
	shift
	echo "$* must report $text"
	if "$@" >"$work/log" 2>&1; then cat "$work/log"; die "no report of $text by $*"; fi
	grep -q "$text" "$work/log" || { cat "$work/log"; die "another report than $text by $*"; }
}

# prints runs a command that must print a line.
prints() {
	local line=$1
	shift
	echo "$* must print: $line"
	"$@" >"$work/log" 2>&1 || { cat "$work/log"; die "$*"; }
	grep -qxF "$line" "$work/log" || { cat "$work/log"; die "$* printed something else"; }
}

drivers() {
	local part
	driver "$work/plain" -O1
	say "free lists: on by themselves in a plain program, off by themselves where a tool watches memory"
	prints "tensors kept, objects kept" timeout 600 "$work/plain" kept
	prints "tensors freed, objects freed" timeout 600 env GOLITE_OVERRIDES=-allocator,-new "$work/plain" kept
	local asan
	asan=$("$cxx" -print-file-name=libasan.so)
	prints "tensors freed, objects freed" timeout 600 env ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$(readlink -f "$asan")" "$work/plain" kept

	driver "$work/tsan" -O1 -fsanitize=thread
	say "ThreadSanitizer"
	prints "tensors freed, objects freed" fixed "$work/tsan" kept
	found "heap-use-after-free" fixed "$work/tsan" freed-tensor
	found "heap-use-after-free" fixed "$work/tsan" freed-object
	found "data race" fixed "$work/tsan" race
	for part in handles blocks inprocess shared; do clean fixed "$work/tsan" "$part"; done
	clean fixed env GOLITE_DRIVER_KEEPS=1 "$work/tsan" blocks

	# shellcheck disable=SC2086 # ubsan is a list
	driver "$work/asan" -O0 -fsanitize=address $ubsan -fno-omit-frame-pointer
	say "AddressSanitizer, LeakSanitizer and UBSan"
	prints "tensors freed, objects freed" timeout 600 "$work/asan" kept
	found "heap-use-after-free" timeout 600 "$work/asan" freed-tensor
	found "heap-use-after-free" timeout 600 "$work/asan" freed-object
	for part in handles blocks inprocess shared step; do clean timeout 600 "$work/asan" "$part"; done
	clean timeout 600 env GOLITE_DRIVER_KEEPS=1 "$work/asan" blocks
}

tests() {
	local skip
	skip=$(sed 's/ *#.*//' "$here/skip.txt" | { grep . || true; } | paste -sd'|')
	say "go test -asan $packages"
	# shellcheck disable=SC2086 # packages is a list
	CGO_CXXFLAGS="-fsanitize=address $ubsan -fno-omit-frame-pointer" CGO_LDFLAGS="$ubsan" \
		go test -asan -count=1 -timeout 20m ${skip:+-skip "$skip"} $packages
}

memcheck() {
	timeout 900 valgrind --error-exitcode=66 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
		--num-callers=40 --suppressions="$here/valgrind.supp" "$@"
}

valgrind_part() {
	command -v valgrind >/dev/null || die "valgrind is not installed: apt-get install valgrind"
	driver "$work/plain" -O1
	say "valgrind: C++"
	prints "tensors freed, objects freed" memcheck -q "$work/plain" kept
	found "Invalid read" memcheck "$work/plain" freed-tensor
	found "Invalid read" memcheck "$work/plain" freed-object
	clean memcheck "$work/plain" step
	say "valgrind: Go"
	go build -tags valgrind -o "$work/step" ./scripts/sanitize/step
	clean memcheck "$work/step"
	cat "$work/log"
}

for part in ${*:-drivers tests valgrind}; do
	case $part in
	drivers | tests) $part ;;
	valgrind) valgrind_part ;;
	*) die "there is no part $part: want drivers, tests or valgrind" ;;
	esac
done
