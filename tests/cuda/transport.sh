#!/bin/sh
# --transport nccl with a stand-in for the library ($RESR_NCCL): the same frames as by MPI, and exit 75 or 69
# within seconds where ranks never meet, one fails, a link breaks, or a machine has no GPU or no NCCL.
. "$(dirname "$0")/../mpi/lib.sh"
[ -n "${EMU_KERNELS:-}" ] || {
    echo "skipped: the stand-in is for emulated devices"
    exit 77
}
# 6.4 MB of weights: two of the pieces of 4 MiB that nccl.c sends.
"$MAKE_MODEL" model.safetensors rrdb 4 2 64 32 7
clip in.mp4 3
ffmpeg -v error -y -i in.mp4 -vf scale=16:8 small.mp4
export EMU_DEVICES=3

run() {
    name=$1
    shift
    upscale 3 -i small.mp4 -o out.mp4 --overwrite --backend cuda --conv mma -m model.safetensors --batch 1 \
        --framehash "$name.hash" "$@"
}
# refused STATUS TEXT: what run ends with, soon, and its message.
refused() {
    status=$1
    text=$2
    code=0
    start=$(date +%s)
    run none --transport nccl 2>/dev/null || code=$?
    [ $code = "$status" ] || fail "exit $code instead of $status: $(cat run.log)"
    grep -q -- "$text" run.log || fail "the message has no \"$text\": $(cat run.log)"
    [ $(($(date +%s) - start)) -lt 60 ] || fail "it took a minute to give up"
    echo "ok $text"
}

run mpi --transport mpi || fail "by MPI"
run nccl --transport nccl || fail "by NCCL"
cmp -s mpi.hash nccl.hash || fail "other frames by NCCL than by MPI"
echo "ok the same frames"
EMU_STREAMS=lazy run lazy --transport nccl || fail "lazy streams"
cmp -s mpi.hash lazy.hash || fail "other frames with lazy streams"
echo "ok lazy streams"

RESR_NCCL_TIMEOUT_S=5 RESR_NCCL_DOUBLE=hang refused 75 "took too long"
RESR_NCCL_TIMEOUT_S=5 RESR_NCCL_DOUBLE=leave refused 75 "NCCL"
RESR_NCCL_DOUBLE=error refused 75 "network error"
RESR_NCCL_DOUBLE=corrupt refused 65 "the weights changed\|another rank failed"
RESR_NCCL=/nonexistent/libnccl.so.2 refused 69 "nonexistent"
EMU_DEVICES=0 refused 69 "no GPU"
