#!/bin/sh
# bench/gpu.sh: everything that wants to be known about a GPU, in under 10 minutes: builds the CUDA backend
# alone (nvcc, a C compiler and CMake are enough), runs its tests on the GPU, then times every rung on every
# convolution, whole networks, and PyTorch as a peer where it is installed, and writes one JSON file to
# bench/results (or $OUT). Where compute-sanitizer and ncu are found: memcheck and racecheck over the tests,
# and ncu's figures. Clocks, modes and persistence stay as they are.
# With RESR_DRY_RUN set it plays on the emulator (tests/cuda) with one small size.
set -eu
cd "$(dirname "$0")/.."
out=${OUT:-bench/results}
build=${BUILD:-build-gpu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
start=$(date +%s)

say() {
    echo "gpu.sh: $(($(date +%s) - start)) s: $*"
}

# step SECONDS NAME COMMAND...: output to $work/NAME; a failure is noted and does not end the run.
step() {
    limit=$1 name=$2
    shift 2
    left=$((570 - $(date +%s) + start))
    [ "$limit" -le $left ] || limit=$left
    if [ "$limit" -le 0 ]; then
        say "no time left for $name"
        return
    fi
    say "$name"
    status=0
    timeout "$limit" "$@" >"$work/$name" 2>"$work/$name.err" || status=$?
    echo "$status" >"$work/$name.status"
    if [ "$status" != 0 ]; then
        say "$name ended with $status"
        tail -n 5 "$work/$name.err" "$work/$name"
    fi
}

quick=
if [ -z "${RESR_DRY_RUN:-}" ] && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    query=name,uuid,driver_version,compute_cap,clocks.max.sm,clocks.max.mem,power.limit,memory.total
    nvidia-smi -i 0 --query-gpu=$query --format=csv,noheader >"$work/device.csv"
    capability=$(cut -d, -f4 "$work/device.csv" | tr -d ' .')
    [ "$capability" != 90 ] || capability=90a
    nvidia-smi -i 0 --query-gpu=clocks.sm,power.draw,temperature.gpu --format=csv,noheader,nounits -lms 500 \
        >"$work/clocks.csv" &
    sampler=$!
    trap 'kill "$sampler" 2>/dev/null || true; rm -rf "$work"' EXIT
elif [ -n "${RESR_DRY_RUN:-}" ] && [ -n "${EMU_KERNELS:-}" ]; then
    quick=1
    echo "emulated" >"$work/device.csv"
else
    echo "gpu.sh: nvidia-smi shows no GPU, and there is no emulator for a dry run" >&2
    exit 77
fi

if [ -z "$quick" ]; then
    say "building for sm_$capability"
    if ! {
        cmake -S cuda -B "$build" -DRESR_CUDA=ON -DRESR_CUDA_ARCHS="$capability" -DBUILD_TESTING=ON \
            -DRESR_PTX_EMU=none && cmake --build "$build" -j "$(nproc)"
    } >"$work/build.log" 2>&1; then
        tail -n 30 "$work/build.log"
        exit 1
    fi
    step 120 tests ctest --test-dir "$build" -L cuda -j 8 --output-on-failure
fi
REALESRGAN_CUDA=${REALESRGAN_CUDA:-$PWD/$build/realesrgan-cuda.so}
export REALESRGAN_CUDA

step 90 kernels "$build/bench_cuda" ${quick:+--quick}
if [ -n "$quick" ]; then
    step 90 net_0 "$build/bench_cuda_net" rrdb:4:1:1 12 8 0 0 cuda-mma 0.1
else
    # The seed's clip is 1080p by x2plus: whole frames and the default tiles, then the other networks.
    step 30 net_0 "$build/bench_cuda_net" rrdb:2:23:1 1920 1080 0 0 cuda 5
    step 30 net_1 "$build/bench_cuda_net" rrdb:2:23:1 1920 1080 256 36 cuda 5
    step 30 net_2 "$build/bench_cuda_net" rrdb:2:23:1 1920 1080 0 0 cuda-mma 5
    step 30 net_3 "$build/bench_cuda_net" rrdb:4:23:1 960 540 0 0 cuda 5
    step 30 net_4 "$build/bench_cuda_net" srvgg:4:16:1 1920 1080 0 0 cuda 3
    if python3 -c 'import torch, numpy' 2>/dev/null; then
        step 150 peer python3 bench/gpu_peer.py 4 256 256 8 5
    fi
    sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    if [ -x "$sanitizer" ]; then
        for tool in memcheck racecheck; do
            step 50 $tool "$sanitizer" --tool $tool --error-exitcode 9 "$build/bench_cuda" --quick
        done
    fi
    ncu=$(command -v ncu || echo /usr/local/cuda/bin/ncu)
    if [ -x "$ncu" ]; then
        step 60 ncu "$ncu" --csv --kernel-name 'regex:conv_' --section SpeedOfLight \
            --section WarpStateStats --section MemoryWorkloadAnalysis "$build/bench_cuda" --quick
    fi
    kill "$sampler" 2>/dev/null || true
fi
python3 bench/gpu.py "$work" "$out"
say "done"
for status in "$work/tests.status" "$work/kernels.status" "$work"/net_*.status; do
    [ ! -e "$status" ] || grep -q -x 0 "$status" || exit 1
done
