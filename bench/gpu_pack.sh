#!/bin/sh
# bench/gpu_pack.sh TO [BUILD]: on a machine without a GPU, puts all that gpu_first.sh needs on one with a GPU into
# the folder TO: programs, their libraries, the scripts, and x4plus's weights where models/fetch.sh has fetched
# them. The programs are those of the finished build folder BUILD; without it they are built here for
# RESR_CUDA_ARCHS (90a). Then copy TO and run `sh TO/gpu_first.sh` there.
set -eu
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: gpu_pack.sh TO [BUILD]" >&2
    exit 64
fi
source=$(cd "$(dirname "$0")/.." && pwd)
to=$1
programs="bench_cuda bench_cuda_net bench_cuda_probe test_conv test_conv_cublas test_wgmma test_forward_cuda test_colour_cuda"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$to/lib"
to=$(cd "$to" && pwd)

build=${2:-$work/build}
if [ $# = 1 ]; then
    cmake -S "$source" -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=ON -DRESR_CUDA=ON \
        -DRESR_CUDA_ARCHS="${RESR_CUDA_ARCHS:-90a}" -DRESR_PTX_EMU=OFF >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
    # shellcheck disable=SC2086 # words
    cmake --build "$build" -j "${JOBS:-$(nproc)}" --target $programs realesrgan-cuda >"$work/log" 2>&1 || {
        tail -n 30 "$work/log" >&2
        exit 1
    }
fi

nvcc=$(readlink -f "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${nvcc%/bin/nvcc}/lib64"
for name in $programs realesrgan-cuda.so; do
    found=$(find "$build" -name "$name" -type f | head -n 1)
    if [ -z "$found" ]; then
        echo "gpu_pack.sh: $build has no $name; build it with RESR_CUDA=ON, BUILD_TESTING=ON and 90a in RESR_CUDA_ARCHS" >&2
        exit 1
    fi
    strip -o "$to/$name" "$found"
    ldd "$found" >>"$work/libraries"
done
if grep "not found" "$work/libraries" >&2; then
    echo "gpu_pack.sh: a library is missing here" >&2
    exit 1
fi
# Not those of glibc and gcc: they belong to the machine.
awk '$3 ~ "^/" { print $3 }' "$work/libraries" | sort -u |
    grep -v -E '/(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so' |
    while read -r library; do
        cp -L "$library" "$to/lib/"
    done
for file in "$source"/models/weights/realesrgan-x4plus.param "$source"/models/weights/realesrgan-x4plus.bin; do
    if [ -e "$file" ]; then
        cp "$file" "$to/"
    else
        echo "gpu_pack.sh: without $(basename "$file"), which models/fetch.sh fetches"
    fi
done
cp "$source"/bench/gpu_first.sh "$source"/bench/gpu_lib.sh "$source"/bench/gpu_cudnn.py "$to/"
echo "gpu_pack.sh: $(du -sm "$to" | cut -f 1) MB in $to"
