#!/bin/sh
# bench/memory.sh [-b BUILD] [-m MEMORY] [-c CODEC] [-s WxH] NETWORK FRAMES: peak resident memory of the
# ranks on a real clip resized to 1080p, or WxH, and upscaled 4x, with --memory MEMORY [1G]. Rank 0 only
# decodes and encodes, so that its pool and its encoder are not mixed with a worker's memory; rank 1
# computes with all CPUs. NETWORK "short" has the maps of the compact networks, but one convolution in its
# body: for many frames. Prints a line of JSON; the peaks are the kernel's (GNU time).
set -eu
cd "$(dirname "$0")/.."
build=build
memory=1G
codec=libx264
size=1920x1080
while getopts b:m:c:s: letter; do
    case $letter in
    b) build=$OPTARG ;;
    m) memory=$OPTARG ;;
    c) codec=$OPTARG ;;
    s) size=$OPTARG ;;
    *) exit 64 ;;
    esac
done
shift $((OPTIND - 1))
if [ $# != 2 ]; then
    echo "usage: bench/memory.sh [-b BUILD] [-m MEMORY] [-c CODEC] [-s WxH] NETWORK FRAMES" >&2
    exit 64
fi
network=$1
frames=$2
time=/usr/bin/time
if [ ! -x $time ]; then
    echo "memory.sh: $time is missing: apt-get install time" >&2
    exit 69
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ffmpeg -v error -i models/clips/bikes.mp4 -an -frames:v "$frames" -vf "scale=$size" -c:v libx264 -preset ultrafast \
    "$folder/in.mkv"
choice=-n
if [ "$network" = short ]; then
    choice=-m
    network=$folder/short.safetensors
    "$build/tools/make_model" "$network" srvgg 4 1 64 0 0
fi
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# shellcheck disable=SC2016 # the rank's shell expands it
mpirun --bind-to none --oversubscribe -n 2 sh -c 'exec "$0" -f %M -o "$1/peak.$OMPI_COMM_WORLD_RANK" "$2" \
    -i "$1/in.mkv" -o "$1/out.mkv" "$3" "$4" --memory "$5" --codec "$6" --root dedicated --threads "$7" \
    --progress none --report "$1/report"' \
    $time "$folder" "$build/realesrgan-mpi" $choice "$network" "$memory" "$codec" "$(nproc)" >&2

# yuv420p: 12 bits a pixel, at both sizes
jq -c --arg memory "$memory" --arg codec "$codec" --argjson root "$(cat "$folder/peak.0")" \
    --argjson worker "$(cat "$folder/peak.1")" \
    'def mib: . / 1048576 | floor;
    {network: .model.name, numerics_class, input: "\(.input.width)x\(.input.height)", frames: .frames_out, memory_option: $memory, pool_frames,
    pool_mib: (.pool_frames * 1.5 * (.input.width * .input.height + .output.width * .output.height) | mib),
    encoder: $codec, rank0_peak_mib: ($root * 1024 | mib), worker_peak_mib: ($worker * 1024 | mib),
    worker_workspace_mib: (.ranks[1].workspace_bytes | mib), seconds: .seconds.wall}' "$folder/report"
