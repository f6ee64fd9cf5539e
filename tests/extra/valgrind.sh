#!/bin/sh
# valgrind.sh BUILD SUPPRESSIONS: memcheck over the unit tests and over a run on two ranks: no error, and
# nothing of ours definitely lost. Open MPI's own suppressions are used beside those of the other libraries.
set -eu
command -v valgrind >/dev/null || {
    echo "skipped: valgrind is not here"
    exit 77
}
build=$1
suppressions="--suppressions=$2"
for file in /usr/share/openmpi/openmpi-valgrind.supp /usr/lib/*/openmpi/share/openmpi/openmpi-valgrind.supp; do
    [ -f "$file" ] && suppressions="$suppressions --suppressions=$file"
done
memcheck="valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite
    --show-leak-kinds=definite $suppressions"

# The rest of the unit tests runs under AddressSanitizer only: model files and images without threads and locks.
for test in ckpt compute coordinator io_threads job_list segment_encoders worker; do
    echo "test_$test"
    # shellcheck disable=SC2086 # words
    $memcheck "$build/tests/unit/test_$test" >/dev/null || exit 1
done

export RESR="$build/realesrgan-mpi" MAKE_MODEL="$build/tools/make_model"
. "$(dirname "$0")/../mpi/lib.sh"
tiny_model
clip in.mkv 10 -f lavfi -i sine=duration=0.4 -map 0:v -map 1:a -c:v libx264 -c:a flac
# shellcheck disable=SC2086 # words
timeout 600 mpirun -n 2 $memcheck "$RESR" -i in.mkv -o out.mkv -m tiny.safetensors --threads 1 \
    --report r.json --framehash h.txt --progress none
[ "$(count_frames out.mkv)" = 10 ] || fail "$(count_frames out.mkv) frames"
echo "two ranks"
