#!/bin/bash
# Runs one program, unchanged, under golite's own launchers, on two hosts (network namespaces), and under torchrun, mpirun and
# srun for real, and compares the losses, which must be the same to the last bit. Then ranks are killed: under torchrun the job
# must resume by itself, under mpirun and srun it must end. At last come the Go tests that need PyTorch in Python or two hosts.
#
#   scripts/engines/test.sh            all of it
#   scripts/engines/test.sh probe      only the engines, with a program that needs no libtorch
#   scripts/engines/test.sh faults     only the ranks that are killed
#   scripts/engines/test.sh peers      only the Go tests
#
# Debian's openmpi-bin and slurm-wlm are installed if they are absent (as root), and torchrun comes from scripts/peers.sh.
# Everything listens on the loopback and is ended at the end. An engine that can't be installed or started, for want of a
# network or of rights, is named with the reason and left out; where ALL_ENGINES is set that is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/engines/slurm.sh
. scripts/engines/hosts.sh
. scripts/engines/faults.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/golite-engines.XXXXXX")
jobs_started=
finish() {
	status=$?
	[ "$BASHPID" = "$$" ] || return 0 # a child that a signal ends before it has become its program
	for pid in $jobs_started; do kill "$pid" 2>/dev/null || true; done
	slurm_stop
	hosts_stop
	if [ "$status" = 0 ]; then rm -rf "$work"; else echo "kept for a look: $work" >&2; fi
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
die() { echo "FAIL: $*" >&2; exit 1; }

have_all() {
	for program in mpirun srun munged ip pgrep; do command -v "$program" >/dev/null || return 1; done
	python3 -c 'import ensurepip' 2>/dev/null
}

# install_engines leaves in $engines those that are there.
install_engines() {
	if ! have_all && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing openmpi-bin, slurm-wlm, iproute2, procps and python3-venv"
		{ timeout 300 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y -qq \
			--no-install-recommends openmpi-bin slurm-wlm iproute2 procps python3-venv; } >"$work/apt.log" 2>&1 || tail -n 5 "$work/apt.log" >&2
	fi
	engines=
	if peers=$(timeout 1200 scripts/peers.sh); then
		torchrun="$peers/bin/torchrun"
		engines=torchrun
	else
		absent "torchrun" "torch can't be installed from PyPI, see above"
	fi
	if command -v mpirun >/dev/null; then engines="$engines mpirun"; else absent "mpirun" "apt-get install openmpi-bin, as root"; fi
	if ! command -v srun >/dev/null || ! command -v munged >/dev/null; then
		absent "srun" "apt-get install slurm-wlm, as root"
	elif [ "$(id -u)" != 0 ]; then
		absent "srun" "SLURM's daemons need root here"
	elif ! slurm_start "$work/slurm"; then
		absent "srun" "SLURM's daemons don't start here, see above"
	else
		engines="$engines srun"
	fi
	if hosts_start 2>"$work/hosts.err"; then engines="$engines hosts"; else absent "two hosts" "network namespaces need root and the ip command: $(tail -n 1 "$work/hosts.err")"; fi
}

missing=
absent() {
	missing="$missing $1"
	echo "NOT TESTED: $1: $2" >&2
}

has() { case " $engines " in *" $1 "*) true ;; *) false ;; esac; }

# The engines, each with 2 ranks. A port of its own keeps a job from meeting another's leftovers.
under_torchrun() { "$torchrun" --no-python --nproc-per-node 2 --master-addr 127.0.0.1 --master-port "$(free_port)" "$@"; }
under_mpirun() { mpirun --allow-run-as-root --oversubscribe -n 2 "$@"; }
under_hosts() { on_two_hosts "$@" -devices 1 -num-nodes 2 -strategy ddp; }
under_srun() { MASTER_ADDR=127.0.0.1 srun --immediate=30 -n 2 "$@"; }

probe() {
	say "probe: the engines, without libtorch"
	go build -o "$work/probe" ./scripts/engines/probe
	for engine in $engines; do
		[ "$engine" != hosts ] || continue # there golite's own launcher is the engine
		timeout 120 bash -c "$(declare -f free_port under_$engine); torchrun='$torchrun' under_$engine '$work/probe'" >"$work/probe.$engine" 2>"$work/probe.$engine.err" ||
			{ cat "$work/probe.$engine" "$work/probe.$engine.err" >&2; die "the probe under $engine"; }
		sort "$work/probe.$engine"
		for rank in 0 1; do
			[ "$(grep -c "\"WorldSize\":2,\"GlobalRank\":$rank,\"LocalRank\":$rank,\"NodeRank\":0,\"LocalWorldSize\":2,\"Met\":1" "$work/probe.$engine")" = 1 ] ||
				die "rank $rank under $engine does not stand where it should"
		done
	done
	if has torchrun; then probe_torchrun; fi
	if has srun; then probe_sbatch; fi
}

probe_torchrun() {
	say "probe: torchrun names the error of the rank that failed"
	under_torchrun "$work/probe" -fail 1 >"$work/fail.out" 2>&1 && die "torchrun took a failure for success"
	grep -A 8 'Root Cause' "$work/fail.out" | grep "the probe fails as it was told" || { cat "$work/fail.out" >&2; die "torchrun did not name it"; }
}

probe_sbatch() {
	say "probe: a batch script that forgot srun is refused"
	cat >"$work/batch.sh" <<-BATCH
		#!/bin/sh
		$work/probe
	BATCH
	sbatch --wait -n 2 -J train -o "$work/batch.out" "$work/batch.sh" >/dev/null 2>&1 && die "it went through: $(cat "$work/batch.out")"
	grep "prepend srun" "$work/batch.out" || die "it was refused otherwise: $(cat "$work/batch.out")"
}

# demo NAME COMMAND... runs the training program and keeps its losses, sorted by step and rank.
demo() {
	name=$1
	shift
	say "$name"
	rm -f "$work/$name.json"
	timeout 300 bash -c "$(declare -f free_port under_torchrun under_mpirun under_srun under_hosts on_two_hosts); torchrun='${torchrun:-}'; host0='${host0:-}'; host1='${host1:-}'; "'"$@"' "$name" \
		"$@" -epochs 1 -threads 1 -metrics "$work/$name.json" >"$work/$name.out" 2>&1 || { tail -n 40 "$work/$name.out" >&2; die "$name"; }
	tail -n 2 "$work/$name.out"
	sort_losses "$work/$name.json" >"$work/$name.losses"
	[ -s "$work/$name.losses" ] || die "$name has written no losses"
}

# sort_losses orders the lines that each rank appended, whichever came first. A line that came twice, as after a restart, is
# said once; one that came twice with different losses is said twice.
sort_losses() { grep '"loss"' "$1" | sort -t: -k4,4n -k2,2n -k5,5 | uniq; }

compare() {
	for name in "$@"; do
		cmp "$work/processes.losses" "$work/$name.losses" || die "the losses of $name are not those of -strategy ddp"
	done
	echo "$(wc -l <"$work/processes.losses") losses of each are the same to the last bit: processes $*"
}

# peer_tests runs the Go tests of the files that ask for a Python with PyTorch or for a second host: "make test" leaves them out
# where there is none, and by now there is what this machine can have.
peer_tests() {
	say "tests that compare with Python, and tests on two hosts"
	local files packages names
	files=$(grep -rlE --include='*_test.go' '/internal/(python|hosts)"|describe\.ByPython' .)
	packages=$(echo "$files" | xargs -n 1 dirname | sort -u)
	# shellcheck disable=SC2086 # a list of names
	names=$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(t .*/\1/p' $files | sort -u | paste -sd'|')
	if has torchrun; then export GOLITE_NEED_PYTHON=1; fi
	if has hosts; then export GOLITE_NEED_HOSTS=1; fi
	# shellcheck disable=SC2086 # a list of names
	go test -count=1 -v -run "^($names)\$" $packages >"$work/peers.out" 2>&1 || { failed_of "$work/peers.out" >&2; die "the tests failed"; }
	grep -E '^--- (PASS|SKIP)' "$work/peers.out"
}

# failed_of FILE prints what go test -v said of the tests that failed, and of packages that ended without a test's verdict.
failed_of() {
	awk '/^=== RUN +[^\/]*$/ || /^(PASS|ok )/ { if (failed) printf "%s", held; held = ""; failed = 0 }
		{ held = held $0 "\n" }
		/^(--- FAIL|panic:)/ { failed = 1 }
		/^FAIL/ { printf "%s", held; held = ""; failed = 0 }' "$1"
}

faults() {
	if has torchrun; then elastic; fi
	if has mpirun; then lost mpirun OMPI_COMM_WORLD_RANK; fi
	if has srun; then lost srun SLURM_PROCID; fi
}

install_engines
what=${1:-all}
case $what in all | probe) probe ;; esac
case $what in all | faults) go build -o "$work/mnist" ./examples/mnist ;; esac
if [ "$what" = all ]; then
	demo processes "$work/mnist" -devices 2 -strategy ddp
	demo goroutines "$work/mnist" -devices 2 -strategy ddp_spawn
	for engine in $engines; do demo "$engine" "under_$engine" "$work/mnist"; done
	# shellcheck disable=SC2086 # a list of names
	compare goroutines $engines
fi
case $what in all | faults) faults ;; esac
case $what in all | peers) peer_tests ;; esac
if [ -n "$missing" ]; then
	say "ok, but not tested:$missing"
	[ -z "${ALL_ENGINES:-}" ] || die "not tested:$missing"
	exit 0
fi
say "$what: ok"
