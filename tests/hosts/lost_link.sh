#!/bin/sh
# A host whose cable is pulled in the middle: the job goes on without it or ends, in bounded time, and in the end the
# frames are those of an undisturbed run.
# shellcheck source=tests/hosts/network.sh
. "$(dirname "$0")/network.sh"
start_network 2
"$MAKE_MODEL" slow.safetensors rrdb 4 3 64 32 7
clip in.mp4 96
job="-i in.mp4 -o out.mkv -m slow.safetensors --precision exact --threads 1 --codec ffv1 --segment 12 --batch 4
    --framehash out.hash --progress none"
export OMPI_MCA_odls_base_sigkill_timeout=2 # mpirun ends twice that long after a rank

# shellcheck disable=SC2086 # words
"$RESR" $job --threads 2 -o one.mkv --framehash one.hash || fail "one process"

# begin WORD...: runs it over the hosts in the background, until segments are safe and both hosts are at work.
begin() {
    over_hosts timeout -k 5 90 "$@" 2>run.log &
    pid=$!
    tries=0
    until [ "$(jq .frames_durable out.mkv.resr/status.json 2>/dev/null || echo 0)" -ge 12 ]; do
        tries=$((tries + 1))
        [ $tries -lt 400 ] && kill -0 $pid || fail "the job does not begin: $(cat run.log)"
        sleep 0.1
    done
}

cable() {
    on_host 2 ip link set eth0 "$1"
}

# ends SECONDS: the job that was begun ends by itself, its exit code in $code.
ends() {
    began_s=$(date +%s)
    code=0
    wait $pid || code=$?
    took_s=$(($(date +%s) - began_s))
    [ $took_s -le "$1" ] || fail "ended $took_s s after the cable was pulled, expected $1 at most: $(cat run.log)"
}

same_frames() {
    cmp -s one.hash out.hash || fail "$1: other frames than one process makes"
    [ ! -e out.mkv.resr ] || fail "$1: left behind: $(ls out.mkv.resr)"
    rm out.mkv out.hash
}

# Noticed by the program first: the host is left out, and the job ends well without it. Open MPI's daemons would look
# for each other for eight minutes; the restart loop ends that.
# shellcheck disable=SC2046,SC2086 # words
RUN_UNTIL_DONE_ALONE=5 begin sh "$JOBS/run-until-done" --wait 1 -- $(mpirun_words 2) "$RESR" $job --deadline 2
cable down
ends 60
[ $code = 0 ] || fail "the restart loop ends with $code: $(cat run.log)"
grep -q 'rank 1 on node2 has not been heard of' run.log || fail "no word on the lost host: $(cat run.log)"
grep -q 'attempt 1 ended' run.log && fail "the job did not go on without the host: $(cat run.log)"
same_frames "without the host"
echo "ok the job goes on without the host, and ends $took_s s after it was lost"

# Noticed by Open MPI first: mpirun ends the job, and the same command goes on where it was.
cable up
# shellcheck disable=SC2046,SC2086 # words
set -- $(mpirun_words 2) --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 \
    --mca oob_tcp_keepalive_probes 3 "$RESR" $job
begin "$@"
cable down
ends 45
[ $code != 0 ] && [ $code != 124 ] && [ $code != 137 ] || fail "mpirun ends with $code: $(cat run.log)"
[ ! -e out.mkv ] || fail "an output was written without the frames of the lost host"
echo "ok mpirun ends $took_s s after the host was lost"
over_hosts timeout 60 "$@" 2>run.log && fail "a job was begun with a host that cannot be reached"
cable up
over_hosts timeout 60 "$@" 2>run.log || fail "the same command ends with $?: $(cat run.log)"
grep -q 'resuming the job: [1-9]' run.log || fail "began again: $(cat run.log)"
same_frames "the same command"
echo "ok the same command goes on"
