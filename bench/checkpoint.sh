#!/bin/sh
# bench/checkpoint.sh time|size [BUILD [FRAMES [ROUNDS]]]: cost of checkpoints.
# time: upscales a real clip by x4plus with --checkpoint always and off in turns, and prints the medians
# of wall time and of processor time as a line of JSON; the class is fixed, since auto may choose another one.
# size: bytes of the video stream and PSNR against the frames before encoding, with segments of 48
# frames and with one encoder over the whole video (--segment 0), libx264: a real clip upscaled by
# animevideov3, and one enlarged 2x by a network that only repeats pixels. One encoder at crf 17,
# the default, and 18 gives the cost of segments at equal PSNR.
set -eu
cd "$(dirname "$0")/.."
what=${1:-time}
build=${2:-build}
frames=${3:-16}
rounds=${4:-5}
clips=models/clips
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

upscale() { # OPTION...
    "$build/realesrgan-mpi" -o "$folder/out.mp4" --overwrite --progress none "$@" >&2
}

timed() { # always|off: appends wall and processor seconds to its files
    (
        upscale -i $clips/carphone_pristine.mp4 -m models/weights/realesrgan-x4plus.param --precision bf16 \
            --frames "$frames" --checkpoint "$1" --report "$folder/report"
        times
    ) >"$folder/times"
    jq .seconds.wall "$folder/report" >>"$folder/wall.$1"
    # The second line is that of the children: 0m1.23s 0m0.45s.
    sed -n 2p "$folder/times" | tr 'ms' '  ' | awk '{ print 60 * $1 + $2 + 60 * $3 + $4 }' >>"$folder/cpu.$1"
}

median() {
    sort -n "$1" | sed -n "$((rounds / 2 + 1))p"
}

stream_bytes() {
    ffprobe -v error -select_streams v:0 -show_entries packet=size -of csv=p=0 "$folder/out.mp4" |
        awk '{ bytes += $1 } END { print bytes }'
}

psnr() {
    ffmpeg -v info -nostats -i "$folder/out.mp4" -i "$folder/frames.mkv" -lavfi psnr -f null - 2>&1 |
        sed -n 's/.*average:\([0-9.]*\).*/\1/p'
}

encoded() { # OPTION...: bytes and PSNR
    upscale "$@"
    echo "$(stream_bytes) $(psnr)"
}

size() { # CLIP MODEL FRAMES
    clip=$1
    set -- -i "$clips/$1" -m "$2" --frames "$3"
    "$build/realesrgan-mpi" -o "$folder/frames.mkv" --overwrite --progress none --codec ffv1 "$@" >&2
    echo "$clip $(encoded "$@" --crf 17) $(encoded "$@" --crf 17 --segment 0) $(encoded "$@" --crf 18 --segment 0)" |
        awk '{ rate = log($4 / $6) / ($5 - $7) # of one encoder, per dB
            printf "{\"clip\": \"%s\", \"segment_bytes\": %d, \"segment_psnr\": %.3f, ", $1, $2, $3
            printf "\"one_encoder_bytes\": %d, \"one_encoder_psnr\": %.3f, \"more_percent\": %.2f, ", $4, $5,
                100 * ($2 / $4 - 1)
            printf "\"more_percent_at_equal_psnr\": %.2f}\n", 100 * ($2 / ($4 * exp(rate * ($3 - $5))) - 1) }'
}

case $what in
time)
    for _ in $(seq "$rounds"); do
        timed always
        timed off
    done
    echo "$(median "$folder/wall.always") $(median "$folder/wall.off") $(median "$folder/cpu.always") \
$(median "$folder/cpu.off")" | awk -v frames="$frames" -v rounds="$rounds" '{
        printf "{\"frames\": %d, \"rounds\": %d, \"wall_always\": %.2f, \"wall_off\": %.2f, ", frames, rounds, $1, $2
        printf "\"wall_percent\": %.2f, \"cpu_always\": %.2f, \"cpu_off\": %.2f, \"cpu_percent\": %.2f}\n",
            100 * ($1 / $2 - 1), $3, $4, 100 * ($3 / $4 - 1) }'
    ;;
size)
    "$build/tools/make_model" "$folder/repeat.safetensors" srvgg 2 1 8 0 0
    size carphone_pristine.mp4 models/weights/realesr-animevideov3-x4.param 120
    size bikes.mp4 "$folder/repeat.safetensors" 240
    ;;
*)
    echo "checkpoint.sh: '$what' is neither time nor size" >&2
    exit 64
    ;;
esac
