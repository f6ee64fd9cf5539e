#!/bin/sh
# on_device.sh COMMAND...: runs a test of the CUDA backend on this machine's GPU, or without one on
# the emulator ($RESR_EMULATOR: the folder of its runtime, $RESR_EMULATED: the translated kernels), or
# skips it (77). Where CI is set a skip is a failure: kernels that nobody ran are not known to work.
# RESR_ONLY_EMULATED=1: a test with stand-ins, for emulated devices alone; on a machine with a GPU and
# no emulator it is skipped.
set -u

# Runs the test; where it skips itself and CI is set, that is a failure too.
run() {
    "$@"
    code=$?
    if [ $code = 77 ] && [ -n "${CI:-}" ] && [ "${CI:-}" != false ]; then
        code=1
    fi
    exit $code
}

# nvidia-smi is there without a GPU too; only its list tells.
if nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    if [ -z "${RESR_ONLY_EMULATED:-}" ]; then
        run "$@"
    elif [ -z "${RESR_EMULATOR:-}" ]; then
        echo "skipped: a GPU, and no emulator for a test with stand-ins"
        exit 77
    fi
fi
if [ -n "${RESR_EMULATOR:-}" ]; then
    LD_LIBRARY_PATH=$RESR_EMULATOR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} EMU_KERNELS=$RESR_EMULATED
    export LD_LIBRARY_PATH EMU_KERNELS
    [ -z "${RESR_FAKE_CUBLASLT:-}" ] || export RESR_CUBLASLT="$RESR_FAKE_CUBLASLT"
    run "$@"
fi
no_device() {
    echo "skipped: no GPU, and no emulator (CMake's RESR_PTX_EMU names its folder)"
    return 77
}
run no_device
