#!/bin/sh
# Two nodes: ranks that mpirun starts on both, deaths on either, a node that is lost for good, and a host that was found
# hung and is left out of the allocation.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
# Slurm sorts by name, and the batch script has to run on this machine's own.
start_cluster zz
undisturbed_run
export OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo

# Two ranks on each node. A death on the second one costs the job no requeue.
upscale_job --nodes=2 --ntasks-per-node=2
await_frames out.mkv 48
victim=$(sed -n 's/^3 .* //p' out.mkv.resr/pids)
grep -q '^3 zz ' out.mkv.resr/pids || fail "rank 3 is not on the second node: $(cat out.mkv.resr/pids)"
kill -9 "$victim"
ended_well 0
[ "$(job_field Restarts)" = 0 ] || fail "requeued: $(cat job.log)"
grep -q 'attempt 1 ended' job.log || fail "no attempt ended early: $(cat job.log)"

# The second node dies with all its processes, and comes back after Slurm has noticed.
rm out.mkv
upscale_job --nodes=2 --ntasks-per-node=2
await_frames out.mkv 48
lost=$(readlink "/proc/$(cat "$cluster/slurmd-zz.pid")/ns/uts")
[ -n "$lost" ] && [ "$lost" != "$(readlink /proc/$$/ns/uts)" ] || fail "the second node has no hostname of its own"
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/ns/uts")" != "$lost" ] || kill -9 "${process#/proc/}"
done
await_state 'PENDING|COMPLETING' 60
[ ! -e out.mkv ] || fail "the job ended although a node was lost"
start_node zz
scontrol update NodeName=zz State=RESUME
ended_well 1

# A node that stays down: the job resumes on the other one.
rm out.mkv
upscale_job
await_frames out.mkv 48
lost=$(job_field NodeList)
scontrol update NodeName="$lost" State=DOWN Reason=test
ended_well 1
[ "$(job_field NodeList)" != "$lost" ] || fail "went on at the lost node"
scontrol update NodeName="$lost" State=RESUME

# A host with two strikes is left out of the allocation: each mpirun writes down where its ranks are.
cat >everywhere <<END
#!/bin/sh
echo "\$PMIX_NAMESPACE \$(hostname -s)" >>nodes
[ "\$OMPI_COMM_WORLD_RANK" != 0 ] || exec sh "$JOBS/../tests/jobs/program.sh" "\$@"
END
chmod +x everywhere
export PLAN="$work/plan"
rm out.mkv
printf '%s\n' "strike zz frames 5 strike zz die 1" "frames 9 finish" >plan
RESR=$work/everywhere upscale_job --nodes=2 --ntasks-per-node=2
await_state 'COMPLETED|FAILED' 60
[ "$(job_field JobState)" = COMPLETED ] || fail "the job is $(job_field JobState): $(cat job.log)"
first=$(sed -n '1s/ .*//p' nodes)
sort nodes | uniq -c | awk -v first="$first" '{ print ($2 == first ? "first" : "then"), $3, $1 }' | sort >found
printf '%s\n' "first $host 2" "first zz 2" "then $host 2" | sort | cmp -s - found || fail "ranks: $(cat found nodes)"
echo "ok: left out: the second node"
