# Sourced by the batch scripts. run-until-done resumes a job after a failure; the functions here connect it to Slurm:
# they pass on the notice before the time limit, and requeue a job that the notice stopped.

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
        say "realesrgan-mpi is neither in PATH nor at $program; build it, or set RESR=/path/to/realesrgan-mpi"
        exit 127
    elif [ ! -x "$program" ]; then
        say "RESR=$program cannot be executed; set RESR=/path/to/realesrgan-mpi"
        exit 126
    fi
}

# Sets $mpirun: $RESR_MPIRUN, by default one rank a task, bound to the task's cores. Rank K of a node uses GPU K of the
# node, so every rank must see all GPUs of its node (--gpus-per-node).
find_mpirun() {
    mpirun=${RESR_MPIRUN:-mpirun --map-by slot:PE=${SLURM_CPUS_PER_TASK:-1}}
    command -v "${mpirun%% *}" >/dev/null || {
        say "'${mpirun%% *}' is not a command; load Open MPI, or set RESR_MPIRUN to the words that start ranks"
        exit 127
    }
    say "restart ${SLURM_RESTART_COUNT:-0} on $SLURM_JOB_NODELIST," \
        "$SLURM_NTASKS ranks of ${SLURM_CPUS_PER_TASK:-1} cores"
}

# exit_if_done OUTPUT OPTION...: ends the script if the job is complete, which a job that was requeued at its end, or
# together with its array, may be. With --overwrite the output may be older than the job, so it proves nothing.
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
# TERM is not passed on: Slurm sends it to every process of the job, and the program ends at once at the second signal.
on_term() {
    ended=yes
}
trap on_notice USR1
trap on_term TERM

# run_job WORD...: runs mpirun with these words until the job is done; sets $rc to the exit code.
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
        [ $got = 127 ] || rc=$got # 127: an earlier wait has returned its status
        [ "$seen" = "$noticed$ended" ] && break
    done
    loop=""
}

# A job on a lost node makes no progress until Slurm notices the loss, after SlurmdTimeout (300 s). Slurm then ends and
# requeues the job, but only if the script still runs.
await_node_loss() {
    say "waiting 6 minutes: a node may be lost without Slurm's notice yet"
    sleep 360 &
    wait $!
}

# finish: ends the script with $rc. 75 means that the same command resumes the job: after the notice the script
# requeues it. After TERM without a notice it does not: Slurm requeues a preempted job by itself, and a cancelled job
# must stay cancelled.
finish() {
    if [ "$rc" = 70 ] && [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
        await_node_loss
    fi
    if [ "$rc" = 75 ] && { [ $noticed = yes ] || [ $ended = no ]; }; then
        if scontrol requeue "$SLURM_JOB_ID"; then
            say "requeued"
        else
            say "stopped, and not requeued: submit the same command again to resume"
        fi
    fi
    exit "$rc"
}
