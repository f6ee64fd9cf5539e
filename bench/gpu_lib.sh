# gpu_lib.sh: shared by gpu.sh and gpu_first.sh. The script sets $name, $work (a folder) and $all_s first.
# shellcheck shell=sh
start=$(date +%s)

say() {
    echo "$name: $(($(date +%s) - start)) s: $*"
}

# step SECONDS STEP COMMAND...: output to $work/STEP and STEP.err, exit status to STEP.status. A failure does not
# end the run; a hang costs SECONDS, or the rest of $all_s.
step() {
    limit_s=$1 step=$2 code=0
    shift 2
    left_s=$((all_s - $(date +%s) + start))
    [ "$limit_s" -le "$left_s" ] || limit_s=$left_s
    if [ "$limit_s" -le 0 ]; then
        say "$step: no time left"
        return
    fi
    timeout -k 5 "$limit_s" "$@" >"$work/$step" 2>"$work/$step.err" || code=$?
    echo "$code" >"$work/$step.status"
    say "$step: exit $code: $(cat "$work/$step.err" "$work/$step" | tail -n 1 | cut -c 1-160)"
    case $code in
    0 | 77) ;;
    *) tail -n 5 "$work/$step" "$work/$step.err" ;;
    esac
}

# tool NAME: its path; CUDA's folder may be missing from PATH.
tool() {
    command -v "$1" || echo "$toolkit/bin/$1"
}

# A process left behind by a step would halve every later figure.
check_idle() {
    command -v nvidia-smi >/dev/null || return 0
    apps=$(nvidia-smi --query-compute-apps=pid,name --format=csv,noheader 2>&1 || true)
    say "processes on the device: ${apps:-none}"
}

nvcc=$(readlink -f "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")
toolkit=${nvcc%/bin/nvcc}
# Programs linked by nvcc have no path to CUDA's runtime.
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$toolkit/lib64"
# cuBLASLt may exist in PyTorch's wheels only.
if [ -z "${RESR_CUBLASLT:-}" ]; then
    wheels=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
    RESR_CUBLASLT=$(find "$toolkit/lib64/" ${wheels:+"$wheels"} -name 'libcublasLt.so.1[23]' 2>/dev/null | head -n 1)
    export RESR_CUBLASLT # empty: by the dynamic loader
fi
