# Sourced by quickstart.sh and tests/run.sh. The working folder is the project's.

# build_program [CMAKE OPTION...]: builds into $RESR_BUILD (default: build); configures on the first call and when the
# options change.
build_program() {
    build=${RESR_BUILD:-build}
    options="-DCMAKE_BUILD_TYPE=Release $*"
    if [ ! -f "$build/build.ninja" ] || [ "$(cat "$build/options" 2>/dev/null)" != "$options" ]; then
        # shellcheck disable=SC2086 # words
        cmake -S . -B "$build" -G Ninja $options >"${build}-configure.log" 2>&1 || {
            cat "${build}-configure.log" >&2
            return 1
        }
        mv "${build}-configure.log" "$build/configure.log"
        echo "$options" >"$build/options"
    fi
    ninja -C "$build" >"$build/build.log" 2>&1 || {
        tail -n 40 "$build/build.log" >&2
        return 1
    }
}

# run_mpi MPIRUN-WORD...: mpirun on this machine. By default Open MPI binds one or two ranks to one core each, and
# refuses root and more ranks than cores.
run_mpi() {
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    # mpirun would read the standard input of a loop that calls this function.
    OMP_WAIT_POLICY=passive mpirun --bind-to none --oversubscribe "$@" </dev/null
}
