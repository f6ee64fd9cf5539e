#!/bin/sh
# bench/seed.sh [BUILD [ROUNDS]]: the case that this program was written for, on simulated devices in compressed time: a
# wrapper sent a clip of 300 frames to workers, one frame a request (436 s), then in batches of 8 to 6
# workers (61 s), and planned 9.6 s for 2x networks on 12 workers. Each row has the original schedule and this
# program's on the same devices, medians of ROUNDS. Prints VALID only if every run gave the same 300 frames; JSON into
# bench/results. Time is compressed 4 times, in the first row, which runs once, 20 times:
# at 4 times, its 436 s would take 109 s a run. About 5 minutes; two cores are enough.
set -eu
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build}")
rounds=${2:-5}
root=$PWD
results=$root/bench/results
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ffmpeg -v error -f lavfi -i testsrc2=size=64x36:rate=25,noise=alls=24:allf=t:all_seed=7,trim=end_frame=300 -pix_fmt yuv420p in.mp4
"$build/tools/make_model" net.safetensors rrdb 2 1 16 8 7
verdict=VALID

# measure WORKERS SPEC TIME OPTION...: the median makespan in the devices' seconds, in $seconds.
measure() {
    workers=$1
    spec=$2
    times=$3
    shift 3
    : >makespans
    for _ in $(seq "$rounds"); do
        mpirun -n $((workers + 1)) "$build/realesrgan-mpi" -i in.mp4 -o out.mp4 -m net.safetensors --overwrite \
            --root dedicated --progress none --backend "simulate:$spec,time=$times" --framehash hash \
            --report report.json "$@" >log 2>&1 || { cat log >&2; verdict=INVALID; }
        [ -f first ] || cp hash first
        cmp -s hash first && [ "$(grep -c . hash)" = 300 ] || verdict=INVALID
        jq ".seconds.makespan * $times" report.json >>makespans
    done
    seconds=$(sort -n makespans | sed -n "$((rounds / 2 + 1))p")
}

# row NAME WORKERS SPEC TIME SAID BATCH IDEAL: the original schedule is static, in batches of BATCH.
row() {
    measure "$2" "$3" "$4" --schedule static --segment 0 --batch "$6"
    static=$seconds
    measure "$2" "$3" "$4"
    jq -n -c --arg name "$1" --arg spec "$3" --arg said "$5" --argjson workers "$2" --argjson batch "$6" \
        --argjson time "$4" --argjson rounds "$rounds" --argjson static "$static" --argjson ours "$seconds" --argjson ideal "$7" \
        '{name: $name, workers: $workers, device: $spec, original_batch: $batch, time_compressed: $time, rounds: $rounds,
          original_said: $said, static_seconds: $static, seconds: $ours, ideal_seconds: $ideal}' >>rows
}

# 8.72 s a request of one frame on 6 workers: 50 rounds.
all=$rounds
rounds=1
row "one frame a request" 6 8.72/1 20 "436 s" 1 436
rounds=$all
row "batches of 8" 6 8.72/8 4 "61 s" 8 54.5
row "2x networks" 12 3.2/8 4 "9.6 s planned" 8 10
row "one of them at a quarter" 12 3.2/8,slow=5:4 4 "" 8 10.667

echo "$verdict"
echo "| devices | original | its schedule, played | this program | ideal |"
echo "|---|---|---|---|---|"
jq -r '"| \(.workers) x \(.device) s a frame, \(.name) | \(.original_said) | \(.static_seconds * 10 | round / 10) s | \(.seconds * 10 | round / 10) s | \(.ideal_seconds * 10 | round / 10) s |"' rows
jq -s --arg verdict "$verdict" --arg date "$(date +%F)" --argjson rounds "$rounds" \
    '{bench: "seed", verdict: $verdict, simulated: true, date: $date, rounds: $rounds, frames: 300, rows: .}' rows \
    >"$results/seed-$(date +%F).json"
if "$root/.venv-peers/bin/python" -c "import matplotlib" 2>/dev/null; then
    "$root/.venv-peers/bin/python" "$root/bench/plots.py" seed "$results/seed-$(date +%F).json" "$results/seed-$(date +%F)"
else
    echo "no plot: matplotlib is not in .venv-peers (bench/requirements.txt)" >&2
fi
[ $verdict = VALID ]
