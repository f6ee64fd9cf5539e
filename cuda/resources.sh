#!/bin/sh
# resources.sh [ARCH...]: compiles every kernel for each architecture (80 86 89 90a 100 120) and writes a
# Markdown table: registers, shared memory, spills, occupancy, and with nvdisasm (wheel
# nvidia-cuda-nvdisasm, or the toolkit) the instructions of the SASS. --update puts it into README.md.
# Fails on any spill or local memory, and on a convolution's store of less than 128 bits. Needs nvcc and python3; no GPU.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
nvdisasm=${NVDISASM:-$(command -v nvdisasm || true)}
update=
if [ "${1:-}" = --update ]; then
    update=1
    shift
fi
[ $# -gt 0 ] || set -- 80 86 89 90a 100 120
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

for source in "$here"/*.cu; do
    name=$(basename "$source" .cu)
    # cublaslt.cu has no kernel; variant wgmma's are in its header.
    grep -q -e __global__ -e _kernel.cuh "$source" || continue
    for arch in "$@"; do
        "$nvcc" -std=c++17 -O3 -arch="sm_$arch" -cubin -I"$here" -I"$here/../src" \
            -Xptxas=-v,-warn-spills,-warn-lmem-usage -o "$work/$name.$arch.cubin" "$source" \
            2>"$work/$name.$arch.ptxas" || {
            cat "$work/$name.$arch.ptxas" >&2
            exit 1
        }
        "$nvcc" -std=c++17 -O3 -arch="compute_$arch" -ptx -I"$here" -I"$here/../src" \
            -o "$work/$name.$arch.ptx" "$source"
        if [ -n "$nvdisasm" ]; then
            "$nvdisasm" -c "$work/$name.$arch.cubin" >"$work/$name.$arch.sass"
        fi
    done
done
python3 "$here/resources.py" "$work" >"$work/table.md"
cat "$work/table.md"
if [ -n "$update" ]; then
    python3 "$here/resources.py" --update "$here/README.md" "$work/table.md"
fi
