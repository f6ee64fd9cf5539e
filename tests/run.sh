#!/bin/sh
# tests/run.sh [--heavy] [CTEST OPTION...]: installs what is missing, builds and runs the tests. --heavy,
# or CI set in the environment, adds the build with sanitizers, the runs under valgrind and those under real Slurm (as root).
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

# Tests that need real weights or clips are skipped where those cannot be had.
sh models/fetch.sh || echo "run.sh: weights are missing; the tests that need them are skipped" >&2
sh jobs/fetch-clips.sh || echo "run.sh: clips are missing; the tests that need them are skipped" >&2

# Two at a time; those that measure time or interrupt a run have the machine to themselves (RUN_SERIAL).
exec ctest --test-dir "${RESR_BUILD:-build}" --output-on-failure -j 2 "$@"
