#!/bin/sh
# Cost of --trace: the same job without and with it in turns, medians of RUNS. trace.sh [RUNS] [RANKS];
# CLIP, MODEL_NAME, FRAMES from the environment. Prints VALID or INVALID first, then one JSON object.
# Alternating hides drift of a shared machine; the spread of the plain runs bounds the meaning of the difference.
# The fastest runs of each kind are those without disturbance.
set -eu
cd "$(dirname "$0")/.."
runs=${1:-5}
ranks=${2:-2}
clip=${CLIP:-models/clips/carphone_pristine.mp4}
name=${MODEL_NAME:-realesr-animevideov3}
frames=${FRAMES:-64}
program=${RESR:-build/realesrgan-mpi}
work=$(mktemp -d "${TMPDIR:-/tmp}/resr-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# cpu_time: ticks of processor time of this shell's children, all ranks included.
cpu_time() {
    awk '{ sub(/.*\) /, ""); print $14 + $15 }' "/proc/$$/stat"
}

# once KIND OPTION...: a run; its makespan is appended to KIND, its whole time, start and writing
# included, to KIND.all, its processor time to KIND.cpu.
once() {
    kind=$1
    shift
    begun=$(date +%s%N)
    before=$(cpu_time)
    mpirun -n "$ranks" "$program" -i "$clip" -o "$work/out.mp4" -n "$name" -m models/weights --frames "$frames" \
        --overwrite --progress none --report "$work/report.json" --framehash "$work/$kind.hash" "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
    echo $((($(date +%s%N) - begun) / 1000)) >>"$work/$kind.all"
    echo $(($(cpu_time) - before)) >>"$work/$kind.cpu"
    jq .seconds.makespan "$work/report.json" >>"$work/$kind"
}

once warm
i=0
while [ $i -lt "$runs" ]; do
    once plain
    once traced --trace "$work/trace.json"
    i=$((i + 1))
done
verdict=VALID
cmp -s "$work/plain.hash" "$work/traced.hash" || verdict="INVALID: other frames"
python3 tools/check_trace.py "$work/trace.json" "$frames" "$ranks" >"$work/check" || verdict="INVALID: $(cat "$work/check")"
echo "$verdict"
jq -n --slurpfile plain "$work/plain" --slurpfile traced "$work/traced" --slurpfile trace "$work/trace.json" \
    --slurpfile plain_cpu "$work/plain.cpu" --slurpfile traced_cpu "$work/traced.cpu" \
    --slurpfile plain_all "$work/plain.all" --slurpfile traced_all "$work/traced.all" \
    --arg cpu "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)" --arg date "$(date +%F)" \
    --arg model "$name" --argjson frames "$frames" --argjson ranks "$ranks" '
    def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2] + .[length / 2 - 1]) / 2 end;
    {what: "trace", $date, $cpu, $model, $frames, $ranks, plain_seconds: $plain, traced_seconds: $traced,
     plain_median: ($plain | median), traced_median: ($traced | median),
     fastest_overhead_percent: ((($traced | min) / ($plain | min) - 1) * 100),
     processor_overhead_percent: ((($traced_cpu | median) / ($plain_cpu | median) - 1) * 100),
     overhead_percent: ((($traced | median) / ($plain | median) - 1) * 100),
     whole_overhead_percent: ((($traced_all | median) / ($plain_all | median) - 1) * 100),
     plain_spread_percent: ((($plain | max) / ($plain | min) - 1) * 100),
     events: ([$trace[0].otherData.ranks[].events] | add)}'
