#!/bin/sh
# gpu_first.sh: the first five minutes on a borrowed H100 or H200: correctness before speed. Runs in the
# folder that gpu_pack.sh has made (or $CARRY names it); nothing is built. Every step has a limit of its own and leaves its
# output in $OUT (out). The last line counts the steps; the exit status is 1 unless every step has passed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
carry=${CARRY:-$here}
work=${OUT:-out}
mkdir -p "$work"
work=$(cd "$work" && pwd)
rm -f "$work"/*.status
export LD_LIBRARY_PATH="$carry/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" PYTHONUNBUFFERED=1
export REALESRGAN_CUDA="$carry/realesrgan-cuda.so"
name=gpu_first.sh all_s=540
. "$here/gpu_lib.sh"

# tool_step SECONDS STEP PROGRAM ARGUMENT...: a step that is skipped where the program is not installed.
tool_step() {
    if command -v "$3" >/dev/null; then
        step "$@"
    else
        step 5 "$2" sh -c "echo 'skipped: $3 is not installed'; exit 77"
    fi
}

tool_step 5 device nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.draw,power.limit --format=csv
step 20 probe "$carry/bench_cuda_probe"
grep -v -e ": yes" -e "also right" "$work/probe" # wrong answers, and clocks a product
# Every variant against sums in double precision, all at once; the plain way before the swizzled one.
for job in "mma 2 11" "wgmma-plain 1 11" "wgmma 1 11" "wgmma 1 12" "mma row 6" "mma-bf16 row 13" "cublas 1 21"; do
    # shellcheck disable=SC2086 # words
    step 40 "conv_$(echo "$job" | tr ' ' _)" "$carry/test_conv" $job &
done
for job in cuts "sizes 12" "sizes 7"; do
    # shellcheck disable=SC2086
    step 40 "wgmma_$(echo "$job" | tr ' ' _)" "$carry/test_wgmma" $job &
done
step 40 cublas "$carry/test_conv_cublas" &
wait
# Not run by bench_cuda_net: the program's forward pass with graphs and streams, and colours.
step 40 forward_wgmma "$carry/test_forward_cuda" cuda-wgmma
step 40 forward_x4plus "$carry/test_forward_cuda" cuda-wgmma "$carry/realesrgan-x4plus.param"
step 30 colour "$carry/test_colour_cuda"
check_idle
step 75 kernels "$carry/bench_cuda"
step 25 net_whole "$carry/bench_cuda_net" rrdb:2:23:1 1920 1080 0 0 cuda 3
step 25 net_tiles "$carry/bench_cuda_net" rrdb:2:23:1 1920 1080 256 36 cuda 3
step 60 cudnn python3 "$here/gpu_cudnn.py"
export RESR_CUBLASLT=/nonexistent # half a gigabyte that neither tool is to look at
tool_step 30 memcheck "$(tool compute-sanitizer)" --tool memcheck --error-exitcode 9 "$carry/bench_cuda" --quick
ncu=$(tool ncu) # by itself it sets the clocks, which a borrowed machine may forbid
tool_step 60 ncu "$ncu" --clock-control none --set full --kernel-name regex:conv_wgmma -f -o "$work/wgmma" \
    "$carry/bench_cuda" --once wgmma
[ ! -e "$work/wgmma.ncu-rep" ] || "$ncu" -i "$work/wgmma.ncu-rep" --page details --csv >"$work/wgmma.csv"

passed=$(cat "$work"/*.status | grep -c -x 0)
skipped=$(cat "$work"/*.status | grep -c -x 77)
steps=$(cat "$work"/*.status | grep -c .)
say "$passed steps passed, $skipped were skipped, $((steps - passed - skipped)) failed"
[ "$passed" = "$steps" ]
