#!/bin/sh
# jobs/quickstart.sh [INPUT [OUTPUT]]: from a bare Debian 12 or Ubuntu 24.04 machine to an upscaled video. Installs
# missing packages, builds, fetches the weights of RealESRGAN_x4plus and upscales INPUT 4x on two ranks. Without INPUT
# it upscales the first 16 frames of a real clip and makes a picture of input and output side by side. Steps that are
# complete are skipped.
set -eu
absolute() {
    case $1 in
    /*) echo "$1" ;;
    *) echo "$PWD/$1" ;;
    esac
}
input=${1:+$(absolute "$1")}
output=${2:+$(absolute "$2")}
cd "$(dirname "$0")/.."
. jobs/build.sh

now() { date +%s; }
started=$(now)
step() {
    echo "  $1: $(($(now) - $2)) s"
}

sh jobs/install-deps.sh build
step "packages" "$started"

t=$(now)
build_program -DBUILD_TESTING=OFF
step "build" "$t"

t=$(now)
sh models/fetch.sh RealESRGAN_x4plus
if [ -z "$input" ]; then
    sh jobs/fetch-clips.sh
fi
step "weights and clip" "$t"

t=$(now)
if [ -z "$input" ]; then
    mkdir -p out
    input=models/clips/carphone_pristine.mp4
    output=out/carphone_x4.mp4
    picture=out/carphone_side_by_side.png
    set -- --frames 16 --overwrite
else
    if [ -z "$output" ]; then
        output=${input%.*}_x4.${input##*.}
    fi
    picture=""
    set --
fi
run_mpi -n 2 "${RESR_BUILD:-build}/realesrgan-mpi" -i "$input" -o "$output" -s 4 "$@"
step "upscaling" "$t"

if [ -n "$picture" ]; then
    ffmpeg -v error -y -i "$input" -i "$output" -filter_complex \
        "[0:v]scale=iw*4:ih*4:flags=neighbor[in];[in][1:v]hstack" -frames:v 1 -update 1 "$picture"
fi
echo
echo "done in $(($(now) - started)) s: $(absolute "$output")"
echo "  watch it:      ffplay -loop 0 $output   (or any player)"
if [ -n "$picture" ]; then
    echo "  side by side:  $(absolute "$picture")"
fi
echo "  properties:    ffprobe $output"
