# golite: train PyTorch-style models in Go, on libtorch. `make demo` and `make test` need Go 1.26, g++, make and python3-pip.

GO          ?= go
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 60s
SWEEPTIME   ?= 10m
SEED        ?= 1
TESTFLAGS   ?= -timeout 20m
DEMOFLAGS   ?= -epochs 3 -checkpoint mnist.pt
TARGETS     ?= cpu
TAG         ?= v0.1.0

# The race detector compiles cgotorch's C++ a second time, and pays where goroutines meet.
RACE = $(patsubst %,./%/...,$(wildcard torch/data dist ddp lite internal/supervisor)) ./torch

# SANITIZE picks parts of scripts/sanitize/run.sh (drivers, tests, valgrind); empty: all.
SANITIZE  ?=
SANITIZED ?= $(patsubst %,./%,$(wildcard cgotorch dist ddp))

say = @printf '\n== %s\n' "$(1)"

.NOTPARALLEL:
.PHONY: help libtorch cuda demo build test lint fmt vet staticcheck unit race fuzz sweep bench api api-diff site generate sanitize test-engines test-cuda test-gpu check-docker clean

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

libtorch: ## Install libtorch into the user's cache folder and link it as third_party/libtorch; a link to the CUDA one stays.
	@$(GO) run ./cmd/libtorch install

cuda: libtorch ## Build lib/libcgotorch_cuda.so, which brings GPUs; no CUDA and no GPU are needed.
	$(call say,building libcgotorch_cuda.so)
	@$(GO) run ./cmd/libtorch cuda-library -o lib/libcgotorch_cuda.so

demo: libtorch ## Train an MLP on MNIST, print its test accuracy, save mnist.pt.
	$(call say,building examples/mnist: the first time compiles the C++ part, half a minute to two)
	$(GO) build -o bin/mnist ./examples/mnist
	$(call say,training)
	@bin/mnist $(DEMOFLAGS)

build: libtorch ## Compile everything.
	$(GO) build ./...

test: libtorch fmt vet staticcheck unit race ## Check the sources and run all tests.

lint: libtorch fmt vet staticcheck ## Check the sources only.
	$(GO) test ./internal/lint

fmt:
	$(call say,gofmt)
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not formatted (gofmt -w does it):"; echo "$$bad"; exit 1; fi

vet: libtorch
	$(call say,go vet)
	$(GO) vet ./...

staticcheck: libtorch
	$(call say,staticcheck)
	$(GO) run $(STATICCHECK) ./...

unit: libtorch
	$(call say,tests: the first time compiles the C++ part)
	$(GO) test $(TESTFLAGS) ./...

race: libtorch
	$(call say,tests with the race detector)
	$(GO) test -race $(TESTFLAGS) $(RACE)

fuzz: libtorch ## Fuzz each parser for FUZZTIME (60s).
	@for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$f); do \
			printf '\n== %s %s\n' $$(dirname $$f) $$name; \
			$(GO) test $$(dirname $$f) -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) || exit 1; \
		done; \
	done

sweep: libtorch ## Call every operator on random arguments, in child processes, for SWEEPTIME (10m) from seed SEED (1).
	$(GO) test ./torch/aten -run '^TestRandomSweep$$' -count=1 -timeout 0 -v -args -seed=$(SEED) -sweep=$(SWEEPTIME)

bench: libtorch ## Measure golite beside its peers (installs them): minutes; -only in BENCHFLAGS picks some.
	$(GO) run ./benchmarks/run $(BENCHFLAGS)

sanitize: libtorch ## Run the C++ part and its tests under ASan and UBSan, what threads share under TSan, a training step under valgrind.
	PACKAGES="$(SANITIZED)" scripts/sanitize/run.sh $(SANITIZE)

test-engines: libtorch ## Run the ranks under torchrun, mpirun and srun for real; installs them (as root).
	scripts/engines/test.sh

test-cuda: ## Open libcgotorch_cuda.so against libtorch with CUDA (LIBTORCH names one, else it is installed: 7 GB) and run the tests.
	@LIBTORCH= $(MAKE) --no-print-directory cuda
	scripts/cuda/test.sh

test-gpu: cuda ## Run what needs a GPU, on a machine that has one: tests, the demo, the benchmark beside PyTorch.
	scripts/cuda/gpu.sh

check-docker: ## Run the Dockerfile's steps without a Docker engine (as root, with debootstrap); TARGETS=cpu,cuda adds CUDA's image.
	$(GO) run ./scripts/check-docker -target $(TARGETS)

api: ## Record the exported names anew (api/*.txt), for review; say in CHANGELOG.md what changed.
	$(GO) run ./scripts/api

api-diff: ## Print the exported names that were removed (-) and added (+) since TAG (v0.1.0): a tag, branch or commit.
	@$(GO) run ./scripts/api -diff $(TAG)

site: ## Render the documentation of all packages and docs/ into out/site: static pages, read without a network.
	$(GO) run -C scripts/site .

generate: libtorch ## Write the generated code anew (torch/aten, zz_generated_*.go).
	$(GO) generate ./...

clean: ## Remove what builds left here; libtorch stays in the cache folder.
	rm -rf bin lib out
