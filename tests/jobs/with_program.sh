#!/bin/sh
# run-until-done with the program itself: a worker, rank 0 and mpirun killed, a stop in good order, a rank that hangs and
# is left out; a list of videos with a hung rank, a kill and a broken video. The frames are those of an undisturbed run.
loop=$(cd "$(dirname "$0")/../../jobs" && pwd)/run-until-done # before the folder changes
. "$(dirname "$0")/../mpi/lib.sh"
export OMPI_MCA_odls_base_sigkill_timeout=1
"$MAKE_MODEL" small.safetensors rrdb 2 2 32 16 7
clip in.mkv 288 -c:v ffv1
options="-m small.safetensors --threads 1 --precision exact --memory 1M --segment 24 --progress none --deadline 3"
# shellcheck disable=SC2086 # words
upscale 3 -i in.mkv -o undisturbed.mkv --framehash undisturbed.hash $options || fail "undisturbed"

# start OUT: the loop in the background, its pid in $running.
start() {
    begin "$1" -i in.mkv -o "$1" --framehash "$1.hash"
}

# begin NAME OPTION...
begin() {
    log=$1.log
    shift
    # shellcheck disable=SC2086
    "$loop" --wait 1 -- mpirun -n 3 "$RESR" "$@" $options >results 2>"$log" &
    running=$!
}

number() {
    sed -nE 's/.*"'"$2"'": *([0-9]+).*/\1/p' "$1.resr/status.json" 2>/dev/null | grep . || echo 0
}

# await OUT ATTEMPT: until that attempt has saved a frame.
await() {
    tries=0
    until [ "$(number "$1" attempt)" -ge "$2" ]; do pace "$1"; done
    safe=$(number "$1" frames_durable)
    until [ "$(number "$1" frames_durable)" -gt "$safe" ]; do pace "$1"; done
}

pace() {
    tries=$((tries + 1))
    [ $tries -le 1200 ] || fail "$1: no progress in 120 s: $(cat "$log")"
    kill -0 $running 2>/dev/null || fail "$1: the loop ended: $(cat "$log")"
    sleep 0.1
}

rank_pid() {
    sed -n "s/^$2 .* //p" "$1.resr/pids"
}

# ended OUT: the loop ended with 0, OUT is whole and nothing is left.
ended() {
    code=0
    wait $running || code=$?
    [ $code = 0 ] || fail "$1: exit $code: $(cat "$1.log")"
    cmp -s undisturbed.hash "$1.hash" || fail "$1: other frames: $(cat "$1.log")"
    [ "$(count_frames "$1")" = 288 ] && [ ! -e "$1.resr" ] || fail "$1: not whole, or $1.resr is left"
    echo "ok $1"
}

start killed.mkv
await killed.mkv 1
kill -9 "$(rank_pid killed.mkv 2)"
await killed.mkv 2
kill -9 "$(rank_pid killed.mkv 0)"
await killed.mkv 3
kill -9 "$(ps -o ppid= -p "$(rank_pid killed.mkv 1)" | tr -d ' ')" # mpirun
ended killed.mkv
[ "$(grep -c 'attempt [0-9] ended' killed.mkv.log)" = 3 ] || fail "not killed three times: $(cat killed.mkv.log)"

start stopped.mkv
await stopped.mkv 1
kill -TERM $running
code=0
wait $running || code=$?
[ $code = 75 ] || fail "stopped: exit $code: $(cat stopped.mkv.log)"
[ "$(jq -r .state stopped.mkv.resr/status.json)" = resumable ] || fail "stopped: $(cat stopped.mkv.resr/status.json)"
start stopped.mkv
ended stopped.mkv

start hung.mkv
await hung.mkv 1
kill -STOP "$(rank_pid hung.mkv 1)"
ended hung.mkv
grep -q 'attempt' hung.mkv.log && fail "hung: a second attempt was made: $(cat hung.mkv.log)"

# The others finish the video of which a rank hung; the next ones need a new launch.
head -c 3000 in.mkv >broken.mkv
: >list
for i in 1 2 3; do
    echo "-i in.mkv -o list$i.mkv --framehash list$i.mkv.hash" >>list
done
echo "-i broken.mkv -o list4.mkv" >>list
begin list --jobs list
await list1.mkv 1
kill -STOP "$(rank_pid list1.mkv 1)"
await list2.mkv 1
kill -9 "$(rank_pid list2.mkv 0)"
await list3.mkv 1
kill -9 "$(rank_pid list3.mkv 2)"
code=0
wait $running || code=$?
[ $code = 65 ] || fail "list: exit $code: $(cat list.log)"
for i in 1 2 3; do
    cmp -s undisturbed.hash list$i.mkv.hash || fail "list: video $i has other frames: $(cat list.log)"
    [ "$(count_frames list$i.mkv)" = 288 ] && [ ! -e list$i.mkv.resr ] || fail "list: $i: $(ls)"
done
[ "$(grep -c 'attempt [0-9] ended' list.log)" = 3 ] || fail "list: not three ends: $(cat list.log)"
grep -q 'attempt 1 ended with .* at line 1 of list' list.log || fail "list: $(cat list.log)"
grep -q 'list:4: broken.mkv' list.log || fail "list: the broken one is not named: $(cat list.log)"
echo "ok list"
