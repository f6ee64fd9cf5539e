#!/bin/sh
# requeue.sh time_limit|preempt|kill_full|node_down|kill_ranks|cancel: what happens to jobs on clusters happens to
# jobs/upscale.sbatch under real Slurm; the frames are those of the undisturbed run every time.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
start_cluster
undisturbed_run

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
