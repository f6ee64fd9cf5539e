#!/bin/sh
# thread.sh SOURCE BUILD: builds with ThreadSanitizer and runs the unit tests of modules with threads, then two
# whole runs. A race ends a process with 66. A planted race must be found first.
source=$1
build=$2
# shellcheck source=tests/mpi/lib.sh
. "$(dirname "$0")/../mpi/lib.sh"
export TSAN_OPTIONS="exitcode=66 ignore_noninstrumented_modules=1 suppressions=$source/tests/extra/thread.supp"

cat >race.c <<'END'
#include <pthread.h>
static int count;
static void *add(void *unused)
{
    count++;
    return unused;
}
int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, add, NULL))
        return 1;
    count++;
    return pthread_join(thread, NULL);
}
END
cc -fsanitize=thread -g -o race race.c 2>run.log || {
    echo "skipped: this compiler has no ThreadSanitizer: $(tail -n 1 run.log)"
    exit 77
}
code=0
./race 2>run.log || code=$?
! grep -q "unexpected memory mapping" run.log || {
    echo "skipped: ThreadSanitizer cannot run on this kernel: $(tail -n 1 run.log)"
    exit 77
}
[ $code = 66 ] && grep -q "data race" run.log || fail "the planted race: exit $code, expected 66: $(cat run.log)"
echo "ok a planted race is found"

units="test_base test_ckpt test_compute test_coordinator test_io_threads test_segment_encoders test_worker"
cmake -S "$source" -B "$build" -G Ninja -DRESR_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 -DRESR_CUDA=OFF \
    -DRESR_TEST_HEAVY=OFF >/dev/null
# shellcheck disable=SC2086 # words
ninja -C "$build" realesrgan-mpi make_model $units >/dev/null
for test in $units; do
    "$build/tests/unit/$test" >run.log 2>&1 || fail "$test: exit $?: $(cat run.log)"
    echo "ok $test"
done

export RESR="$build/realesrgan-mpi" MAKE_MODEL="$build/tools/make_model"
tiny_model
clip in.mp4 60
# One thread a team: ThreadSanitizer does not see where OpenMP joins its threads.
job="-m tiny.safetensors --threads 1 --segment 12 --batch 4 --precision exact"
# shellcheck disable=SC2086
upscale 3 -i in.mp4 -o ranks.mp4 $job --encode ranks --framehash ranks.hash --trace trace.json || fail "3 ranks"
printf '%s\n' "-i in.mp4 -o one.mp4 --framehash one.hash" "-i in.mp4 -o two.mp4" >list
# shellcheck disable=SC2086
upscale 1 --jobs list $job --checkpoint always --encoders 2 || fail "a list on one rank"
cmp -s ranks.hash one.hash || fail "other frames"
echo "ok two runs"
