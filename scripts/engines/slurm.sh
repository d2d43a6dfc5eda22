# Functions that start a SLURM of one node on the loopback, with nothing installed outside a folder of its own. Sourced by test.sh.

# slurm_start DIR starts munged, slurmctld and slurmd with everything they write under DIR, and waits until the node is idle.
slurm_start() {
	slurm_dir=$1
	mkdir -p "$slurm_dir/state" "$slurm_dir/spool"
	chmod 755 "$slurm_dir"
	dd if=/dev/urandom of="$slurm_dir/munge.key" bs=1024 count=1 2>/dev/null
	chmod 400 "$slurm_dir/munge.key"
	cat >"$slurm_dir/slurm.conf" <<-CONF
		ClusterName=golite
		SlurmctldHost=localhost(127.0.0.1)
		SlurmctldPort=$(free_port)
		SlurmdPort=$(free_port)
		SlurmUser=root
		AuthType=auth/munge
		AuthInfo=socket=$slurm_dir/munge.socket
		CredType=cred/munge
		StateSaveLocation=$slurm_dir/state
		SlurmdSpoolDir=$slurm_dir/spool
		SlurmctldPidFile=$slurm_dir/slurmctld.pid
		SlurmdPidFile=$slurm_dir/slurmd.pid
		SlurmctldLogFile=$slurm_dir/slurmctld.log
		SlurmdLogFile=$slurm_dir/slurmd.log
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		MpiDefault=none
		SwitchType=switch/none
		SchedulerType=sched/builtin
		SelectType=select/cons_res
		SelectTypeParameters=CR_CPU
		JobAcctGatherType=jobacct_gather/none
		AccountingStorageType=accounting_storage/none
		ReturnToService=2
		SlurmdParameters=config_overrides
		NodeName=localhost NodeAddr=127.0.0.1 NodeHostname=$(hostname -s) CPUs=4 State=UNKNOWN
		PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
	CONF
	export SLURM_CONF="$slurm_dir/slurm.conf"
	munged --force --key-file="$slurm_dir/munge.key" --socket="$slurm_dir/munge.socket" --log-file="$slurm_dir/munged.log" \
		--pid-file="$slurm_dir/munged.pid" --seed-file="$slurm_dir/munged.seed" 2>"$slurm_dir/munged.err" &&
		slurmctld -c && slurmd -N localhost || true
	for _ in $(seq 100); do
		if sinfo -h -o %t 2>/dev/null | grep -q idle; then return 0; fi
		sleep 0.2
	done
	echo "SLURM did not start:" >&2
	tail -n 20 "$slurm_dir"/*.log "$slurm_dir/munged.err" >&2
	return 1
}

# slurm_stop ends what slurm_start started.
slurm_stop() {
	[ -n "${slurm_dir:-}" ] || return 0
	for name in slurmd slurmctld munged; do
		[ -s "$slurm_dir/$name.pid" ] || continue
		daemon=$(cat "$slurm_dir/$name.pid")
		kill "$daemon" 2>/dev/null || continue
		for _ in $(seq 100); do
			kill -0 "$daemon" 2>/dev/null || break
			sleep 0.1
		done
	done
	slurm_dir=
}

# free_port prints a TCP port that nobody listens on.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
