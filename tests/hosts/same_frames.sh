#!/bin/sh
# Two and three hosts with nothing in common but the network: the frames are those of one process, and input, weights
# and output are on the first host alone. Every frame that another host computed went to it through its cable, and back
# where the first host encodes; where the ranks do (by themselves, if their devices are fast) each host encoded.
# shellcheck source=tests/hosts/network.sh
. "$(dirname "$0")/network.sh"
start_network 3
tiny_model
clip in.mp4 100
one_in=$((64 * 36 * 3 / 2)) one_out=$((128 * 72 * 3 / 2))

"$RESR" -i in.mp4 -o one.mp4 -m tiny.safetensors --precision exact --progress none --framehash one.hash

# same NAME RANKS ENCODE OPTION...
same() {
    name=$1
    ranks=$2
    encode=$3
    shift 3
    for host in 2 3; do
        bytes $host rx >"rx$host"
        bytes $host tx >"tx$host"
    done
    upscale_over "$ranks" -i in.mp4 -o out.mp4 --overwrite -m tiny.safetensors --precision exact --threads 1 \
        --framehash out.hash --report report.json --encode "$encode" "$@" || fail "$name"
    cmp -s one.hash out.hash || fail "$name: other frames than one process makes"
    [ "$(jq -r '[.ranks[].host] | unique | length' report.json)" = "$expected_hosts" ] ||
        fail "$name: ranks on $(jq -c '[.ranks[].host]' report.json), expected $expected_hosts hosts"
    for host in 2 3; do
        frames=$(jq "[.ranks[] | select(.host == \"node$host\") | .frames] | add // 0" report.json)
        received=$(($(bytes $host rx) - $(cat rx$host)))
        sent=$(($(bytes $host tx) - $(cat tx$host)))
        back=$((frames * one_out))
        [ "$encode" = root ] || back=0
        if [ $received -lt $((frames * one_in)) ] || [ $sent -lt $back ]; then
            fail "$name: node$host computed $frames frames, but received $received bytes and sent $sent"
        fi
        encoded=$(jq "[.ranks[] | select(.host == \"node$host\") | .encode_seconds] | add // 0 | . > 0" report.json)
        wanted=false
        [ "$encode" = root ] || [ $host -gt "$expected_hosts" ] || wanted=true
        [ "$encoded" = $wanted ] || fail "$name: node$host encoded: $encoded, expected $wanted"
        [ "$frames" -gt 0 ] || [ $host -gt "$expected_hosts" ] || fail "$name: node$host computed nothing"
        echo "   node$host: $frames frames, $received bytes in, $sent bytes out"
    done
    echo "ok $name"
}

[ "$("$work/rsh" "$subnet.2" hostname)" = node2 ] || fail "a host has no name of its own"
[ -z "$("$work/rsh" "$subnet.2" ls "$work/first")" ] || fail "a host sees the first one's files"
sed -i 2q hostfile
expected_hosts=2
same "two hosts" 2 root
same "two hosts that encode" 2 ranks --segment 16
same "two hosts, rank 0 dedicated" 2 root --root dedicated
sed -i 's/slots=1/slots=2/' hostfile
echo "$subnet.3 slots=1" >>hostfile
expected_hosts=3
same "three hosts, two of them with two ranks" 5 root
same "three hosts that encode" 5 ranks --segment 8
same "three hosts, static" 5 root --schedule static --batch 3
