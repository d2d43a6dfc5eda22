# Functions that kill a rank of the training program under an engine, where no supervisor of golite's is. Sourced by test.sh.

# ranks_of TAG prints the processes of the training program whose arguments hold TAG.
ranks_of() { pgrep -f "^$work/mnist .*$1" || true; }

# rank_of TAG VARIABLE=NUMBER prints the one that the engine has given that number.
rank_of() {
	for pid in $(ranks_of "$1"); do
		if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "$2"; then echo "$pid"; fi
	done
}

# none_left TAG fails where ranks outlive their job.
none_left() {
	for _ in $(seq 50); do
		[ -n "$(ranks_of "$1")" ] || return 0
		sleep 0.1
	done
	ps -o pid,etimes,args -p "$(ranks_of "$1" | paste -sd,)" >&2
	die "ranks of $1 are left"
}

# losses_of FILE PATTERN counts the losses in a file that may not be there yet.
losses_of() {
	local number
	number=$(grep -c "$2" "$1" 2>/dev/null) || true
	echo "${number:-0}"
}

# await_losses FILE PATTERN NUMBER waits until there are so many.
await_losses() {
	for _ in $(seq 1200); do
		[ "$(losses_of "$1" "$2")" -lt "$3" ] || return 0
		sleep 0.05
	done
	die "there were never $3 losses with $2 in $1"
}

# ends_within SECONDS PID waits for a job in the background, and returns its status.
ends_within() {
	for _ in $(seq $(($1 * 10))); do
		kill -0 "$2" 2>/dev/null || { wait "$2"; return; }
		sleep 0.1
	done
	die "the job did not end within $1 s"
}

# elastic kills rank 0, and then the last one, of jobs under torchrun, in the third epoch. torchrun starts the ranks anew with
# the arguments of the first start, and they go on from the checkpoint that they themselves have saved.
elastic() {
	local flags=(-devices 2 -epochs 3 -threads 1) victim
	say "elastic: undisturbed"
	timeout 600 "$work/mnist" "${flags[@]}" -strategy ddp -metrics "$work/whole.json" >"$work/whole.out" 2>&1 || { tail -n 20 "$work/whole.out" >&2; die "undisturbed"; }
	sort_losses "$work/whole.json" >"$work/whole.losses"
	for victim in 0 1; do
		say "elastic: rank $victim is killed in the third epoch"
		name=elastic$victim
		timeout 600 "$torchrun" --no-python --nproc-per-node 2 --max-restarts 2 --master-addr 127.0.0.1 --master-port "$(free_port)" \
			"$work/mnist" "${flags[@]}" -checkpoint "$work/$name.pt" -resume auto -metrics "$work/$name.json" >"$work/$name.out" 2>&1 &
		job=$!
		jobs_started="$jobs_started $job"
		await_losses "$work/$name.json" '"epoch":2' 50
		pid=$(rank_of "$name.json" "RANK=$victim")
		[ -n "$pid" ] || die "there is no rank $victim to kill: $(tail -n 20 "$work/$name.out")"
		kill -9 "$pid"
		ends_within 300 "$job" || { tail -n 40 "$work/$name.out" >&2; die "the job did not resume"; }
		none_left "$name.json"
		[ "$(grep -c '^starting anew' "$work/$name.out")" = 1 ] || die "it did not start anew once: $(grep -E 'resuming|anew' "$work/$name.out")"
		[ "$(grep -o '^resuming at.*' "$work/$name.out")" = "resuming at epoch 2, step 938" ] || die "it was not resumed once, after the second of its own epochs: $(grep resuming "$work/$name.out")"
		sort_losses "$work/$name.json" >"$work/$name.losses"
		cmp "$work/whole.losses" "$work/$name.losses" || die "the losses after the restart are not those of an undisturbed run"
		grep '^resuming at' "$work/$name.out"
		echo "after the kill, the losses are those of an undisturbed run"
	done
}

# lost ENGINE VARIABLE kills rank 0, and then the last one, in the middle of an epoch, under an engine that restarts nothing:
# the job fails within seconds, and no rank is left.
lost() {
	local engine=$1 victim
	for victim in 0 1; do
		say "$engine: rank $victim is killed"
		name=lost-$engine$victim
		timeout 300 bash -c "$(declare -f free_port "under_$engine"); "'"$@"' "$name" \
			"under_$engine" "$work/mnist" -epochs 100 -threads 1 -timeout 20s -metrics "$work/$name.json" >"$work/$name.out" 2>&1 &
		job=$!
		jobs_started="$jobs_started $job"
		await_losses "$work/$name.json" '"loss"' 50
		pid=$(rank_of "$name.json" "$2=$victim")
		[ -n "$pid" ] || die "there is no rank $victim to kill: $(tail -n 20 "$work/$name.out")"
		kill -9 "$pid"
		start=$SECONDS
		ends_within 15 "$job" && { tail -n 20 "$work/$name.out" >&2; die "the loss of a rank was taken for success"; }
		none_left "$name.json"
		echo "the job ended within $((SECONDS - start + 1)) s: $(grep -iE 'lost|killed|signal' "$work/$name.out" | head -n 1)"
	done
}
