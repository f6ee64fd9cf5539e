#!/bin/sh
# The whole program with --backend cuda: the same frames for any number of ranks, tiles at once and order
# of streams; the messages where memory is short, or a device is lost or missing.
. "$(dirname "$0")/../mpi/lib.sh"
tiny_model
"$MAKE_MODEL" compact.safetensors srvgg 2 1 64 0 7
clip in.mp4 3
ffmpeg -v error -y -i in.mp4 -vf scale=40:24 small.mp4

run() {
    name=$1
    ranks=$2
    shift 2
    upscale "$ranks" -i "$input" -o out.mp4 --overwrite --backend cuda --framehash "$name.hash" "$@" || fail "$name"
    [ "$(cut -d' ' -f3 "$name.hash" | sort -u | wc -l)" = 3 ] || fail "$name: not three different frames"
}
same() {
    cmp -s "$1.hash" "$2.hash" || fail "$2: other frames than $1"
    echo "ok $2"
}
# refused STATUS TEXT OPTION...: the exit status and a part of the message.
refused() {
    status=$1
    text=$2
    shift 2
    code=0
    upscale 1 -i in.mp4 -o none.mp4 "$@" 2>/dev/null || code=$?
    [ $code = "$status" ] || fail "exit $code instead of $status: $*"
    grep -q -- "$text" run.log || fail "the message has no \"$text\": $(cat run.log)"
    [ ! -e none.mp4 ] || fail "an output was left: $*"
    echo "ok refused: $text"
}

"$RESR" --list-devices --backend cuda >devices
grep -q 'GPU 0: .*SMs.*compute capability.*kernels [a-z]' devices || fail "--list-devices: $(cat devices)"
input=small.mp4
run rrdb1 1 -m tiny.safetensors
run rrdb2 2 -m tiny.safetensors --batch 1
same rrdb1 rrdb2
run rrdb3 3 -m tiny.safetensors --batch 1
same rrdb1 rrdb3
upscale 1 -i "$input" -o out.mp4 --overwrite --precision fp32 -m tiny.safetensors --framehash fp32.hash
run bf16 1 -m tiny.safetensors --precision bf16 --report bf16.json
run bf16_2 2 -m tiny.safetensors --precision bf16 --batch 1
same bf16 bf16_2
run bf16_mma 1 -m tiny.safetensors --precision bf16 --conv mma
same bf16 bf16_mma
! cmp -s rrdb1.hash bf16.hash || fail "bf16's frames are fp16's"
jq -e '.numerics_class | startswith("bf16-sm")' bf16.json >/dev/null || fail "the class: $(jq .numerics_class bf16.json)"
! cmp -s rrdb1.hash fp32.hash || fail "fp16's frames are fp32's: it did not run on the device"

input=in.mp4
small="-m compact.safetensors -t 16 --tile-pad 8"
# shellcheck disable=SC2086 # words
run compact 1 $small
# shellcheck disable=SC2086
run one_by_one 1 $small --batch 1
same compact one_by_one
refused 69 "in fp16 (.*not in" --backend cuda --precision fp32 -m tiny.safetensors
REALESRGAN_CUDA=$PWD/none.so refused 69 "none.so does not exist" --backend cuda -m tiny.safetensors
[ -n "${EMU_KERNELS:-}" ] || {
    echo "a GPU: what the emulator alone can play is left out"
    exit 0
}

for streams in lazy random; do
    # shellcheck disable=SC2086
    EMU_STREAMS=$streams run $streams 1 $small
    same compact $streams
done
# Before the tiles of a pass, at first all twelve of each of four frames, come the probe's two allocations,
# the weights and eight for frames.
# shellcheck disable=SC2086
EMU_FAIL_MALLOC=12 run refused_once 1 $small
grep -q "memory for 24 tiles at once, not for 48" run.log || fail "no word about fewer tiles: $(cat run.log)"
same compact refused_once
# shellcheck disable=SC2086
EMU_MEM=4000000 run small_memory 1 $small
grep -q "tiles at once, not for 48" run.log || fail "no word about fewer tiles: $(cat run.log)"
same compact small_memory

# Bands of rows behind the body: of 62 rows, 15 and a rest of two.
ffmpeg -v error -y -i in.mp4 -vf scale=24:124 tall.mp4
input=tall.mp4
run at_once 1 -m tiny.safetensors -t 0 --pix-fmt yuv444p10le
EMU_MEM=4000000 run bands 1 -m tiny.safetensors -t 0 --pix-fmt yuv444p10le
grep -q "in bands of rows" run.log || fail "no word about bands: $(cat run.log)"
same at_once bands
EMU_STREAMS=random EMU_MEM=4000000 run bands_random 1 -m tiny.safetensors -t 0 --pix-fmt yuv444p10le
same at_once bands_random

# does_not_fit BYTES MODEL SIDE PAD: exit 69 names a tile, which then fits.
does_not_fit() {
    ffmpeg -v error -y -i in.mp4 -vf "scale=$3:$3" -frames:v 1 large.mp4
    code=0
    EMU_MEM=$1 upscale 1 -i large.mp4 -o none.mp4 --backend cuda -m "$2" -t 0 --tile-pad "$4" 2>/dev/null || code=$?
    [ $code = 69 ] || fail "a tile that does not fit: exit $code: $(cat run.log)"
    fits=$(sed -n 's/.*are free; -t \([0-9]*\) fits.*/\1/p' run.log)
    [ -n "$fits" ] || fail "a tile that does not fit: no -t is named: $(cat run.log)"
    EMU_MEM=$1 upscale 1 -i large.mp4 -o out.mp4 --overwrite --backend cuda -m "$2" -t "$fits" --tile-pad "$4" \
        --deadline 200 || fail "-t $fits, which was said to fit"
    echo "ok $2: -t $fits fits"
}
does_not_fit 4000000 compact.safetensors 160 4
code=0
EMU_MEM=4000000 upscale 1 -i large.mp4 -o none.mp4 --backend cuda -m compact.safetensors -t 0 --tile-pad 80 2>/dev/null ||
    code=$?
[ $code = 69 ] && grep -q "let fewer ranks share it" run.log || fail "no tile fits: exit $code: $(cat run.log)"
does_not_fit 5000000 tiny.safetensors 96 10

# shellcheck disable=SC2086
EMU_LOST=20 refused 69 "CUDA device 0: .*LaunchFailure" --backend cuda $small
EMU_DEVICES=0 refused 69 "shows no device" --backend cuda -m tiny.safetensors
EMU_DEVICES=0 refused 69 "shows no device" --precision fp16 -m tiny.safetensors
EMU_DEVICES=0 upscale 1 -i in.mp4 -o out.mp4 --overwrite -m compact.safetensors || fail "without a device: no CPU"
EMU_DEVICES=2 upscale 3 -i in.mp4 -o out.mp4 --overwrite --backend cuda -m compact.safetensors --batch 1 \
    --framehash shared.hash --report report.json
grep -q "3 ranks of this node share 2 GPUs" run.log || fail "no warning about shared devices"
uuids=$(jq -r '.ranks[].device' report.json | sed 's/.*(\(GPU-[-0-9a-f]*\)).*/\1/')
[ "$(echo "$uuids" | grep -c '^GPU-')" = 3 ] && [ "$(echo "$uuids" | sort -u | wc -l)" = 2 ] ||
    fail "not two GPUs for three ranks in the report: $uuids"
for uuid in $uuids; do
    grep -q "rank [012] on .*$uuid" run.log || fail "the log does not name $uuid: $(cat run.log)"
done
echo "ok devices"
