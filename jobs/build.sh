# Sourced by quickstart.sh and tests/run.sh; the working folder is the project's.

# build_program [CMAKE OPTION...]: configures (once, or when the options change) and builds into build/.
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

# Open MPI binds one or two ranks to a core each, refuses root, and refuses more ranks than cores.
run_mpi() {
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    # mpirun reads standard input, be it the list of a shell's loop.
    OMP_WAIT_POLICY=passive mpirun --bind-to none --oversubscribe "$@" </dev/null
}
