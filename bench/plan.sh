#!/bin/sh
# bench/plan.sh [BUILD [ROUNDS [waiting]]]: predictions of --plan against measured times: simulated devices whose
# time is waiting, simulated devices that are faster than the encoder, and one and two real CPU ranks.
# Medians of ROUNDS. Prints VALID only if every wall time is within 10 % of its prediction; JSON into
# bench/results. About two minutes a round; nothing else should run. "waiting": only the first of
# these, half a minute a round, with little load of the processors.
set -eu
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build}")
rounds=${2:-3}
root=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ -f models/clips/bikes.mp4 ] || { echo "models/clips/bikes.mp4 is needed: sh models/fetch.sh --clips" >&2; exit 66; }
cd "$folder"
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ffmpeg -v error -f lavfi -i testsrc2=size=64x36:rate=25,trim=end_frame=160 -pix_fmt yuv420p tiny.mp4
ffmpeg -v error -i "$root/models/clips/bikes.mp4" -vf scale=320:136 -frames:v 96 -crf 10 small.mp4
"$build/tools/make_model" net.safetensors rrdb 2 1 16 8 7

# play NAME "RANKS" OPTION...: predicts, runs, and adds a row for each number of ranks.
play() {
    name=$1
    ranks=$2
    shift 2
    # shellcheck disable=SC2086 # words
    list=$(printf ',%s' $ranks)
    "$build/realesrgan-mpi" "$@" -o out.mp4 --dry-run --plan "ranks=${list#,},host=${ranks##* }" --report plan.json \
        >plan.txt 2>log || { cat log >&2; exit 1; }
    for n in $ranks; do
        : >walls
        for _ in $(seq "$rounds"); do
            mpirun -n "$n" "$build/realesrgan-mpi" "$@" -o out.mp4 --overwrite --progress none --report report.json \
                >log 2>&1 || { cat log >&2; exit 1; }
            jq -c '.seconds | {wall, start_up, makespan}' report.json >>walls
        done
        jq -s -c --arg name "$name" --argjson n "$n" --slurpfile plan plan.json \
            'sort_by(.wall)[length / 2 | floor] as $m | ($plan[0].ranks[] | select(.ranks == $n)) |
             {name: $name, ranks, limit, predicted_seconds: .wall_seconds, seconds: $m.wall,
              predicted_start_up_seconds: .start_seconds, start_up_seconds: $m.start_up,
              makespan_seconds: $m.makespan, ratio: (.wall_seconds / $m.wall)}' walls >>rows
    done
}

cpu="-i small.mp4 -n realesr-animevideov3 -m $root/models/weights"
play "simulated, 0.1 s a frame" "1 2 4 8 16" -i tiny.mp4 -m net.safetensors --backend simulate:0.8/8
if [ "${3:-}" != waiting ]; then
    # shellcheck disable=SC2086
    play "simulated, 0.2 s a frame, 1280 x 544" "1 2 4" $cpu --backend simulate:1.6/8
    # shellcheck disable=SC2086
    play "CPU, all threads" "1" $cpu
    # shellcheck disable=SC2086
    play "CPU, 1 thread a rank" "1 2" $cpu --threads 1
fi

jq -s -r 'if all(.[]; .ratio > 0.9 and .ratio < 1.1) then "VALID" else "INVALID" end' rows
echo "| job | ranks | predicted | measured | ratio | limit |"
echo "|---|---|---|---|---|---|"
jq -r 'def r: . * 100 | round / 100; "| \(.name) | \(.ranks) | \(.predicted_seconds | r) s | \(.seconds | r) s | \(.ratio | r) | \(.limit) |"' rows
jq -s --arg date "$(date +%F)" --argjson rounds "$rounds" \
    '{bench: "plan", verdict: (if all(.[]; .ratio > 0.9 and .ratio < 1.1) then "VALID" else "INVALID" end),
      date: $date, rounds: $rounds, rows: .}' rows >"$root/bench/results/plan-$(date +%F).json"
