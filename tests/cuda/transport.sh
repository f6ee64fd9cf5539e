#!/bin/sh
# --transport nccl with a stand-in for the library ($RESR_NCCL), weights and frames: the same frames as by MPI, and exit 75 or 69
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
# refused STATUS TEXT [OPTION...]: what run ends with, soon, and its message.
refused() {
    status=$1
    text=$2
    shift 2
    code=0
    start=$(date +%s)
    run none --transport nccl "$@" 2>/dev/null || code=$?
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

# Frames of 5.5 MB, two pieces each, whose way alone goes by the devices: the rest is simulated.
"$MAKE_MODEL" small.safetensors rrdb 2 1 16 8 7
ffmpeg -v error -y -f lavfi -i testsrc2=size=1280x720:rate=25,trim=end_frame=24 -pix_fmt yuv420p -c:v ffv1 large.mkv
for transport in mpi nccl; do
    for encode in root ranks; do
        upscale 3 -i large.mkv -o out.mkv --overwrite --backend simulate:0.02/1 -m small.safetensors --batch 4 \
            --codec ffv1 --segment 8 --encode $encode --transport $transport --framehash large.$transport.$encode ||
            fail "$transport, --encode $encode: $(cat run.log)"
        cmp -s large.mpi.root large.$transport.$encode || fail "$transport, --encode $encode: other frames"
    done
done
echo "ok frames of several pieces"
printf -- '-i small.mp4 -o a.mp4\n-i none.mp4 -o none.mp4\n-i small.mp4 -o b.mp4\n' >list
code=0
upscale 3 --jobs list --backend simulate:0.02/1 -m small.safetensors --transport nccl 2>/dev/null || code=$?
[ $code = 66 ] && cmp -s a.mp4 b.mp4 || fail "a list of videos: exit $code: $(cat run.log)"
echo "ok a list of videos"

# A rank that is stopped holds up the others if frames are on their way to it: then the link's time ends the attempt.
# Else they go on. Nobody but it is blamed.
RESR_NCCL_TIMEOUT_S=8 upscale 3 -i large.mkv -o held.mkv --backend simulate:0.5/1 -m small.safetensors --batch 1 \
    --segment 2 --deadline 3 --transport nccl 2>/dev/null &
job=$!
until ls held.mkv.resr/*.nut >found 2>/dev/null || ! kill -0 $job 2>/dev/null; do
    sleep 0.1
done
for pid in $(grep -lz "^OMPI_COMM_WORLD_RANK=2$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
    ! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "held.mkv" || kill -STOP "$pid"
done
code=0
wait $job || code=$?
grep -q "rank 2 on .* has not been heard of" run.log && ! grep -q "rank [01] on .* is left out" run.log ||
    fail "a stopped rank: exit $code: $(cat run.log)"
if [ $code = 75 ] && [ ! -f held.mkv ]; then
    grep -q "moving frames took too long" run.log || fail "a stopped rank: exit $code: $(cat run.log)"
    [ "$(jq -c '[.strikes[].rank] | unique' held.mkv.resr/status.json)" = "[2]" ] ||
        fail "strikes: $(jq -c .strikes held.mkv.resr/status.json)"
else
    [ "$(count_frames held.mkv)" = 24 ] || fail "a stopped rank: exit $code, frames are missing"
fi
echo "ok a stopped rank, exit $code"

RESR_NCCL_TIMEOUT_S=5 RESR_NCCL_DOUBLE=hang refused 75 "took too long"
RESR_NCCL_TIMEOUT_S=5 RESR_NCCL_DOUBLE=leave refused 75 "NCCL"
RESR_NCCL_DOUBLE=error refused 75 "network error"
RESR_NCCL_TIMEOUT_S=5 RESR_NCCL_DOUBLE=stall refused 75 "moving frames took too long" --root dedicated
RESR_NCCL_DOUBLE=sever refused 75 "moving frames: .*network error" --root dedicated
RESR_NCCL_DOUBLE=alter refused 65 "damaged on its way" --root dedicated
RESR_NCCL_DOUBLE=corrupt refused 65 "the weights changed\|another rank failed"
RESR_NCCL=/nonexistent/libnccl.so.2 refused 69 "nonexistent"
EMU_DEVICES=0 refused 69 "no GPU"
