#!/bin/sh
# requeue.sh time_limit|preempt|kill_full|node_down|kill_ranks|cancel: what happens to jobs on clusters happens to
# jobs/upscale.sbatch under real Slurm; the frames are those of the undisturbed run every time.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
start_cluster
ranks=4
: "${FRAMES:=240}"
tiny_model
clip in.mkv "$FRAMES" -c:v ffv1
options="-m tiny.safetensors --threads 1 --framehash hash"

began=$(date +%s)
# shellcheck disable=SC2086 # words
mpirun --bind-to none --oversubscribe -n $ranks "$RESR" -i in.mkv -o undisturbed.mkv --progress none \
    -m tiny.safetensors --threads 1 --framehash undisturbed.hash 2>run.log || fail "undisturbed: $(cat run.log)"
alone_s=$(($(date +%s) - began))
echo "undisturbed: $FRAMES frames in $alone_s s"

upscale_job() {
    # shellcheck disable=SC2086 # words
    submit "$@" --ntasks-per-node=$ranks "$JOBS/upscale.sbatch" in.mkv out.mkv $options
}

# ended_well RESTARTS: the job completed, after at least so many requeues.
ended_well() {
    await_state 'COMPLETED|FAILED|TIMEOUT|CANCELLED|NODE_FAIL' 120
    [ "$(job_field JobState)" = COMPLETED ] || fail "the job is $(job_field JobState): $(cat job.log)"
    [ "$(job_field Restarts)" -ge "$1" ] || fail "requeued $(job_field Restarts) times, expected $1: $(cat job.log)"
    whole out.mkv hash
    echo "ok: $(job_field Restarts) requeues"
}

case $1 in
time_limit)
    # One minute is left and the notice is due three minutes before the end: it comes when the controller next looks.
    sleep_before_look $((alone_s / 2 + 1))
    upscale_job --partition=low --time=1
    ended_well 1
    grep -q "notice of the end" job.log || fail "requeued, but not by the notice: $(cat job.log)"
    ;;
preempt)
    sleep_before_look $((alone_s / 2 + 3))
    upscale_job --partition=low
    await_frames out.mkv 48
    sbatch --partition=high --output=/dev/null --wrap "sleep 2" >/dev/null || fail "no job that preempts"
    ended_well 1
    grep -q "DUE TO PREEMPTION" job.log || fail "requeued, but not by preemption: $(cat job.log)"
    ;;
kill_full)
    upscale_job --partition=low
    await_frames out.mkv 48
    scancel --signal=KILL --full "$job"
    await_state 'FAILED|CANCELLED' 60
    [ ! -e out.mkv ] || fail "the job ended before it was killed"
    kept_frames=$(durable out.mkv)
    upscale_job --partition=low
    ended_well 0
    echo "ok: the second job went on at frame $kept_frames"
    ;;
node_down)
    upscale_job --partition=low
    await_frames out.mkv 48
    scontrol update NodeName="$host" State=DOWN Reason=test
    await_state 'PENDING|COMPLETING' 30
    sleep 2
    scontrol update NodeName="$host" State=RESUME
    ended_well 1
    ;;
kill_ranks)
    upscale_job --partition=low
    for frames in 48 96 144; do
        await_frames out.mkv $frames
        victim=$(sed -n "$((frames / 48))p" out.mkv.resr/pids | cut -d ' ' -f 3)
        kill -9 "$victim" || fail "rank with pid $victim: $(cat out.mkv.resr/pids)"
    done
    ended_well 0
    [ "$(grep -c 'attempt [0-9]* ended' job.log)" -ge 3 ] || fail "not killed three times: $(cat job.log)"
    ;;
cancel)
    # What a user cancels stays cancelled, and goes on when it is submitted again.
    upscale_job --partition=low
    await_frames out.mkv 48
    scancel "$job"
    await_state CANCELLED 30
    sleep 6 # a requeue would show
    [ "$(job_field JobState)" = CANCELLED ] && [ "$(job_field Restarts)" = 0 ] || fail "came back: $(cat job.log)"
    upscale_job --partition=low
    ended_well 0
    ;;
esac
