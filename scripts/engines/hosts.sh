# Functions that make two hosts out of this one: network namespaces, joined by a pair of virtual cards. Sourced by test.sh.

# hosts_start makes them, and leaves their names in $host0 and $host1.
hosts_start() {
	host0=golite-engines-$$-0 host1=golite-engines-$$-1
	ip netns add "$host0" && ip netns add "$host1" &&
		ip link add card0 netns "$host0" type veth peer name card1 netns "$host1" &&
		ip -n "$host0" addr add 10.231.78.1/24 dev card0 && ip -n "$host1" addr add 10.231.78.2/24 dev card1 &&
		ip -n "$host0" link set card0 up && ip -n "$host1" link set card1 up &&
		ip -n "$host0" link set lo up && ip -n "$host1" link set lo up
}

hosts_stop() {
	for host in "${host0:-}" "${host1:-}"; do
		[ -z "$host" ] || ip netns delete "$host" 2>/dev/null || true
	done
}

# on_two_hosts runs a command on both, as a user does who has no engine, and fails where one of them does.
on_two_hosts() {
	export MASTER_ADDR=10.231.78.1 MASTER_PORT=29557
	NODE_RANK=1 ip netns exec "$host1" "$@" &
	local second=$! status=0
	NODE_RANK=0 ip netns exec "$host0" "$@" || status=$?
	wait "$second" || status=$?
	return "$status"
}
