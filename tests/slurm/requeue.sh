#!/bin/sh
# requeue.sh time_limit|preempt|kill_full|node_down|kill_ranks|cancel: jobs/upscale.sbatch under
# real Slurm meets one of these events; the frames are those of the undisturbed run.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
start_cluster
undisturbed_run

# stopped_in_order: waits until the loop has ended and expects the program to have had its time; 1 if the job was done.
stopped_in_order() {
    tries=0
    until grep -q "run-until-done: stopped" job.log; do
        tries=$((tries + 1))
        [ $tries -le 300 ] || fail "not stopped within 60 s: $(cat job.log)"
        [ ! -e out.mkv ] || return 1
        sleep 0.2
    done
    [ "$(jq -r .state out.mkv.resr/status.json)" = resumable ] || fail "stopped, but $(cat out.mkv.resr/status.json)"
}

case $1 in
time_limit)
    # One minute is left and the notice is due three minutes before the end: it comes when the controller next looks, for
    # which the job should be half way; on a busy machine that may take a second try.
    for try in 1 2 3; do
        sleep_before_look $((alone_s / 2 + 1))
        upscale_job --partition=low --time=1
        await_requeue && break
        echo "try $try ended before the controller looked"
        rm -f out.mkv
    done
    ended_well 1
    grep -q "notice of the end" job.log || fail "requeued, but not by the notice: $(cat job.log)"
    ;;
preempt)
    # Slurm, mpirun and the loop each signal the ranks, which is one wish to stop; mpirun gives them time for it.
    unset OMPI_MCA_odls_base_sigkill_timeout
    upscale_job --partition=low
    await_frames out.mkv 48
    sbatch --partition=high --output=/dev/null --wrap "sleep 2" >/dev/null || fail "no job that preempts"
    stopped_in_order || fail "ended before it was preempted: $(cat job.log)"
    ended_well 1
    grep -q "DUE TO PREEMPTION" job.log || fail "requeued, but not by preemption: $(cat job.log)"
    ;;
kill_full)
    upscale_job --partition=low
    await_frames out.mkv 48
    scancel --signal=KILL --full "$job"
    await_state 'FAILED|CANCELLED' 60
    [ ! -e out.mkv ] || fail "the job ended before it was killed"
    kept_frames=$(status_number out.mkv frames_durable)
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
    attempt=0
    for rank in 2 0 3; do
        attempt=$((attempt + 1))
        await_attempt out.mkv $attempt
        await_frames out.mkv $(($(status_number out.mkv frames_durable) + 1))
        victim=$(sed -n "s/^$rank .* //p" out.mkv.resr/pids)
        kill -9 "$victim" || fail "rank $rank: $(cat out.mkv.resr/pids)"
    done
    ended_well 0
    [ "$(grep -c 'attempt [0-9]* ended with 137' job.log)" = 3 ] || fail "not killed three times: $(cat job.log)"
    ;;
cancel)
    # A job that the user cancels stays cancelled; submitted again it resumes.
    unset OMPI_MCA_odls_base_sigkill_timeout
    upscale_job --partition=low
    await_frames out.mkv 48
    scancel "$job"
    stopped_in_order || fail "ended before it was cancelled: $(cat job.log)"
    sleep 6 # a requeue would show
    [ "$(job_field JobState)" = CANCELLED ] && [ "$(job_field Restarts)" = 0 ] || fail "came back: $(cat job.log)"
    upscale_job --partition=low
    ended_well 0
    ;;
esac
