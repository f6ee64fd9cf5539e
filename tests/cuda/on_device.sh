#!/bin/sh
# on_device.sh COMMAND...: runs a test of the CUDA backend on this machine's GPU, else on the PTX emulator, else skips
# it (77). Where CI is set a skip is a failure, since kernels that never ran are not tested.
# $RESR_EMULATOR: folder of the emulator's runtime. $RESR_EMULATED: the translated kernels. $RESR_NO_EMULATOR: why the
# build has no emulator. RESR_ONLY_EMULATED=1: a test that needs emulated devices, also on a machine with a GPU.
set -u

# Runs the test; turns its skip into a failure where CI is set.
run() {
    "$@"
    code=$?
    if [ $code = 77 ] && [ -n "${CI:-}" ] && [ "${CI:-}" != false ]; then
        code=1
    fi
    exit $code
}

skip() {
    echo "skipped: $*"
    return 77
}

# nvidia-smi is also installed on machines without a GPU; its list tells.
if [ -z "${RESR_ONLY_EMULATED:-}" ] && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    run "$@"
fi
if [ -n "${RESR_EMULATOR:-}" ]; then
    LD_LIBRARY_PATH=$RESR_EMULATOR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} EMU_KERNELS=$RESR_EMULATED
    export LD_LIBRARY_PATH EMU_KERNELS
    [ -z "${RESR_FAKE_CUBLASLT:-}" ] || export RESR_CUBLASLT="$RESR_FAKE_CUBLASLT"
    run "$@"
fi
run skip "no GPU for this test, and ${RESR_NO_EMULATOR:-no emulator}"
