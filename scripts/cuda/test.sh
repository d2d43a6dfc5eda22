#!/bin/sh
# Opens lib/libcgotorch_cuda.so for real, against libtorch with CUDA, and runs the tests with it and without it. Without a GPU the library reports 0
# devices, and tests that need one say "skipped: no CUDA device".
#
# LIBTORCH may name a libtorch with CUDA that is there already, such as the folder torch of a Python install; else 7 GB are installed. PACKAGES may
# name other tests. third_party/libtorch stays as it is: the test binaries find the other libtorch by LD_LIBRARY_PATH.
set -eu
cd "$(dirname "$0")/../.."
packages=${PACKAGES:-./...}
say() { printf '\n== %s\n' "$1"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
if [ -n "${LIBTORCH:-}" ]; then
	lib=$LIBTORCH/lib
else
	go build -o "$work/libtorch" ./cmd/libtorch
	# Outside of the checkout no link is made. The last line puts pkg-config's file back.
	(cd "$work" && ./libtorch install -kind cuda && ./libtorch env -kind cuda >env && ./libtorch install -kind cpu 2>/dev/null)
	lib=$(sed -n "s/.*-L\([^ ']*\).*/\1/p" "$work/env")
fi
unset LIBTORCH # it is this script's, not the tests'

say "every symbol of libcgotorch_cuda.so is in $lib or in what that needs"
LD_LIBRARY_PATH=$lib ldd -r lib/libcgotorch_cuda.so >"$work/ldd" 2>&1
if grep -E 'undefined symbol|not found' "$work/ldd"; then exit 1; fi
grep -c '=>' "$work/ldd" | sed 's/$/ libraries, none missing/'

say "with libcgotorch_cuda.so, all symbols bound at once"
go test -count=1 -v -run 'WhatIsThere|LibraryIsOpen' -exec "env LD_BIND_NOW=1 LD_LIBRARY_PATH=$lib GOLITE_TEST_CUDA=1" ./torch/cuda

# run runs tests with a setting, and shows what failed.
run() {
	log=$1
	shift
	# shellcheck disable=SC2086 # packages is a list
	if ! go test -count=1 -v -timeout 20m -exec "env LD_LIBRARY_PATH=$lib $*" $packages >"$log" 2>&1; then
		grep -vE '^ *(=== |--- (PASS|SKIP))' "$log"
		exit 1
	fi
	grep -E '^(ok|\?)' "$log" | grep -v 'no test files'
}

say "tests with it"
run "$work/with" GOLITE_TEST_CUDA=1
skipped=$(grep -c 'skipped: no CUDA device' "$work/with") || [ "$skipped" = 0 ] # grep fails where it finds none
echo "$skipped skipped for want of a GPU"

say "tests with libtorch's CUDA libraries, without it"
run "$work/without" GOLITE_CUDA_LIBRARY=none
