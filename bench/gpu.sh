#!/bin/sh
# bench/gpu.sh: everything that wants to be known about a GPU, in under 10 minutes: builds the CUDA backend
# alone (nvcc, a C compiler and CMake are enough), runs its tests on the GPU, then times every variant on every
# convolution, whole networks, and PyTorch as a peer where it is installed, and writes one JSON file to
# bench/results (or $OUT). Where compute-sanitizer and ncu are found: memcheck and racecheck over the tests,
# and ncu's figures. Clocks, modes and persistence stay as they are. A failed step costs its own rows only.
# With RESR_DRY_RUN set it plays on the emulator (tests/cuda/gpu_sh.sh) with one small size and few tests.
set -eu
cd "$(dirname "$0")/.."
out=${OUT:-bench/results}
build=${BUILD:-build-gpu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
name=gpu.sh all_s=570
. bench/gpu_lib.sh

quick=${RESR_DRY_RUN:+1}
if ! nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    echo "gpu.sh: nvidia-smi shows no GPU" >&2
    exit 77
fi
if [ -n "$quick" ] && [ -z "${EMU_KERNELS:-}" ]; then
    echo "gpu.sh: RESR_DRY_RUN needs the emulator (EMU_KERNELS)" >&2
    exit 77
fi
query=name,uuid,driver_version,compute_cap,clocks.max.sm,clocks.max.mem,power.limit,memory.total
nvidia-smi -i 0 --query-gpu=$query --format=csv,noheader >"$work/device.csv"
capability=$(cut -d, -f4 "$work/device.csv" | tr -d ' .')
best=mma
if [ "$capability" = 90 ]; then
    capability=90a best=wgmma
fi
nvidia-smi -i 0 --query-gpu=clocks.sm,power.draw,temperature.gpu --format=csv,noheader,nounits -lms 500 \
    >"$work/clocks.csv" &
sampler=$!
trap 'kill "$sampler" 2>/dev/null || true; rm -rf "$work"' EXIT

say "building for sm_$capability"
ninja=$(command -v ninja || true) # make may be missing
if ! {
    cmake ${ninja:+-G Ninja} -S cuda -B "$build" -DRESR_CUDA=ON -DRESR_CUDA_ARCHS="$capability" \
        -DBUILD_TESTING=ON -DRESR_PTX_EMU=OFF && cmake --build "$build" -j "$(nproc)"
} >"$work/build.log" 2>&1; then
    tail -n 30 "$work/build.log"
    exit 1
fi
build=$(cd "$build" && pwd)
REALESRGAN_CUDA=${REALESRGAN_CUDA:-$build/realesrgan-cuda.so}
export REALESRGAN_CUDA
step 100 tests ctest --test-dir "$build" -L cuda ${quick:+-R 'cuda\.(model|conv_cublas\.eager)$'} -j 4 \
    --timeout 40 --output-on-failure
check_idle

step 90 kernels "$build/bench_cuda" ${quick:+--quick}
if [ -n "$quick" ]; then
    step 90 net_0 "$build/bench_cuda_net" rrdb:4:1:1 12 8 0 0 cuda-mma 0.1
else
    # The seed's clip is 1080p by x2plus: whole frames and tiles of 256 px, then the other networks.
    step 30 net_0 "$build/bench_cuda_net" rrdb:2:23:1 1920 1080 0 0 cuda 5
    step 30 net_1 "$build/bench_cuda_net" rrdb:2:23:1 1920 1080 256 36 cuda 5
    step 30 net_2 "$build/bench_cuda_net" rrdb:2:23:1 1920 1080 0 0 cuda-mma 5
    step 30 net_3 "$build/bench_cuda_net" rrdb:4:23:1 960 540 0 0 cuda 5
    step 30 net_4 "$build/bench_cuda_net" srvgg:4:16:1 1920 1080 0 0 cuda 3
    step 30 net_5 "$build/bench_cuda_net" span:4:6:1 1920 1080 0 0 cuda 3
    step 30 net_6 "$build/bench_cuda_net" span:4:6:1:48 1920 1080 0 0 cuda 3
fi
sanitizer=$(tool compute-sanitizer)
if [ -x "$sanitizer" ]; then
    for check in memcheck racecheck; do
        step 50 $check "$sanitizer" --tool $check --error-exitcode 9 "$build/bench_cuda" --quick
    done
fi
ncu=$(tool ncu)
if [ -x "$ncu" ]; then
    # Without --clock-control none ncu sets the clocks, which a borrowed machine may forbid.
    step 60 ncu "$ncu" --csv --clock-control none --kernel-name "regex:conv_$best" --section SpeedOfLight \
        --section WarpStateStats --section MemoryWorkloadAnalysis --section MemoryWorkloadAnalysis_Tables \
        "$build/bench_cuda" --once $best
fi
# The peers last: compiling takes the rest of the time.
step 40 cudnn python3 bench/gpu_cudnn.py
if python3 -c 'import torch, numpy' 2>/dev/null; then
    step 150 peer python3 bench/gpu_peer.py 4 256 256 8 5
fi
kill "$sampler" 2>/dev/null || true
python3 bench/gpu.py "$work" "$out"
say "done"
for status in "$work/tests.status" "$work/kernels.status" "$work"/net_*.status; do
    [ ! -e "$status" ] || grep -q -x 0 "$status" || exit 1
done
