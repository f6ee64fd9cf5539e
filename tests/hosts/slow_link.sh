#!/bin/sh
# A network of 5 ms and little bandwidth. All frames cross it, to the one rank that computes and back. At three
# times the rate that the computing needs the transfers are hidden behind it; at half the rate that it needs the
# bytes and the rate say how long the job takes. Both are held to one prediction, within 15 %:
#     the longer of computing and bytes / rate, one part's share of the shorter, the first part's way there,
#     and the time of the job besides computing on the network without a limit.
# The computing time is the rank's own measurement of that run, so that a busy machine does not matter.
# --plan must predict the same: the limit at either rate, and the time within 20 %.
# shellcheck source=tests/hosts/network.sh
. "$(dirname "$0")/network.sh"
start_network 2
frames=24 batch=4 width=320 height=180
one_in=$((width * height * 3 / 2)) one_out=$((width * height * 6))
"$MAKE_MODEL" net.safetensors rrdb 2 1 32 16 7
ffmpeg -v error -f lavfi -i \
    "testsrc2=size=${width}x$height:rate=25,noise=alls=24:allf=t:all_seed=7,trim=end_frame=$frames" \
    -pix_fmt yuv420p -c:v ffv1 in.mkv

job="-i in.mkv -o out.mkv -m net.safetensors --precision exact --threads 1 --batch $batch --codec ffv1 --checkpoint off \
    --root dedicated"

# measure NAME: a run; its seconds of work and of computing, and the bytes that came back.
measure() {
    before=$(bytes 2 tx)
    # shellcheck disable=SC2086 # words
    upscale_over 2 $job --overwrite --framehash "$1.hash" --report "$1.json" || fail "$1"
    sent=$(($(bytes 2 tx) - before))
    [ "$sent" -ge $((frames * one_out)) ] || fail "$1: $sent bytes came back, too few for the frames"
    [ "$1" = free ] || cmp -s free.hash "$1.hash" || fail "$1: other frames than without a limit"
    [ "$(jq '.ranks[1].frames' "$1.json")" = $frames ] || fail "$1: not all frames were computed on the second host"
    work_s=$(jq '.seconds.wall - .seconds.start_up' "$1.json")
    compute_s=$(jq '.ranks[1].compute_seconds' "$1.json")
    echo "   $1: $work_s s, computing $compute_s s, $sent bytes back"
}

# predicted NAME BITS_PER_SECOND: compares the last run with the prediction; prints the time without overlap as well.
predicted() {
    awk -v name="$1" -v rate="$2" -v work="$work_s" -v compute="$compute_s" -v sent="$sent" -v besides="$besides_s" \
        -v first=$((batch * one_in * 8)) -v parts=$((frames / batch)) 'BEGIN {
        transfer = sent * 8 / rate
        if ((name == "hidden") != (transfer < compute)) {
            print "FAILED: " name ": the machine changed its speed too much between two runs"
            exit 1
        }
        longer = transfer > compute ? transfer : compute
        shorter = transfer + compute - longer
        expected = longer + shorter / parts + first / rate + besides
        printf "   %s: bytes / %.1f Mbit/s = %.2f s; expected %.2f s, took %.2f s (%+.1f %%); one after the other " \
            "%.2f s\n", name, rate / 1e6, transfer, expected, work, 100 * (work / expected - 1), longer + shorter
        exit work > 1.15 * expected || work < 0.85 * expected
    }' || fail "$1: off by more than 15 %"
    echo "ok $1"
}

# planned LIMIT BITS_PER_SECOND: the planner's word on the last run.
planned() {
    gbit=$(awk "BEGIN { print $2 / 1e9 }")
    # shellcheck disable=SC2086 # words
    "$RESR" $job --overwrite --dry-run --plan "ranks=2,host=1,network=$gbit" --report plan.json >plan.txt 2>&1 ||
        fail "the plan: $(cat plan.txt)"
    plan_s=$(jq '.ranks[0] | .wall_seconds - .start_seconds' plan.json)
    echo "   --plan: $plan_s s, limited by $(jq -r '.ranks[0].limit' plan.json)"
    jq -e --arg limit "$1" --argjson work "$work_s" \
        '.ranks[0] | .limit == $limit and ((.wall_seconds - .start_seconds) / $work | . > 0.8 and . < 1.2)' plan.json \
        >/dev/null || fail "planned $(jq -c '.ranks[0]' plan.json), took $work_s s"
    echo "ok planned: $1"
}

delay_cable 2 5
measure free
besides_s=$(awk "BEGIN { print $work_s - $compute_s }")
needed=$(awk "BEGIN { printf \"%d\", $sent * 8 / $compute_s }")

limit_cable 2 $((needed * 3))
measure hidden
predicted hidden $((needed * 3))
planned compute $((needed * 3))

# Open MPI asks before it sends a message larger than this, and the request waits behind the frames in
# flight. Where the network is the limit, that costs a third of its rate.
export OMPI_MCA_btl_tcp_eager_limit=1000000 OMPI_MCA_btl_tcp_rndv_eager_limit=1000000
export OMPI_MCA_btl_tcp_max_send_size=1000000
limit_cable 2 $((needed / 2))
measure limited
predicted limited $((needed / 2))
planned network $((needed / 2))
