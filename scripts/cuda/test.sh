#!/bin/sh
# Opens lib/libcgotorch_cuda.so for real, against libtorch with CUDA, and runs tests with it and without it. Without a GPU the library reports 0
# devices, and tests that need one say "skipped: no CUDA device".
#
# third_party/libtorch stays as it is: the test binaries find the other libtorch by LD_LIBRARY_PATH. PACKAGES may name other tests.
set -eu
cd "$(dirname "$0")/../.."
packages=${PACKAGES:-./torch ./torch/cuda ./torch/profiler ./torch/nn ./torch/optim ./torch/data ./amp ./lite}
say() { printf '\n== %s\n' "$1"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
go build -o "$work/libtorch" ./cmd/libtorch
# Outside of the checkout no link is made. The last line puts pkg-config's file back.
(cd "$work" && ./libtorch install -kind cuda && ./libtorch env -kind cuda >env && ./libtorch install 2>/dev/null)
lib=$(sed -n "s/.*-L\([^ ']*\).*/\1/p" "$work/env")

say "every symbol of libcgotorch_cuda.so is in $lib or in what that needs"
LD_LIBRARY_PATH=$lib ldd -r lib/libcgotorch_cuda.so >"$work/ldd" 2>&1
if grep -E 'undefined symbol|not found' "$work/ldd"; then exit 1; fi
grep -c '=>' "$work/ldd" | sed 's/$/ libraries, none missing/'

say "with libcgotorch_cuda.so, all symbols bound at once"
go test -count=1 -v -run 'WhatIsThere|LibraryIsOpen' -exec "env LD_BIND_NOW=1 LD_LIBRARY_PATH=$lib GOLITE_TEST_CUDA=1" ./torch/cuda

say "tests with it"
go test -count=1 -timeout 20m -exec "env LD_LIBRARY_PATH=$lib GOLITE_TEST_CUDA=1" $packages

say "tests with libtorch's CUDA libraries, without it"
go test -count=1 -timeout 20m -exec "env LD_LIBRARY_PATH=$lib GOLITE_CUDA_LIBRARY=none" ./torch ./torch/cuda

say "skipped for want of a GPU"
go test -count=1 -v -exec "env LD_LIBRARY_PATH=$lib GOLITE_TEST_CUDA=1" $packages 2>&1 | grep -c 'skipped: no CUDA device' || true
