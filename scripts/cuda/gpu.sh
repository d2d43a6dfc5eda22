#!/bin/sh
# Everything that needs a GPU, in one command and a few minutes: the tests of the packages that touch one, training compared with PyTorch's bits on
# the same GPU, the demo in each precision, and the benchmark beside PyTorch and Fabric.
#
#   scripts/cuda/gpu.sh                 build, then run
#   scripts/cuda/gpu.sh build           builds out/gpu.tar.xz: programs and tests, for a machine that has a GPU and no Go
#   scripts/cuda/gpu.sh run [PART ...]  unpacks and runs it there, in the checkout's root: tests, demo, benchmark, or those named
#
# run takes the libtorch of python3's torch, which must be 2.11 with CUDA; PYTHON names another Python. What it prints goes to out/gpu/log, or to $OUT.
# Lightning is needed for the benchmark only.
set -u
cd "$(dirname "$0")/../.."
packages="torch torch/cuda torch/profiler torch/nn torch/optim torch/data amp dist ddp lite"
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

# tests runs a package's tests in its folder, those of a pattern, without those of another. It passes over those that take long and touch no GPU:
# they run elsewhere.
tests() {
	name=$(echo "$1" | tr / .)
	(cd "$1" && "$gpu/$name.test" -test.v -test.short -test.timeout 4m -test.run "$2" ${3:+-test.skip "$3"}) >"$log/$name.txt" 2>&1
	code=$?
	[ $code = 0 ] && word=ok || word="FAILED ($code)"
	echo "$word $1: $(grep -c '^ *--- PASS' "$log/$name.txt") passed, $(grep -c '^ *--- SKIP' "$log/$name.txt") skipped"
	grep -E '^ *--- FAIL' "$log/$name.txt"
	return $code
}

# together waits for what was started with &, and notes whether all of it succeeded.
together() {
	for pid in $pids; do wait "$pid" || failed=1; done
	pids=
}

all_tests() {
	say "PyTorch's own run, to compare with"
	# The CPU draws the inputs: with the kernels that the tests have.
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE MKL_VML_DEBUG_CPU_TYPE=3 OMP_NUM_THREADS=1 \
		"$python" scripts/cuda/record_gpu.py >"$log/pytorch.json" || failed=1
	export GOLITE_GPU_RECORDING="$log/pytorch.json"

	say "tests"
	for p in torch/profiler torch/nn torch/optim torch/data amp; do
		tests "$p" . & pids="$pids $!"
	done
	tests torch 'CUDA|GPU|Device|Pin|Memory' & pids="$pids $!"
	tests dist NCCL & pids="$pids $!"
	tests lite 'Capture|EachDevice|GPU|DeviceToDevice|OutOfMemory' & pids="$pids $!"
	together
	# One of them takes all of the GPU's memory.
	tests torch/cuda . || failed=1
}

demo() {
	"$gpu/mnist" -accelerator gpu -devices 1 -precision "$1" -epochs 1 >"$log/mnist-$1.txt" 2>&1 && word=ok || word=FAILED
	echo "$word $1: $(grep -v '^$' "$log/mnist-$1.txt" | tail -1)"
	[ $word = ok ]
}

all_demos() {
	say "the demo"
	for p in $precisions; do
		demo "$p" & pids="$pids $!"
	done
	together
}

benchmark() {
	say "the benchmark"
	"$gpu/run" -device cuda -rounds "${ROUNDS:-5}" -work "$gpu/work" -python "$(command -v "$python")" -out "$log" >"$log/benchmark.txt" 2>&1 || failed=1
	cat "$log/benchmark.txt"
	ls "$log"/*.jsonl >/dev/null 2>&1 || failed=1
}

run() {
	python=${PYTHON:-python3}
	[ -d out/gpu ] || "$python" -c "import tarfile; tarfile.open('out/gpu.tar.xz').extractall('out')" || exit 1
	torch=$("$python" -c 'import importlib.util, os; print(os.path.dirname(importlib.util.find_spec("torch").origin))') || exit 1
	gpu=$PWD/out/gpu
	log=${OUT:-$gpu/log}
	mkdir -p "$log"
	export LD_LIBRARY_PATH="$torch/lib" GOLITE_CUDA_LIBRARY="$gpu/libcgotorch_cuda.so" GOLITE_TEST_CUDA=1 TORCH_CPP_LOG_LEVEL=ERROR
	failed=0
	pids=

	say "what there is"
	nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
	(cd torch/cuda && "$gpu/torch.cuda.test" -test.v -test.run 'WhatIsThere|LibraryIsOpen') | grep -E 'cuda_test.go|^(---|ok|FAIL|PASS)'
	[ -n "$("$gpu/work" card)" ] || { echo "no GPU is found"; exit 1; }

	[ $# -gt 0 ] || set -- tests demo benchmark
	for part; do
		case $part in
		tests) all_tests ;;
		demo) all_demos ;;
		benchmark) benchmark ;;
		*) echo "$part is none of tests, demo, benchmark" && failed=1 ;;
		esac
	done
	say "done"
	[ $failed = 0 ] && echo "all is well" || echo "something FAILED: see $log"
	return $failed
}

case "${1:-all}" in
build) build ;;
run) shift && run "$@" ;;
all) build && run ;;
*) sed -n '2,11p' "$0" && exit 2 ;;
esac
