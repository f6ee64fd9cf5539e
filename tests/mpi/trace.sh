#!/bin/sh
# --trace: a valid file in which every frame is found at every stage, on clocks that agree; after a signal too;
# and the same frames as without. --progress json names the bottleneck.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
command -v python3 >/dev/null || {
    echo "skipped: python3 is needed"
    exit 77
}
tiny_model
clip in.mp4 100
job="-i in.mp4 -m tiny.safetensors --threads 1 --encode root"

look() {
    python3 "$here/../../tools/check_trace.py" "$@" >check.log || fail "$*: $(cat check.log)"
}

# shellcheck disable=SC2086 # words
upscale 3 $job --precision fp32 -o plain.mp4 --framehash plain.hash || fail "without a trace"
# shellcheck disable=SC2086
upscale 3 $job --precision fp32 -o out.mp4 --framehash out.hash --trace trace.json || fail "3 ranks"
cmp -s plain.hash out.hash || fail "other frames with --trace"
look trace.json 100 3
tail -1 check.log
# shellcheck disable=SC2086
upscale 3 $job -o out2.mp4 --root dedicated --checkpoint always --batch 5 --trace trace2.json || fail "dedicated"
look trace2.json 100 3
[ "$(jq '[.traceEvents[] | select(.cat == "batch") | .args.frames] | add > 0 and add <= 100' trace2.json)" = true ] || fail "batch files"
[ "$(jq '[.traceEvents[] | select(.cat == "commit") | .args.frames] | add' trace2.json)" = 100 ] || fail "segments"
[ "$(jq '[.traceEvents[] | select(.cat == "compute" and .pid == 0)] | length' trace2.json)" = 0 ] || fail "rank 0 computed"
# shellcheck disable=SC2086
"$RESR" $job -o out3.mp4 --trace trace3.json --progress none || fail "one process"
look trace3.json 100 1
# shellcheck disable=SC2086
upscale 3 $job --encode ranks -o out9.mp4 --trace trace9.json || fail "ranks encode"
look trace9.json 100 3
[ "$(jq '[.traceEvents[] | select(.cat == "encode" and .pid > 0)] | length > 0' trace9.json)" = true ] || fail "no rank encoded"
echo "ok four shapes of jobs"

# The check finds each planted fault, by its own words.
spoil() {
    jq -c "$2" trace.json >bad.json
    if python3 "$here/../../tools/check_trace.py" bad.json 100 3 >check.log; then
        fail "$1: not noticed"
    fi
    grep -q "$1" check.log || fail "$1: $(cat check.log)"
}
spoil "frames not decoded: \[7\]" 'del(.traceEvents[] | select(.cat == "decode" and .args.first == 7))'
spoil "frame 7: accepted 2 times" '.traceEvents += [.traceEvents[] | select(.cat == "accept" and .args.first == 7)]'
spoil "0 computes" 'del(.traceEvents[] | select(.cat == "compute" and .args.first <= 7 and .args.first + .args.frames > 7))'
spoil "computed before it was sent" '(.traceEvents[] | select(.cat == "compute" and .pid == 1) | .ts) -= 1e6'
spoil "received before it was computed" '(.traceEvents[] | select(.cat == "receive" and .pid == 0) | .ts) -= 1e6'
spoil "before the event before it has ended" '(.traceEvents[] | select(.cat == "encode" and .args.first == 9) | .dur) += 1e6'
echo "ok the check checks"

# Refused before the work, as the report is.
# shellcheck disable=SC2086
code=0
"$RESR" $job -o out4.mp4 --trace nowhere/trace.json --progress none 2>run.log || code=$?
[ $code = 73 ] && grep -q "nowhere" run.log || fail "no such folder: exit $code: $(cat run.log)"
[ ! -e out4.mp4 ] || fail "no such folder: an output was written"

# A signal: the finished work is in the file; the same command resumes the job.
# shellcheck disable=SC2086
mpirun -n 3 "$RESR" $job -o out5.mp4 --progress none --backend simulate:1/8 --trace trace5.json 2>run.log &
interrupt $! out5.mp4 1 signal
look trace5.json 100 3 --partial
[ "$(jq '[.traceEvents[] | select(.cat == "compute")] | length > 0' trace5.json)" = true ] || fail "signal: nothing in it"
# shellcheck disable=SC2086
upscale 2 $job -o out5.mp4 --backend simulate:0.01/8 --trace trace6.json || fail "going on"
[ "$(jq '[.traceEvents[] | select(.cat == "accept")] | length < 100' trace6.json)" = true ] || fail "all was done anew"
echo "ok a signal"

# limits WORD OPTION...: most lines of progress, except the first and the last, name this bottleneck.
limits() {
    word=$1
    shift
    timeout 200 mpirun -n 2 "$RESR" --progress json "$@" 2>progress.log || fail "$word: $(cat progress.log)"
    grep '^{' progress.log | jq -r '.limit // empty' >words.log
    [ "$(grep -c . words.log)" -ge 2 ] || fail "$word: few words: $(cat progress.log)"
    [ "$(sort words.log | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')" = "$word" ] || fail "$word: $(cat progress.log)"
    echo "ok $word limits"
}
# shellcheck disable=SC2086
limits compute $job -o out7.mp4 --backend simulate:1/8
ffmpeg -v error -f lavfi -i testsrc2=size=320x180:rate=25,noise=alls=24:allf=t,trim=end_frame=32 -pix_fmt yuv420p big.mp4
limits encode --encode root -i big.mp4 -m tiny.safetensors -o out8.mp4 --backend simulate:0.01/8 --preset placebo --encoder-threads 1
