#!/bin/sh
# Simulated devices: the whole program with its network replaced by waiting. The same frames for any number of
# ranks, the makespans that the schedule promises, devices that fail, and the marks of a simulated run.
. "$(dirname "$0")/lib.sh"
"$MAKE_MODEL" net.safetensors rrdb 2 1 16 8 7
ffmpeg -v error -f lavfi -i testsrc2=size=64x36:rate=25,trim=end_frame=300 -pix_fmt yuv420p in.mp4
job="-i in.mp4 -o out.mp4 -m net.safetensors --overwrite --framehash out.hash --report report.json"

# makespan RANKS SPEC LIMIT OPTION...: seconds on the simulated devices' own clock, at most LIMIT.
makespan() {
    ranks=$1
    spec=$2
    limit=$3
    shift 3
    # shellcheck disable=SC2086 # words
    upscale "$ranks" $job --root dedicated --backend "simulate:$spec" "$@" || fail "$spec"
    [ -f whole.hash ] || cp out.hash whole.hash
    cmp -s out.hash whole.hash || fail "$spec: other frames"
    seconds=$(jq '.seconds.makespan * 4' report.json)
    [ "$(jq ".seconds.makespan * 4 <= $limit" report.json)" = true ] || fail "$spec: $seconds s, expected at most $limit"
    echo "ok $((ranks - 1)) devices, $spec $*: $seconds s"
}

# The ideal is 10.0, 10.67 and 54.5 s: 300 frames over the sum of the speeds. On a quiet machine it comes within 3, 5
# and 1 %; the rest is for busy ones.
makespan 13 3.2/8,time=4 12.6
makespan 13 3.2/8,time=4,slow=5:4 13.5
makespan 7 8.72/8,time=4 57
makespan 13 3.2/8,time=4,jitter=20%,seed=3 13
# A rank whose frame takes longer than the others need for the rest, or for the whole video; one that fails beside a
# slow one. Ideal: 10.85, 10.89 and 11.2 s.
makespan 13 3.2/8,time=4,slow=5:16 13.5
makespan 13 3.2/8,time=4,slow=5:64 14
makespan 13 3.2/8,time=4,slow=5:4,fail=3:12 14
makespan 13 3.2/8,time=4 16 --schedule static
[ "$(jq '.seconds.makespan * 4 >= 12.7' report.json)" = true ] || fail "static: four rounds of 3.2 s took $(jq .seconds.makespan report.json)"

[ "$(jq -r .simulated report.json)" = 3.2/8,time=4 ] || fail "the report does not say that it was simulated"
ffprobe -v error -show_entries format_tags=comment -of csv=p=0 out.mp4 | grep -q simulated || fail "the video does not say it"
grep -q "devices are simulated" run.log || fail "nobody said it"

# Devices that fail: others do their frames.
# shellcheck disable=SC2086
upscale 4 $job --backend simulate:0.05/8,fail=2:5,fail=0:20 || fail "failing devices"
cmp -s out.hash whole.hash || fail "failing devices: other frames"
grep -q "failed, as requested" run.log || fail "failing devices: not said"
# shellcheck disable=SC2086
upscale 1 $job --backend simulate:1000TF || fail "TFLOP/s"
cmp -s out.hash whole.hash || fail "TFLOP/s: other frames"
echo "ok failing devices"

# The seed decides about the jitter.
computed() {
    # shellcheck disable=SC2086
    upscale 1 $job --frames 8 --backend "simulate:0.2/1,jitter=100%,seed=$1" || fail "seed $1"
    jq '.seconds.makespan * 10 | round' report.json
}
first=$(computed 7)
again=$(computed 7)
other=$(computed 23)
[ $((first - again)) -le 3 ] && [ $((again - first)) -le 3 ] || fail "seed 7: $first and $again tenths of a second"
[ $((other - first)) -gt 6 ] || fail "seeds 7 and 23: $first and $other tenths of a second"
echo "ok seeds: $first, $again and $other tenths of a second"

# A frame of 1000 s ends with the job.
# shellcheck disable=SC2086
"$RESR" $job --checkpoint off --progress json --backend simulate:1000/1 2>run.log &
pid=$!
wait_for $pid grep -q '^{' run.log
kill -TERM $pid
start=$(date +%s)
wait $pid && fail "it did not stop"
[ $(($(date +%s) - start)) -le 20 ] || fail "it stopped $(($(date +%s) - start)) s after the signal"
echo "ok a long wait is stopped"

for spec in "" : :3.2 :3.2/ :3.2/0 :0/8 :-1/8 :x :3.2/8,slow=1 :3.2/8,slow=1:0 :3.2/8,jitter=200% :3.2/8,time=0 \
    ":3.2/8," :3.2/8,seed= :3.2/8,seed=-1 :3.2/8,nap=1 :1e99TF; do
    code=0
    # shellcheck disable=SC2086
    "$RESR" $job --backend "simulate$spec" 2>run.log || code=$?
    [ $code = 64 ] && grep -q "expected SECONDS/FRAMES" run.log || fail "simulate$spec: exit $code: $(cat run.log)"
done
echo "ok bad specifications"
