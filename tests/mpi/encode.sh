#!/bin/sh
# --encode ranks and --encoders N: the same file, byte for byte, as from one encoder on rank 0, also after a stopped
# owner, a signal, and a change of the mode between attempts. Combinations that cannot work are refused.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
tiny_model
clip in.mp4 200
job="-i in.mp4 -m tiny.safetensors --threads 1 --segment 24"
fp32="--precision fp32" # hashes of different launches are compared

# same NAME RANKS OPTION...: as the reference of the same encoder options.
same() {
    name=$1
    ranks=$2
    shift 2
    # shellcheck disable=SC2086 # words
    upscale "$ranks" $job $fp32 -o "out.$container" --framehash out.hash --report report.json "$@" ||
        fail "$name: $(cat run.log)"
    cmp -s "$reference.hash" out.hash || fail "$name: other frames"
    cmp -s "$reference.$container" "out.$container" || fail "$name: another file"
    [ ! -e "out.$container.resr" ] || fail "$name: a job folder is left"
    rm "out.$container"
    echo "ok $name"
}

reference=x264
container=mp4
# shellcheck disable=SC2086
upscale 2 $job $fp32 -o x264.mp4 --framehash x264.hash --encode root --encoders 1 || fail "the reference"
[ "$(count_frames x264.mp4)" = 200 ] || fail "the reference has $(count_frames x264.mp4) frames"
same "root, 3 encoders" 2 --encode root --encoders 3
same "ranks, 1 rank" 1 --encode ranks
same "ranks, 2 ranks" 2 --encode ranks --batch 5
same "ranks, 3 ranks" 3 --encode ranks --schedule static
same "ranks, 5 ranks, 2 encoders each" 5 --encode ranks --encoders 2
same "ranks, rank 0 dedicated" 3 --encode ranks --root dedicated
same "ranks, little memory" 3 --encode ranks --memory 1M

# Devices that are faster than rank 0's encoder, and slower.
same_mode() {
    want=$1
    shift
    # shellcheck disable=SC2086
    upscale 3 $job -o auto.mp4 --overwrite --report report.json "$@" || fail "auto: $(cat run.log)"
    [ "$(jq -r .output.encoded_by report.json)" = "$want" ] || fail "auto: $* took $(jq -r .output.encoded_by report.json)"
    echo "ok auto takes $want"
}
same_mode root --backend simulate:1/8
same_mode ranks --backend simulate:0.0001/8
same_mode root --backend simulate:0.0001/8 --checkpoint always

# An owner stops for good: other ranks encode its segments.
# shellcheck disable=SC2086
upscale 1 $job -o slow.mp4 --framehash slow.hash --backend simulate:0.01/8 || fail "the simulated reference"
# shellcheck disable=SC2086
mpirun -n 4 "$RESR" $job -o out.mp4 --framehash out.hash --progress none --backend simulate:0.6/8 --deadline 2 \
    --encode ranks 2>run.log &
mpirun=$!
wait_for $mpirun are_durable out.mp4 24
stopped=$(rank_pid out.mp4 2)
kill -STOP "$stopped"
wait $mpirun || true
kill -CONT "$stopped" 2>/dev/null || true
[ "$(jq -r .state out.mp4.resr/status.json)" = "done" ] || fail "a stopped owner: $(cat run.log)"
cmp -s slow.mp4 out.mp4 && cmp -s slow.hash out.hash || fail "a stopped owner: another output"
rm -r out.mp4 out.mp4.resr
echo "ok a stopped owner"

# halt OPTION...: sends SIGTERM as soon as 48 frames are durable.
halt() {
    # shellcheck disable=SC2086
    mpirun -n 3 "$RESR" $job -o out.mp4 --framehash out.hash --progress none --backend simulate:0.5/8 "$@" 2>run.log &
    interrupt $! out.mp4 48 "halt $*"
}
reference=slow
job="$job --backend simulate:0.01/8"
fp32="" # simulated devices have no numerics class
halt --encode ranks
same "ranks, then ranks" 2 --encode ranks
halt --encode root --checkpoint always
ls out.mp4.resr/batch-*.h5 >/dev/null || fail "no batch files"
same "root with batch files, then ranks" 3 --encode ranks
halt --encode ranks
same "ranks, then root" 2 --encode root --checkpoint always

# Other encoders, which are part of FFmpeg itself, each in a container that holds their packets.
job="-i in.mp4 -m tiny.safetensors --threads 1 --segment 48 --precision fp32"
for reference in mpeg4 ffv1; do
    [ $reference = mpeg4 ] || container=avi # the IDs in an .mkv are random
    # shellcheck disable=SC2086
    upscale 2 $job -o $reference.$container --framehash $reference.hash --encode root --codec $reference ||
        fail "the reference in $reference"
    same "$reference in $container" 3 --encode ranks --codec $reference
done

refuse() {
    words=$1
    shift
    code=0
    # shellcheck disable=SC2086
    "$RESR" -i in.mp4 -m tiny.safetensors --progress none --encode ranks "$@" 2>run.log || code=$?
    [ $code = 64 ] && grep -q -- "$words" run.log || fail "$*: exit $code: $(cat run.log)"
    echo "ok refused: $words"
}
refuse "segment 0" -o no.mp4 --segment 0
refuse "checkpoint off" -o no.mp4 --checkpoint off
refuse "keep-frames" -o no.mp4 --keep-frames
refuse "larger --memory" -o no.mp4 --memory 200K
refuse "a video" -o no%03d.png
[ -z "$(ls -d no* 2>/dev/null)" ] || fail "refusals left $(ls -d no*)"
