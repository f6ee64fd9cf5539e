#!/bin/sh
# bench/program.sh [BUILD [PRECISION [FRAMES [ROUNDS]]]]: the whole program against its own kernels. Upscales
# a real clip of 176 x 144 by x4plus in whole frames, as one rank of two threads and as two ranks of one,
# and in turn evaluates the network alone on tiles of that size with as many processes and threads.
# Prints a line of JSON per layout: frames/s of both (medians, without start-up), their ratio, and its
# two factors: the share of the time in which ranks computed, and a frame's time relative to the kernels alone
# (with colour conversion and the load of the codecs' threads).
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
precision=${2:-bf16}
frames=${3:-128}
rounds=${4:-5}
clip=models/clips/carphone_pristine.mp4
weights=models/weights/realesrgan-x4plus.param
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ffmpeg -v error -i $clip -frames:v 1 -f rawvideo -pix_fmt gbrpf32le "$folder/in"
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

program() { # RANKS THREADS -> frames/s, share of the time computing, seconds of computing per frame
    mpirun --bind-to none --oversubscribe -n "$1" "$build/realesrgan-mpi" -i $clip -o "$folder/out.mp4" \
        --overwrite -m $weights -t 0 --frames "$frames" --threads "$2" --precision "$precision" \
        --progress none --report "$folder/report" >&2
    jq -r '(.seconds.wall - .seconds.start_up) as $wall |
        [.frames_out / $wall, .seconds.compute / $wall / (.ranks | length), .seconds.compute / .frames_out] |
        join(" ")' "$folder/report"
}

kernels() { # PROCESSES THREADS -> frames/s of all, over some seconds, as the program's: not the best of a few
    for process in $(seq "$1"); do
        yes | head -$((frames / 4)) | "$build/bench/bench_net" --model $weights --precision "$precision" --threads "$2" \
            --width 176 --height 144 --in "$folder/in" --out /dev/null >"$folder/kernels.$process" &
    done
    wait
    for process in $(seq "$1"); do
        sed -n 's/.*"seconds": \([0-9.]*\).*/\1/p' "$folder/kernels.$process" |
            awk '{ sum += $1 } END { print NR / sum }'
    done | awk '{ sum += $1 } END { print sum }'
}

median() { # FILE COLUMN
    awk -v column="$2" '{ print $column }' "$1" | sort -n | sed -n "$((rounds / 2 + 1))p"
}

for layout in "1 2" "2 1"; do
    rm -f "$folder/programs" "$folder/kernel_rates"
    for _ in $(seq "$rounds"); do
        # shellcheck disable=SC2086 # two words
        program $layout >>"$folder/programs"
        # shellcheck disable=SC2086
        kernels $layout >>"$folder/kernel_rates"
    done
    echo "$layout $(median "$folder/programs" 1) $(median "$folder/kernel_rates" 1)" \
        "$(median "$folder/programs" 2) $(median "$folder/programs" 3)" | awk -v p="$precision" -v n="$frames" '{
        printf "{\"precision\": \"%s\", \"frames\": %d, \"ranks\": %d, \"threads\": %d, ", p, n, $1, $2
        printf "\"program_fps\": %.3f, \"kernels_fps\": %.3f, \"ratio\": %.3f, ", $3, $4, $3 / $4
        printf "\"computing\": %.3f, \"frame_time\": %.3f}\n", $5, $6 * $4 / $1 }'
done
