#!/bin/sh
# A signal ends a job with exit 75. Without a checkpoint nothing is left behind; with one the same command resumes the
# job, with the frames of an undisturbed run.
. "$(dirname "$0")/lib.sh"
"$MAKE_MODEL" slow.safetensors rrdb 4 4 64 32 7
clip in.mp4 240
slow="-m slow.safetensors --precision exact --progress none"

# stop SIGNAL FRAMES OPTION...: starts the job, sends the signal when more than FRAMES frames are durable, or without a
# checkpoint when the first frame is computed, and expects 75.
stop() {
    name=$1
    frames=$2
    shift 2
    : >run.log # so that no line of the run before is taken for one of this run
    # shellcheck disable=SC2086 # words
    "$RESR" -i in.mp4 -o out.mp4 $slow --progress json "$@" 2>run.log &
    pid=$!
    case $* in
    *"checkpoint off"*) wait_for $pid grep -q '"frames": *[1-9]' run.log ;;
    *) wait_for $pid are_durable out.mp4 $((frames + 1)) ;;
    esac
    kill "-$name" $pid
    code=0
    wait $pid || code=$?
    [ $code = 75 ] || fail "SIG$name: exit $code: $(cat run.log)"
    grep -q 'stopped by signal' run.log || fail "SIG$name: $(cat run.log)"
}

for name in INT TERM; do
    stop $name 0 --checkpoint off
    [ -z "$(find . -name '*out*')" ] || fail "SIG$name left $(find . -name '*out*')"
    echo "ok SIG$name, no checkpoint"
done

# shellcheck disable=SC2086
"$RESR" -i in.mp4 -o whole.mp4 $slow --framehash whole.hash || fail "undisturbed"
made=0
for name in TERM USR1 INT; do
    stop $name $made --segment 8 --batch 4
    [ ! -e out.mp4 ] || fail "SIG$name: an output was written"
    [ "$(jq -r .state out.mp4.resr/status.json)" = resumable ] || fail "SIG$name: $(cat out.mp4.resr/status.json)"
    grep -q 'run the same command again' run.log || fail "SIG$name: $(cat run.log)"
    now=$(jq .frames_durable out.mp4.resr/status.json)
    [ "$now" -gt $made ] || fail "SIG$name: $now frames are safe, $made were before"
    made=$now
    echo "ok SIG$name, $made frames are safe"
done
# shellcheck disable=SC2086
"$RESR" -i in.mp4 -o out.mp4 $slow --segment 8 --batch 4 --framehash out.hash || fail "going on"
cmp -s whole.hash out.hash || fail "other frames after three stops"
[ ! -e out.mp4.resr ] || fail "left behind: $(ls out.mp4.resr)"
echo "ok the same frames"

# A frame that takes minutes is left within it, 8 s after the signal: three seconds of processor time after the start, it is being computed.
"$MAKE_MODEL" deep.safetensors rrdb 4 23 64 32 7
clip large.mp4 1 -vf scale=960:540
computing() {
    [ "$(awk '{ print $14 }' "/proc/$1/stat")" -gt 300 ]
}
"$RESR" -i large.mp4 -o large_4x.mp4 -m deep.safetensors --precision exact --threads 1 --progress none 2>run.log &
pid=$!
wait_for $pid computing $pid
start=$(date +%s)
kill -TERM $pid
code=0
wait $pid || code=$?
took=$(($(date +%s) - start))
[ $code = 75 ] || fail "inside a frame: exit $code: $(cat run.log)"
[ $took -lt 20 ] || fail "stopped after $took s inside a frame"
echo "ok stopped inside a frame"
