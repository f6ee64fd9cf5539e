#!/bin/sh
# gpu_first.sh BUILD: bench/gpu_pack.sh packs the build folder, and bench/gpu_first.sh in the packed folder, on this
# machine without a GPU, starts every step; none fails but for want of a device or of a program of CUDA's.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
if nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    echo "skipped: this machine has a GPU"
    exit 77
fi
if [ ! -x "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)" ]; then
    echo "skipped: nvcc is not installed"
    exit 77
fi
sh "$source/bench/gpu_pack.sh" "$folder/carry" "$1" || fail "gpu_pack.sh: exit $?"
for program in "$folder"/carry/bench_* "$folder"/carry/test_*; do
    LD_LIBRARY_PATH=$folder/carry/lib ldd "$program" | awk '$3 ~ "^/" { print $3 }' |
        grep -v -e "^$folder" -E -e '/(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so' &&
        fail "$program: libraries that are not packed"
done

cd "$folder"
unset LD_LIBRARY_PATH
OUT=$folder/out sh carry/gpu_first.sh >log 2>&1 && fail "all steps passed without a device: $(cat log)"
cat log
tail -n 1 log | grep -q ' 0 steps passed, ' || fail "steps passed without a device"
for step in device probe conv_mma_2_11 conv_wgmma-plain_1_11 conv_wgmma_1_11 conv_wgmma_1_12 conv_mma_row_6 \
    conv_mma-bf16_row_13 conv_cublas_1_21 wgmma_cuts wgmma_sizes_12 wgmma_sizes_7 cublas forward_wgmma forward_x4plus \
    colour kernels net_whole net_tiles cudnn memcheck ncu; do
    [ -e "out/$step.status" ] || fail "$step did not start"
    code=$(cat "out/$step.status")
    cat "out/$step" "out/$step.err" >text
    case $code in # passed, out of time, not started, killed
    0 | 12[4-7] | 1[3-9]?) fail "$step: exit $code: $(cat text)" ;;
    esac
    grep -q -i -E 'no device|is not installed' text || fail "$step: exit $code: $(cat text)"
    rm "out/$step.status"
done
left=$(find out -name '*.status')
[ -z "$left" ] || fail "a step that this test does not know: $left"
echo "ok every step started"
