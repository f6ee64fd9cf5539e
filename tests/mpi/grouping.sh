#!/bin/sh
# 300 frames on 12 ranks: batches of 8, short ones only at a segment's or the video's end; with a
# static schedule and one segment the original's 38 batches, batch b on rank b mod 12.
. "$(dirname "$0")/lib.sh"
tiny_model
clip in.mp4 300

check() {
    jq -e "$2" "$1" >/dev/null || fail "$1: not true: $2"
    echo "ok $2"
}

upscale 12 -i in.mp4 -o a.mp4 -m tiny.safetensors --threads 1 --report pull.json || fail pull
check pull.json '.frames_in == 300 and .frames_out == 300'
check pull.json '[.batches[].frames] | add == 300'
# 6 whole segments of 48 frames and one of 12: 6 * 6 batches of 8, then 8 and 4
check pull.json '[.batches[].frames] == [range(37) | 8] + [4]'
check pull.json '[.batches[] | select(.frames != ([.parts[].frames] | add))] == []'
check pull.json '[.batches[].parts[] | select(.rank < 0 or .rank > 11)] == []'
check pull.json '[.batches[].parts[].first] == ([.batches[].parts[].first] | sort | unique)'
check pull.json '[.ranks[].frames] | add == 300'
check pull.json '[.ranks[] | select(.frames > 0)] | length > 1'
# whole frames: no pixel is computed twice
check pull.json '.tflop_computed / .tflop_useful | . > 0.999999 and . < 1.000001'

upscale 12 -i in.mp4 -o b.mp4 -m tiny.safetensors --threads 1 --report static.json \
    --schedule static --segment 0 || fail static
check static.json '.batches | length == 38'
check static.json '[.batches[].frames] == [range(37) | 8] + [4]'
check static.json '[.batches[] | select((.parts | length) != 1)] == []'
check static.json '[.batches[] | select(.parts[0].rank != .batch % 12)] == []'

upscale 3 -i in.mp4 -o c.mp4 -m tiny.safetensors --threads 1 --report five.json --batch 5 || fail five
check five.json '[.batches[0:10][].frames] == [5, 5, 5, 5, 5, 5, 5, 5, 5, 3]'
check five.json '[.batches[].frames] | add == 300'

# tiles with context compute it again; the ranks that encode report their work in other messages
for mode in root ranks; do
    upscale 3 -i in.mp4 -o "$mode.mp4" -m tiny.safetensors --threads 1 --report "$mode.json" --encode $mode \
        -t 16 --tile-pad 4 || fail "$mode"
    check "$mode.json" '.tflop_computed / .tflop_useful | . > 1.1 and . < 2'
done
