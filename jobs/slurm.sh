# Sourced by the batch scripts. Only run-until-done goes on from where a job stood; here is what Slurm needs:
# the notice before the time limit is passed on, and what was stopped by it is put back into the queue.

say() {
    echo "job ${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID = }$SLURM_JOB_ID: $*"
}

# Sets $program: $RESR, or the program in PATH, or the one that belongs to the folder $jobs of the batch script.
# shellcheck disable=SC2154
find_program() {
    program=${RESR:-$(command -v realesrgan-mpi || :)}
    [ -n "$program" ] || program=$jobs/../../../bin/realesrgan-mpi # installed
    [ -n "${RESR:-}" ] || [ -e "$program" ] || program=$jobs/../build/realesrgan-mpi
    if [ -d "$program" ]; then
        say "RESR=$program is a folder; name the program, for example RESR=$program/realesrgan-mpi"
        exit 126
    elif [ ! -e "$program" ]; then
        say "realesrgan-mpi is neither in PATH nor $program; build it, or name it by RESR=/path/to/realesrgan-mpi"
        exit 127
    elif [ ! -x "$program" ]; then
        say "RESR=$program cannot be executed; name the program by RESR=/path/to/realesrgan-mpi"
        exit 126
    fi
}

# One rank a task, each bound to its share of the cores; $RESR_MPIRUN has other words for mpirun. A rank takes
# the GPU of its number on its node, so every rank has to see all GPUs of the node (--gpus-per-node).
find_mpirun() {
    mpirun=${RESR_MPIRUN:-mpirun --map-by slot:PE=${SLURM_CPUS_PER_TASK:-1}}
    command -v "${mpirun%% *}" >/dev/null || {
        say "'${mpirun%% *}' is not a command; load Open MPI, or set RESR_MPIRUN to the words that start ranks"
        exit 127
    }
    say "restart ${SLURM_RESTART_COUNT:-0} on $SLURM_JOB_NODELIST," \
        "$SLURM_NTASKS ranks of ${SLURM_CPUS_PER_TASK:-1} cores"
}

# exit_if_done OUTPUT OPTION...: a job that was requeued while it ended, or with its array, may be complete. With
# --overwrite an output says nothing, it may have been there before.
exit_if_done() {
    case " $* " in
    *" --overwrite "* | *" --job-dir"*) return ;;
    esac
    if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [ -e "$1" ] && [ ! -e "$1.resr" ]; then
        say "$1 is complete"
        exit 0
    fi
}

noticed=no
ended=no
loop=""
on_notice() {
    noticed=yes
    say "notice of the end: stopping"
    [ -z "$loop" ] || kill -USR1 "$loop" 2>/dev/null
}
# Slurm sends TERM to every process of the job, so it is not passed on: to the program two signals would be two.
on_term() {
    ended=yes
}
trap on_notice USR1
trap on_term TERM

# run_job WORD...: runs mpirun with these words until done; its exit code in $rc.
run_job() {
    # shellcheck disable=SC2086 # $mpirun is words
    "$jobs/run-until-done" -- $mpirun "$@" &
    loop=$!
    [ $noticed = no ] || kill -USR1 "$loop"
    rc=127
    while :; do
        seen=$noticed$ended
        got=0
        wait "$loop" || got=$?
        [ $got = 127 ] || rc=$got # 127: it was waited for already
        [ "$seen" = "$noticed$ended" ] && break
    done
    loop=""
}

# A lost node looks like a job that makes no progress until Slurm notices, after SlurmdTimeout (300 s). It then ends and
# requeues the job, which a job that has ended by itself is not.
await_node_loss() {
    say "waiting 6 minutes in case a node is lost and Slurm has not noticed yet"
    sleep 360 &
    wait $!
}

# finish: ends the script. 75 means: the same command goes on. After TERM without a notice it is left to Slurm,
# which requeues a preempted job by itself; a job that was cancelled would come to life again.
finish() {
    if [ "$rc" = 70 ] && [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
        await_node_loss
    fi
    if [ "$rc" = 75 ] && { [ $noticed = yes ] || [ $ended = no ]; }; then
        if scontrol requeue "$SLURM_JOB_ID"; then
            say "requeued"
        else
            say "stopped, and not requeued: submit the same command again, it goes on"
        fi
    fi
    exit "$rc"
}
