# Sourced by the tests over several hosts: network namespaces of this machine, each with an address, a host name and
# files of its own, joined by a switch (a bridge in a namespace of its own). Nothing of the machine's network is touched.
# $RESR and $MAKE_MODEL as in tests/mpi/lib.sh.
# shellcheck shell=sh

skip() {
    echo "skipped: $*"
    exit 77
}

[ "$(id -u)" = 0 ] || skip "only root can make network namespaces"
for tool in ip tc unshare mpirun; do
    command -v $tool >/dev/null || skip "$tool is not here; jobs/install-deps.sh build slurm installs it"
done
tests=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/mpi/lib.sh
. "$(dirname "$0")/../mpi/lib.sh"

network=resr$$ # names of namespaces: resr123-0 is the switch, resr123-1 the first host
subnet=10.77.0
hosts=0

# in_switch WORD...
in_switch() {
    ip netns exec "$network-0" "$@"
}

# on_host N WORD...: in the network of host N, but with this machine's name and all files.
on_host() {
    namespace=$network-$1
    shift
    ip netns exec "$namespace" "$@"
}

end_network() {
    set +e # the exit status is the test's
    number=0
    while [ $number -le $hosts ]; do
        # shellcheck disable=SC2046 # numbers
        kill -9 $(ip netns pids "$network-$number")
        ip netns delete "$network-$number"
        number=$((number + 1))
    done
    rm -rf "$work"
} 2>/dev/null

# start_network HOSTS
start_network() {
    trap end_network EXIT
    mkdir "$work/first" && cd "$work/first" # the first host's files
    {
        ip netns add "$network-0" && in_switch ip link add switch type bridge && in_switch ip link set switch up
    } 2>ip.log || skip "no network namespace or no bridge can be made: $(cat ip.log)"
    : >hostfile
    while [ $hosts -lt "$1" ]; do
        add_host
    done
    write_agent
}

# The next host; its end of the cable is eth0, the switch's is portN.
add_host() {
    hosts=$((hosts + 1))
    ip netns add "$network-$hosts"
    in_switch ip link add "port$hosts" type veth peer name eth0 netns "$network-$hosts"
    in_switch ip link set "port$hosts" master switch up
    on_host $hosts ip link set lo up
    on_host $hosts ip address add "$subnet.$hosts/24" dev eth0
    on_host $hosts ip link set eth0 up
    echo "$subnet.$hosts slots=1" >>hostfile
}

# delay_cable N MILLISECONDS: delays the packets of host N by this time in each direction.
delay_cable() {
    command -v python3 >/dev/null || skip "python3 is not here"
    in_switch ip link set "port$1" nomaster
    in_switch ip link add "far$1" type veth peer name "near$1"
    in_switch ip link set "far$1" up
    in_switch ip link set "near$1" master switch up
    : >delay.log
    in_switch python3 "$tests/delay.py" "$2" "port$1" "far$1" >delay.log 2>&1 &
    tries=0
    until grep -q ready delay.log; do
        tries=$((tries + 1))
        [ $tries -le 100 ] || skip "no delay can be made: $(cat delay.log)"
        sleep 0.1
    done
}

# limit_cable N BITS_PER_SECOND: in both directions, with a buffer as switches have it.
limit_cable() {
    for end in "on_host $1 tc qdisc replace dev eth0" "in_switch tc qdisc replace dev near$1"; do
        $end root tbf rate "$2"bit burst 16kb limit 300kb 2>tc.log || skip "no rate can be set: $(cat tc.log)"
    done
}

# Writes the command that mpirun uses instead of ssh. It passes on no variable and no file of the caller: the folder is an
# empty file system of the other host. Like ssh it fails where the host cannot be reached.
write_agent() {
    cat >"$work/rsh" <<END
#!/bin/sh
number=\${1##*.}
shift
ip netns exec "$network-\$number" ip -o link show dev eth0 | grep -q 'state UP' || {
    echo "host \$number cannot be reached" >&2
    exit 255
}
env -i PATH="$PATH" HOME=/ ip netns exec "$network-\$number" unshare --uts --mount sh -c '
    hostname "node\$1" && mount -t tmpfs none "\$2" && cd / && eval "\$3"' sh "\$number" "$work/first" "\$*"
END
    chmod +x "$work/rsh"
}

# over_hosts WORD...: runs a command (mpirun, or the restart loop with it) on the first host, which has the files.
over_hosts() {
    # shellcheck disable=SC2016 # words of the inner shell
    on_host 1 unshare --uts sh -c 'hostname node1 && exec "$0" "$@"' "$@"
}

# mpirun_words RANKS: the words before the program's.
mpirun_words() {
    echo "mpirun -n $1 --hostfile $work/first/hostfile --mca plm_rsh_agent $work/rsh \
--mca btl_tcp_if_include $subnet.0/24 --mca oob_tcp_if_include $subnet.0/24 -x OMP_WAIT_POLICY"
}

# upscale_over RANKS OPTION...: runs the program over the hosts, its messages in run.log.
upscale_over() {
    ranks=$1
    shift
    # shellcheck disable=SC2046 # words
    over_hosts timeout 100 $(mpirun_words "$ranks") "$RESR" --progress none "$@" >run.out 2>run.log || {
        code=$?
        cat run.log >&2
        return $code
    }
}

# bytes HOST tx|rx: bytes sent or received at the host's end of the cable.
bytes() {
    on_host "$1" ip -j -s link show dev eth0 | jq ".[0].stats64.$2.bytes"
}
