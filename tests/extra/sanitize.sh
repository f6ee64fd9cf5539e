#!/bin/sh
# sanitize.sh SOURCE BUILD: builds with AddressSanitizer and UndefinedBehaviorSanitizer and runs a share of the
# suite in that build. Leaks are looked for where no MPI library runs; those of ours under MPI are valgrind's.
set -eu
cmake -S "$1" -B "$2" -G Ninja -DRESR_SANITIZE=ON -DCMAKE_BUILD_TYPE=Release -DRESR_TEST_HEAVY=OFF >/dev/null
ninja -C "$2" >/dev/null
cd "$2"
ASAN_OPTIONS=detect_leaks=1 RESR_TEST_SHARE=8 ctest --output-on-failure -j 2 -R '^(unit|check)\.|reference.random' -E check.test_backends
# Without networks that take minutes in this build, and without tests that measure time.
export ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 # shims are preloaded
ctest --output-on-failure -j 2 -R 'media\.(hwaccel|repack|turn)|mpi\.(grouping|jobs|endpoint$)'
RESR_TEST_SHARE=10 ctest --output-on-failure -j 2 -R '^evil\.(damaged|forged|frames|input|input_images|mux|pictures|pixels)$'
