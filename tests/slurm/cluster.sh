# Sourced by the tests under real Slurm: a cluster of one or two nodes on this machine, with a configuration, a
# key, state and logs in a folder of its own. Nothing of the system's Slurm or munge is used or touched.
# $RESR and $MAKE_MODEL as in tests/mpi/lib.sh; $JOBS: the folder of the batch scripts.

skip() {
    echo "skipped: $*"
    exit 77
}

[ "$(id -u)" = 0 ] || skip "slurmd has to be root to start jobs"
for tool in munged slurmctld slurmd sbatch; do
    command -v $tool >/dev/null || skip "$tool is not here; jobs/install-deps.sh slurm installs it"
done
# shellcheck source=tests/mpi/lib.sh
. "$(dirname "$0")/../mpi/lib.sh"

# configure NODE...: the first node has this machine's name, so that mpirun knows where it is and starts ranks there by
# itself, and through srun on the others. Each has eight CPUs and four GPUs on any machine, so that the batch
# scripts' own numbers can be requested. Partition high preempts jobs of low, which are requeued.
# cred_expire (120 s in real clusters) is how long a requeued job waits before it may start again.
configure() {
    nodes=$(echo "$*" | tr ' ' ',')
    port=$((12000 + $$ % 5000 * 4)) # below 32768, where outgoing connections begin
    mkdir -p "$cluster/state" "$cluster/munge"
    chmod 755 "$work" "$cluster" "$cluster/munge"
    (umask 077 && head -c 1024 /dev/urandom >"$cluster/munge/key")
    printf 'Name=gpu File=/dev/%s\n' null zero full random >"$cluster/gres.conf"
    cat >"$cluster/slurm.conf" <<END
ClusterName=resr
SlurmctldHost=$1(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$cluster/munge/socket,cred_expire=5
MailProg=/bin/true
SlurmctldPort=$port
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool-%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=10
SlurmdParameters=config_overrides
GresTypes=gpu
PartitionName=low Nodes=$nodes Default=YES OverSubscribe=EXCLUSIVE PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=$nodes OverSubscribe=EXCLUSIVE PriorityTier=10 PreemptMode=OFF
END
    for node in "$@"; do
        port=$((port + 1))
        echo "NodeName=$node NodeAddr=127.0.0.1 Port=$port CPUs=8 Gres=gpu:4 RealMemory=1000"
        mkdir -p "$cluster/spool-$node"
    done >>"$cluster/slurm.conf"
    export SLURM_CONF="$cluster/slurm.conf"
}

daemons=""
# daemon NAME WORD...: in the foreground of this script's session; Slurm's own restart of a daemon is not needed.
daemon() {
    log=$cluster/$1.log
    shift
    "$@" >"$log" 2>&1 &
    daemons="$! $daemons"
}

stop_cluster() {
    set +e # the exit status is the test's
    # Jobs of a test that failed may have processes, which only the daemons can end.
    scancel --user=root
    tries=0
    while [ -n "$(squeue -h)" ] && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.4
    done
    for process in $daemons; do # slurmd and slurmctld before munged
        kill "$process" 2>/dev/null && wait "$process"
    done
    [ -z "${kept:-}" ] || {
        mkdir -p "$kept" && cp -r "$cluster"/*.log "$work"/*.log "$kept"
    }
    rm -rf "$work"
} 2>/dev/null

# start_node NODE: with a hostname of its own, by which Open MPI tells nodes apart.
start_node() {
    daemon "slurmd-$1" unshare --uts sh -c 'hostname "$0" && exec slurmd -D -N "$0" -f "$SLURM_CONF"' "$1"
}

# start_cluster [NODE...]: this machine, and more nodes on it by these names.
start_cluster() {
    cluster=$work/cluster
    host=$(hostname -s)
    set -- "$host" "$@"
    configure "$@"
    kept=${RESR_TEST_LOGS:-}
    trap stop_cluster EXIT
    # --force: root's munged is for this test alone
    daemon munged munged --force --foreground --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" \
        --pid-file="$cluster/munge/pid" --seed-file="$cluster/munge/seed"
    tries=0
    until munge -n -S "$cluster/munge/socket" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -le 50 ] || skip "munged did not come up: $(tail -n 1 "$cluster/munged.log")"
        sleep 0.2
    done
    daemon slurmctld slurmctld -D -f "$SLURM_CONF"
    controller_start_s=$(date +%s)
    daemon "slurmd-$host" slurmd -D -N "$host" -f "$SLURM_CONF"
    shift
    for node in "$@"; do
        start_node "$node"
    done
    tries=0
    until [ "$(sinfo -h -p low -N -t idle -o %N 2>/dev/null | wc -l)" = $(($# + 1)) ]; do
        tries=$((tries + 1))
        [ $tries -le 100 ] || skip "slurmd did not come up: $(tail -n 3 "$cluster"/slurm*.log)"
        sleep 0.2
    done
}

# Four ranks of one thread, not bound to cores, on any number of cores.
export RESR_MPIRUN="mpirun --bind-to none --oversubscribe"
# A dead rank is noticed after 2 s instead of 20.
export OMPI_MCA_odls_base_sigkill_timeout=1
export RESR_JOBS="$JOBS"

# The controller looks at the time limits of running jobs every 30 s.
# sleep_before_look SECONDS: sleeps until this long before the controller's next look.
sleep_before_look() {
    look_s=$((controller_start_s + 30))
    while [ $((look_s - $1)) -lt "$(date +%s)" ]; do look_s=$((look_s + 30)); done
    sleep $((look_s - $1 - $(date +%s)))
}

# submit WORD...: sbatch with these words; the job's number in $job.
submit() {
    job=$(sbatch --parsable --output="$work/job.log" --cpus-per-task=1 "$@") || fail "sbatch refused: $*"
}

job_field() {
    scontrol show job "$job" | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1
}

# status_number OUT FIELD: of its status.json; 0 where there is none.
status_number() {
    sed -nE 's/.*"'"$2"'": *([0-9]+).*/\1/p' "$1.resr/status.json" 2>/dev/null | grep . || echo 0
}

# await_number OUT FIELD N: until it is N or more, and the job still runs.
await_number() {
    tries=0
    while [ "$(status_number "$1" "$2")" -lt "$3" ]; do
        tries=$((tries + 1))
        [ $tries -le 1200 ] || fail "no $2 of $3 in 120 s: $(cat "$work/job.log")"
        case $(job_field JobState) in
        COMPLETED | FAILED) fail "the job ended before $2 $3: $(cat "$work/job.log")" ;;
        esac
        sleep 0.1
    done
}

await_frames() {
    await_number "$1" frames_durable "$2"
}

await_attempt() {
    await_number "$1" attempt "$2"
}

# await_state STATE SECONDS: until the job is in one of these states (an extended regular expression).
await_state() {
    tries=0
    until job_field JobState | grep -qxE "$1"; do
        tries=$((tries + 1))
        [ $tries -le $(($2 * 2)) ] || fail "the job is $(job_field JobState), expected $1: $(cat "$work/job.log")"
        sleep 0.5
    done
}

# undisturbed_run: in.mkv, long enough to keep four ranks busy for about 8 s on this machine, without Slurm: its
# frames in undisturbed.hash, its time in $alone_s. The pool of frames is small, so that segments finish all along.
ranks=4
options="-m small.safetensors --threads 1 --precision exact --memory 1M"
alone() {
    # shellcheck disable=SC2086 # words
    $RESR_MPIRUN -n $ranks "$RESR" -i in.mkv -o undisturbed.mkv --overwrite --progress none $options "$@" \
        2>run.log || fail "undisturbed: $(cat run.log)"
}

undisturbed_run() {
    "$MAKE_MODEL" small.safetensors rrdb 2 2 32 16 7
    clip in.mkv 96 -c:v ffv1
    alone --report report
    frames=$(jq '.frames_out * 8 / (.seconds.wall - .seconds.start_up) | floor' report)
    [ "$frames" -ge 240 ] || frames=240
    clip in.mkv "$frames" -c:v ffv1
    began=$(date +%s)
    alone --framehash undisturbed.hash
    alone_s=$(($(date +%s) - began))
    [ "$(wc -l <undisturbed.hash)" = "$frames" ] || fail "undisturbed: $(wc -l <undisturbed.hash) of $frames frames"
    echo "undisturbed: $frames frames in $alone_s s"
}

# upscale_job WORD...: the same as a job of upscale.sbatch, into out.mkv.
upscale_job() {
    # shellcheck disable=SC2086 # words
    submit "$@" "$JOBS/upscale.sbatch" in.mkv out.mkv $options --framehash job.hash
}

# await_requeue: until the job ran to its end; 1 if it was done without a requeue.
await_requeue() {
    await_state 'COMPLETED|FAILED|TIMEOUT|CANCELLED|NODE_FAIL' 200
    [ "$(job_field Restarts)" -gt 0 ] || [ ! -e out.mkv ]
}

# ended_well RESTARTS: the job completed after at least RESTARTS requeues, with the frames of the undisturbed run and
# no file left behind.
ended_well() {
    await_state 'COMPLETED|FAILED|TIMEOUT|CANCELLED|NODE_FAIL' 120
    [ "$(job_field JobState)" = COMPLETED ] || fail "the job is $(job_field JobState): $(cat job.log)"
    [ "$(job_field Restarts)" -ge "$1" ] || fail "requeued $(job_field Restarts) times, expected $1: $(cat job.log)"
    cmp -s undisturbed.hash job.hash || fail "other frames than undisturbed: $(diff undisturbed.hash job.hash | head -n 3)"
    [ -s out.mkv ] && [ ! -e out.mkv.resr ] || fail "out.mkv is missing, or out.mkv.resr is left"
    leftovers=$(find . -name '*.tmp*' -not -path './cluster/*')
    [ -z "$leftovers" ] || fail "left behind: $leftovers"
    echo "ok: $(job_field Restarts) requeues"
}
