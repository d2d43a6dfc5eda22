#!/bin/sh
# Builds lib/libcgotorch_cuda.so: headers only, no CUDA, no nvcc and no GPU are needed.
#
# LIBTORCH and CUDA_HEADERS may name other folders than the links in third_party; OUT another file.
set -eu
cd "$(dirname "$0")/../.."
torch=${LIBTORCH:-third_party/libtorch}
cuda=${CUDA_HEADERS:-third_party/cuda}
out=${OUT:-lib/libcgotorch_cuda.so}
src=cgotorch/cuda

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir -p "$(dirname "$out")"

# libtorch_cuda.so itself is not here. An empty library of that name is enough to write down that it is needed.
for name in torch_cuda c10_cuda; do
	"${CXX:-g++}" -shared -nostdlib -Wl,-soname,lib$name.so -o "$work/lib$name.so" -x c /dev/null
done

pids=
for f in "$src"/*.cc; do
	"${CXX:-g++}" -std=c++20 -O2 -g1 -fPIC -fvisibility=hidden -Wall -Wno-sign-compare -Wno-interference-size \
		-I"$src/stubs" -I"$torch/include" -I"$torch/include/torch/csrc/api/include" \
		-isystem "$cuda/cu13/include" -isystem "$cuda/nccl/include" \
		-c "$f" -o "$work/$(basename "$f" .cc).o" &
	pids="$pids $!"
done
for p in $pids; do wait "$p"; done

"${CXX:-g++}" -shared -Wl,-soname,libcgotorch_cuda.so -Wl,--allow-shlib-undefined -Wl,--no-as-needed -Wl,-rpath,'$ORIGIN' \
	"$work"/*.o -L"$work" -L"$torch/lib" -ltorch_cuda -lc10_cuda -ltorch_cpu -lc10 -o "$work/out.so"
mv "$work/out.so" "$out"
echo "$out"
