#!/bin/sh
# bench/gpu.sh's dry run: a fake nvidia-smi shows a GPU of capability 8.0, the backend is built alone, and
# the emulator runs the steps. Then: variant wgmma is not in that build on any device; a cut output keeps
# its rows. $EMU_KERNELS and the emulator's runtime come from on_device.sh.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
if [ -z "${EMU_KERNELS:-}" ]; then
    echo "skipped: the emulator is not here"
    exit 77
fi

if [ ! -x "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)" ]; then
    echo "skipped: nvcc is not installed"
    exit 77
fi

mkdir "$folder/bin" "$folder/cut"
cat >"$folder/bin/nvidia-smi" <<'END'
#!/bin/sh
case "$*" in
-L) echo "GPU 0: Emulated (UUID: GPU-0)" ;;
*compute_cap*) echo "Emulated, GPU-0, 580.0, 8.0, 1410 MHz, 1593 MHz, 400.00 W, 81920 MiB" ;;
*-lms*)
    while echo "1410, 300.00, 40"; do
        sleep 0.2
    done
    ;;
esac
END
chmod +x "$folder/bin/nvidia-smi"
PATH=$folder/bin:$PATH BUILD=$folder/build OUT=$folder RESR_DRY_RUN=1 sh bench/gpu.sh || fail "gpu.sh: exit $?"
json=$(echo "$folder"/gpu-emulated-*.json)
# check FILTER: true of the JSON.
check() {
    jq -e "$1" "$json" >/dev/null || fail "$json: not $1: $(cat "$json")"
    echo "ok $1"
}
check '.steps.tests == 0 and .steps.kernels == 0 and .steps.net_0 == 0'
check '.kernels.rows | map(select(.verdict == "ok")) | length == 24'
check '.kernels.rows | map(.variant) | unique == ["cublas", "mma"]'
check '.nets | length == 1'
check '.clocks.sm_mhz.median == 1410'

EMU_ARCH=90 "$folder/build/bench_cuda" --quick >"$folder/hopper" || fail "bench_cuda on capability 9.0: exit $?"
grep -q '"capability": 90' "$folder/hopper" || fail "not capability 9.0"
! grep -q wgmma "$folder/hopper" || fail "a build for sm_80 offers wgmma"
echo "ok a build for sm_80 has no wgmma"

head -n 9 "$folder/hopper" | head -c -20 >"$folder/cut/kernels"
echo 124 >"$folder/cut/kernels.status"
rm "$json"
python3 bench/gpu.py "$folder/cut" "$folder" >"$folder/log" || fail "gpu.py: exit $?"
json=$(echo "$folder"/gpu-*.json)
check '.kernels.incomplete and .kernels.capability == 90 and (.kernels.rows | length == 4)'
