#!/bin/sh
# The planner as a whole: --dry-run --plan with each kind of device, its JSON, a prediction held to a run on simulated
# devices, no other files written, and refusals.
. "$(dirname "$0")/lib.sh"
tiny_model
clip in.mp4 40
job="-i in.mp4 -o out.mp4 -m tiny.safetensors"

# plan FILTER OPTION...: a dry run whose report.json FILTER holds for.
plan() {
    filter=$1
    shift
    rm -f report.json
    # shellcheck disable=SC2086 # words
    timeout 120 "$RESR" $job --dry-run --report report.json "$@" >run.out 2>run.log || fail "$*: $(cat run.log)"
    jq -e "$filter" report.json >/dev/null || fail "$*: $filter: $(cat report.json)"
    jq -e 'all(.ranks[]; .wall_seconds > 0 and .efficiency > 0 and .efficiency <= 1 and (.limit | length > 0)
        and .device_seconds_per_minute > 0 and (.stage_seconds | length == 7))' report.json >/dev/null ||
        fail "$*: figures: $(cat report.json)"
    jq -e 'all(.constants[]; (.mark | IN("measured", "model", "datasheet", "given", "assumed")) and
        (.source | length > 0) and (.value | type == "number")) and (.constants | length > 10)' report.json >/dev/null ||
        fail "$*: constants: $(cat report.json)"
    [ ! -e out.mp4 ] && [ ! -e out.mp4.resr ] || fail "$*: wrote more than the report"
    echo "ok $*"
}

plan '.predicted and .frames == 40 and [.ranks[].ranks] == [1, 2, 4, 8, 12]' --plan ranks=1,2,4,...,12
plan '[.constants[] | select(.name == "compute")][0].mark == "measured"' --plan ranks=3
plan '[.constants[] | select(.name == "compute")][0].mark == "model"' --plan ranks=1,2,4,...,1024 --device h100
grep -q "never run on the device" run.out && grep -q "Predicted, not measured" run.out || fail "not said: $(cat run.out)"
plan '[.constants[] | select(.name == "network")][0] | .mark == "given" and .value == 25' \
    --plan ranks=1,8,network=25,host=8 --device a100
plan '.frames == 10 and ([.constants[] | select(.name == "disk")] | length == 1)' \
    --plan ranks=2 --device 30 --frames 10 --checkpoint always --root dedicated
plan '[.ranks[].encode] == ["root", "ranks"]' --plan ranks=1,1024 --device h100 --encode auto
plan '[.ranks[].encode] == ["ranks"] and [.constants[] | select(.name == "encoders")][0].value == 2' \
    --plan ranks=4 --encode ranks --encoders 2
# A rank for each frame at least, of 5 MFLOP/s: none has more than one.
plan '.ranks[0].limit == "compute" and .ranks[1].limit == "tail"' --plan ranks=1,40 --device 0.000005

# Four simulated ranks: 40 frames of 0.1 s.
plan '.ranks[0].ranks == 4 and .ranks[0].limit == "compute"' --plan ranks=4,host=4 --backend simulate:0.8/8
mv report.json predicted.json
# shellcheck disable=SC2086
upscale 4 $job --backend simulate:0.8/8 --report report.json || fail "simulated"
jq -n -e --slurpfile p predicted.json --slurpfile r report.json '$p[0].ranks[0] as $q | $r[0].seconds as $s |
    ($q.wall_seconds - $q.start_seconds) / ($s.wall - $s.start_up) | . > 0.8 and . < 1.25' >/dev/null ||
    fail "predicted $(jq -c '.ranks[0]' predicted.json), took $(jq -c .seconds report.json)"
rm out.mp4
echo "ok prediction and run"

# refuse WORDS OPTION...: exit 64.
refuse() {
    words=$1
    shift
    code=0
    # shellcheck disable=SC2086
    "$RESR" $job "$@" >run.out 2>run.log || code=$?
    [ $code = 64 ] && grep -q -- "$words" run.log || fail "$*: exit $code: $(cat run.log)"
}
refuse "ranks=LIST" --dry-run --plan 1,2,4
refuse "ranks=LIST" --dry-run --plan ranks=4,2
refuse "ranks=LIST" --dry-run --plan ranks=1,2,3,...,1000
refuse "goes with --dry-run" --plan ranks=1,2
refuse "goes with --dry-run and --plan" --dry-run --device h100
refuse "rtx4090" --dry-run --plan ranks=1 --device h9000
refuse "--root dedicated" --dry-run --plan ranks=1,2 --root dedicated
refuse "--encode ranks" --dry-run --plan ranks=4 --encode ranks --segment 0
echo "ok refusals"
