# Sourced by the tests under real Slurm: a cluster of one node on this machine, with a configuration, a key,
# state and logs in a folder of its own. Nothing of the system's Slurm or munge is used or touched.
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

# The node has this machine's name, since mpirun compares, but eight CPUs and four GPUs whatever is here: the
# batch scripts' own numbers can then be asked for. Partition high preempts jobs of low, which get 2 s notice and are requeued.
# cred_expire (120 s in real clusters) is how long a requeued job waits before it may start again.
configure() {
    host=$(hostname -s)
    port=$((20000 + $$ % 10000 * 2))
    mkdir -p "$cluster/state" "$cluster/spool" "$cluster/munge"
    chmod 755 "$work" "$cluster" "$cluster/munge"
    (umask 077 && head -c 1024 /dev/urandom >"$cluster/munge/key")
    printf 'Name=gpu File=/dev/%s\n' null zero full random >"$cluster/gres.conf"
    cat >"$cluster/slurm.conf" <<END
ClusterName=resr
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$cluster/munge/socket,cred_expire=5
MailProg=/bin/true
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
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
KillWait=10
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:4 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES OverSubscribe=EXCLUSIVE PriorityTier=1 PreemptMode=REQUEUE GraceTime=2
PartitionName=high Nodes=$host OverSubscribe=EXCLUSIVE PriorityTier=10 PreemptMode=OFF
END
    export SLURM_CONF="$cluster/slurm.conf"
}

daemons=""
# daemon NAME WORD...: in the foreground of this script's session; Slurm's own restart of a daemon is not needed.
daemon() {
    name=$1
    shift
    "$@" >"$cluster/$name.log" 2>&1 &
    daemons="$! $daemons"
}

stop_cluster() {
    scancel --user=root 2>/dev/null
    for process in $daemons; do # slurmd and slurmctld before munged
        kill "$process" 2>/dev/null && wait "$process"
    done
    [ -z "${kept:-}" ] || {
        mkdir -p "$kept" && cp -r "$cluster"/*.log "$work"/*.log "$kept"
    }
    rm -rf "$work"
} 2>/dev/null

start_cluster() {
    cluster=$work/cluster
    configure
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
    daemon slurmd slurmd -D -f "$SLURM_CONF"
    tries=0
    until sinfo -h -o %t 2>/dev/null | grep -qx idle; do
        tries=$((tries + 1))
        [ $tries -le 100 ] || skip "slurmd did not come up: $(tail -n 3 "$cluster/slurmd.log" "$cluster/slurmctld.log")"
        sleep 0.2
    done
}

# Four ranks of one thread without a core each of their own, whatever the number of cores.
export RESR_MPIRUN="mpirun --bind-to none --oversubscribe"
# A dead rank is noticed after 2 s instead of 10.
export OMPI_MCA_odls_base_sigkill_timeout=1
export RESR_JOBS="$JOBS"

# The controller looks at the time limits of running jobs, and whether the notice before preemption is over, every 30 s.
# sleep_before_look SECONDS: until so long before it looks.
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

durable() {
    sed -nE 's/.*"frames_durable": *([0-9]+).*/\1/p' "$1.resr/status.json" 2>/dev/null || :
}

# await_frames OUT N: until N frames of OUT are durable.
await_frames() {
    tries=0
    while [ "$(durable "$1" | grep . || echo 0)" -lt "$2" ]; do
        tries=$((tries + 1))
        [ $tries -le 1200 ] || fail "no $2 frames of $1 in 120 s: $(cat "$work/job.log")"
        case $(job_field JobState) in
        COMPLETED | FAILED) fail "the job ended before $2 frames: $(cat "$work/job.log")" ;;
        esac
        sleep 0.1
    done
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

# whole OUT HASHES: OUT is complete and its frames are those of the undisturbed run; nothing is left behind.
whole() {
    cmp -s undisturbed.hash "$2" || fail "$1: other frames than undisturbed: $(diff undisturbed.hash "$2" | head -n 3)"
    [ -s "$1" ] && [ ! -e "$1.resr" ] || fail "$1: missing, or $1.resr is left"
    leftovers=$(find . -name '*.tmp*' -not -path './cluster/*')
    [ -z "$leftovers" ] || fail "left behind: $leftovers"
}
