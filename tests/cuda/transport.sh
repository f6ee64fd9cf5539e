#!/bin/sh
# --transport nccl with a fake of the library ($RESR_NCCL): the same frames as by MPI, and exit 75, 69 or 65 where ranks
# never meet, one fails, a byte changes, or a machine has no GPU or no NCCL.
. "$(dirname "$0")/../mpi/lib.sh"
[ -n "${EMU_KERNELS:-}" ] || {
    echo "skipped: the fake NCCL is for emulated devices"
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
# refused STATUS TEXT: the exit status of a run with --transport nccl, and a text of its message.
refused() {
    code=0
    run none --transport nccl 2>/dev/null || code=$?
    [ $code = "$1" ] || fail "exit $code instead of $1: $(cat run.log)"
    grep -q -- "$2" run.log || fail "the message has no \"$2\": $(cat run.log)"
    echo "ok $2"
}

run mpi --transport mpi || fail "by MPI"
run nccl --transport nccl || fail "by NCCL"
cmp -s mpi.hash nccl.hash || fail "other frames by NCCL than by MPI"
echo "ok the same frames"
EMU_STREAMS=lazy run lazy --transport nccl || fail "lazy streams"
cmp -s mpi.hash lazy.hash || fail "other frames with lazy streams"
echo "ok lazy streams"

# The ranks meet once for a list of videos: a missing input between two of them changes nothing.
"$MAKE_MODEL" small.safetensors rrdb 2 1 16 8 7
printf -- '-i small.mp4 -o a.mp4\n-i none.mp4 -o none.mp4\n-i small.mp4 -o b.mp4\n' >list
code=0
upscale 3 --jobs list --backend simulate:0.02/1 -m small.safetensors --transport nccl 2>/dev/null || code=$?
[ $code = 66 ] && cmp -s a.mp4 b.mp4 || fail "a list of videos: exit $code: $(cat run.log)"
echo "ok a list of videos"

RESR_NCCL_TIMEOUT_S=5 RESR_FAKE_NCCL=hang refused 75 "took too long"
RESR_NCCL_TIMEOUT_S=5 RESR_FAKE_NCCL=leave refused 75 "NCCL"
RESR_FAKE_NCCL=error refused 75 "network error"
RESR_FAKE_NCCL=corrupt refused 65 "the weights changed\|another rank failed"
RESR_NCCL=/nonexistent/libnccl.so.2 refused 69 "nonexistent"
EMU_DEVICES=0 refused 69 "no GPU"
