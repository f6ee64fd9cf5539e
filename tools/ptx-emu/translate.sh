#!/bin/sh
# translate.sh OUT.so FILE.ptx: translates PTX to a shared object of kernels for the emulator (list it in EMU_KERNELS).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
so=${1:?usage: translate.sh OUT.so FILE.ptx}
ptx=${2:?usage: translate.sh OUT.so FILE.ptx}
python3 "$here/ptx2cpp.py" "$ptx" >"$so.cpp"
${CXX:-g++} -std=c++17 -O1 -march=native -w -fPIC -I"$here" -shared -o "$so" "$so.cpp"
