#!/bin/sh
# Everything that needs a GPU, in one command and less than 8 minutes: the tests of the packages that touch one, training compared with PyTorch's bits on
# the same GPU, the demo in each precision, and the benchmark beside PyTorch and Fabric.
#
#   scripts/cuda/gpu.sh           build, then run
#   scripts/cuda/gpu.sh build     builds out/gpu.tar.xz: programs and tests, for a machine that has a GPU and no Go
#   scripts/cuda/gpu.sh run       unpacks and runs it there, in the checkout's root
#
# run takes the libtorch of python3's torch, which must be 2.11 with CUDA; PYTHON names another Python. What it prints goes to out/gpu/log, or to $OUT.
# Lightning is needed for the benchmark only.
set -u
cd "$(dirname "$0")/../.."
packages="torch torch/cuda torch/profiler torch/nn torch/optim torch/data amp ddp lite"
precisions="32-true 64-true 16-mixed bf16-mixed 16-true bf16-true"
say() { printf '\n== %s (%ss)\n' "$1" "$(($(date +%s) - begin))"; }
begin=$(date +%s)

build() {
	set -e
	rm -rf out/gpu out/gpu.tar.xz
	mkdir -p out/gpu
	go run ./cmd/libtorch install
	go run ./cmd/libtorch cuda-library -o out/gpu/libcgotorch_cuda.so
	for p in $packages; do
		go test -c -ldflags='-s -w' -o "out/gpu/$(echo "$p" | tr / .).test" "./$p"
	done
	go build -ldflags='-s -w' -o out/gpu/mnist ./examples/mnist
	go build -ldflags='-s -w' -o out/gpu/work ./benchmarks/work
	go build -ldflags='-s -w' -o out/gpu/run ./benchmarks/run
	# The programs hold the same data and code: a dictionary as large as the whole halves the archive.
	XZ_OPT=-9 tar -C out -cJf out/gpu.tar.xz gpu
	ls -l out/gpu.tar.xz
	set +e
}

# tests runs a package's tests in its folder. It passes over those that take long and touch no GPU: they run elsewhere.
tests() {
	(cd "$1" && "$gpu/$(echo "$1" | tr / .).test" -test.v -test.short -test.timeout 5m ${2:+-test.run "$2"}) >"$log/$(echo "$1" | tr / .).txt" 2>&1
	code=$?
	[ $code = 0 ] && word=ok || word="FAILED ($code)"
	passed=$(grep -c '^ *--- PASS' "$log/$(echo "$1" | tr / .).txt")
	echo "$word $1: $passed passed, $(grep -c '^ *--- SKIP' "$log/$(echo "$1" | tr / .).txt") skipped"
	grep -E '^ *--- FAIL' "$log/$(echo "$1" | tr / .).txt"
	return $code
}

run() {
	python=${PYTHON:-python3}
	[ -d out/gpu ] || "$python" -c "import tarfile; tarfile.open('out/gpu.tar.xz').extractall('out')" || exit 1
	torch=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))') || exit 1
	gpu=$PWD/out/gpu
	log=${OUT:-$gpu/log}
	mkdir -p "$log"
	export LD_LIBRARY_PATH="$torch/lib" GOLITE_CUDA_LIBRARY="$gpu/libcgotorch_cuda.so" GOLITE_TEST_CUDA=1 TORCH_CPP_LOG_LEVEL=ERROR
	failed=0

	say "what there is"
	nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
	(cd torch/cuda && "$gpu/torch.cuda.test" -test.v -test.run 'WhatIsThere|LibraryIsOpen') | grep -E 'cuda_test.go|^(---|ok|FAIL|PASS)'
	[ -n "$("$gpu/work" card)" ] || { echo "no GPU is found"; exit 1; }

	say "PyTorch's own run, to compare with"
	# The CPU draws the inputs: with the kernels that the tests have.
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE OMP_NUM_THREADS=1 "$python" scripts/cuda/record_gpu.py >"$log/pytorch.json" || failed=1
	export GOLITE_GPU_RECORDING="$log/pytorch.json"

	say "tests"
	tests torch/cuda || failed=1
	for p in torch/profiler torch/nn torch/optim torch/data amp; do tests "$p" || failed=1; done
	tests torch 'CUDA|GPU|Device|Pin|Memory' || failed=1
	tests ddp 'NCCL' || failed=1
	tests lite 'Capture|EachDevice|GPU|DeviceToDevice|OutOfMemory' || failed=1

	say "the demo"
	for p in $precisions; do
		"$gpu/mnist" -accelerator gpu -devices 1 -precision "$p" -epochs 1 >"$log/mnist-$p.txt" 2>&1 && word=ok || { word=FAILED; failed=1; }
		echo "$word $p: $(grep -v '^$' "$log/mnist-$p.txt" | tail -1)"
	done

	say "the benchmark"
	"$gpu/run" -device cuda -rounds 5 -work "$gpu/work" -python "$(command -v "$python")" -out "$log" 2>&1 | tee "$log/benchmark.txt" || failed=1
	ls "$log"/*.jsonl >/dev/null 2>&1 || failed=1
	say "done"
	[ $failed = 0 ] && echo "all is well" || echo "something FAILED: see $log"
	return $failed
}

case "${1:-all}" in
build) build ;;
run) run ;;
all) build && run ;;
*) sed -n '2,11p' "$0" && exit 2 ;;
esac
