#!/bin/sh
# build-runtime.sh FOLDER: builds FOLDER/libcudart.so.13, the CUDA runtime that runs translated kernels on the CPU.
# $CUDA_HOME: the toolkit, for its headers.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build-runtime.sh FOLDER}
mkdir -p "$out"
echo 'libcudart.so.13 { global: *; };' >"$out/cudart.map" # nvcc's programs ask for symbols of this version
${CXX:-g++} -std=c++17 -O2 -march=native -Wall -Wextra -fPIC -I"$here" -I"${CUDA_HOME:-/usr/local/cuda}/include" \
    -shared -Wl,-soname,libcudart.so.13 -Wl,--version-script="$out/cudart.map" \
    -o "$out/libcudart.so.13" "$here"/*.cpp -ldl
