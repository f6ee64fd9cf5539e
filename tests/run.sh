#!/bin/sh
# tests/run.sh [--heavy] [CTEST OPTION...]: installs missing packages, builds and runs the tests. --heavy, or
# CI set in the environment, adds the sanitizer builds, the runs under valgrind and those under real Slurm (as root).
set -eu
cd "$(dirname "$0")/.."
. jobs/build.sh

heavy=OFF
if [ "${1:-}" = --heavy ]; then
    heavy=ON
    shift
elif [ -n "${CI:-}" ] && [ "${CI:-}" != false ]; then
    heavy=ON
fi

sh jobs/install-deps.sh build test
if [ $heavy = ON ] && [ "$(id -u)" = 0 ]; then
    sh jobs/install-deps.sh slurm || echo "run.sh: no Slurm; the tests that need it are skipped" >&2
fi
build_program -DBUILD_TESTING=ON -DRESR_TEST_HEAVY=$heavy

# Tests that need real weights or clips are skipped without them.
sh models/fetch.sh || echo "run.sh: weights are missing; the tests that need them are skipped" >&2
sh jobs/fetch-clips.sh || echo "run.sh: clips are missing; the tests that need them are skipped" >&2

# Two at a time; tests that measure time or interrupt a run at a moment have the machine to themselves (RUN_SERIAL).
build=${RESR_BUILD:-build}
code=0
ctest --test-dir "$build" --output-on-failure -j 2 "$@" || code=$?

# A skipped test ends with 77 and its last line is the reason.
awk '/^[0-9]+\/[0-9]+ Test: / { test = $3 }
    /^skipped: / { reason = $0 }
    /^Test time = / { if (reason) print test ": " reason; reason = "" }' "$build/Testing/Temporary/LastTest.log" >"$build/skipped.txt"
[ ! -s "$build/skipped.txt" ] || {
    echo "$(wc -l <"$build/skipped.txt") tests were skipped:"
    cat "$build/skipped.txt"
}
exit $code
