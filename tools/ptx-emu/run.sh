#!/bin/sh
# run.sh FILE.cu ARCH [NVCC OPTION...] [-- ARGUMENT...]: compiles a CUDA program with nvcc and runs it on the CPU.
# ARCH: 80, 90, 90a, ... $EMU_OUT: folder of the products, else a temporary one. $NVCC: the compiler.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cu=${1:?usage: run.sh FILE.cu ARCH [NVCC OPTION...] [-- ARGUMENT...]}
arch=${2:?usage: run.sh FILE.cu ARCH [NVCC OPTION...] [-- ARGUMENT...]}
shift 2
options=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options="$options $1"
    shift
done
[ $# = 0 ] || shift
nvcc=${NVCC:-nvcc}
out=${EMU_OUT:-}
if [ -z "$out" ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
base=$out/$(basename "$cu" .cu)_$arch
[ -e "$out/libcudart.so.13" ] || sh "$here/build-runtime.sh" "$out"
# shellcheck disable=SC2086 # options are words
$nvcc -std=c++17 -O3 -arch=compute_"$arch" $options -ptx "$cu" -o "$base.ptx"
sh "$here/translate.sh" "$base.so" "$base.ptx"
# shellcheck disable=SC2086
$nvcc -std=c++17 -O3 -gencode arch=compute_"$arch",code=compute_"$arch" $options -cudart shared "$cu" -o "$base.exe"
EMU_ARCH=${EMU_ARCH:-$(echo "$arch" | tr -cd 0-9)} EMU_KERNELS=$base.so \
    LD_LIBRARY_PATH=$out${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$base.exe" "$@"
