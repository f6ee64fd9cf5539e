#!/bin/sh
# array.sbatch and bench.sbatch with the numbers of tasks, cores and GPUs that they request, and the messages of
# upscale.sbatch for wrong arguments.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
start_cluster
tiny_model
options="-m tiny.safetensors --threads 1"
clip "first one.mkv" 20 -c:v ffv1
clip second.mkv 30 -c:v ffv1

printf 'first one.mkv\tbig first.mkv\nsecond.mkv\tbig.mkv\nthis line has no tab\n' >list
# shellcheck disable=SC2086 # words
job=$(sbatch --parsable --wait --array=1-3 --cpus-per-task=1 --output="$work/%a.log" "$JOBS/array.sbatch" list $options) &&
    fail "a list with a bad line was taken"
[ "$(count_frames "big first.mkv")" = 20 ] || fail "task 1: $(cat 1.log)"
[ "$(count_frames big.mkv)" = 30 ] || fail "task 2: $(cat 2.log)"
grep -q "line 3 is not" 3.log || fail "task 3: $(cat 3.log)"
echo "ok array"

# shellcheck disable=SC2086 # words
submit --wait --cpus-per-task=2 "$JOBS/bench.sbatch" second.mkv results $options || fail "bench: $(cat job.log)"
[ "$(awk '{ print $1 }' results/scaling.txt | paste -s -d ' ')" = "1 2 4" ] || fail "bench: $(cat job.log)"
awk '$2 <= 0 || $3 <= 0 { bad = 1 } END { exit bad }' results/scaling.txt || fail "bench: $(cat results/scaling.txt)"
[ "$(sed -n 's/.*"frames_out": *\([0-9]*\).*/\1/p' results/ranks-4.json)" = 30 ] || fail "bench: no report"
[ "$(ls results)" = "$(printf 'ranks-1.json\nranks-2.json\nranks-4.json\nscaling.txt')" ] || fail "left: $(ls results)"
echo "ok bench"

# refused CODE WORDS WORD...: a job that fails with this code and says why.
refused() {
    code=$1
    words=$2
    shift 2
    rm -f job.log
    job=$(sbatch --parsable --wait --output="$work/job.log" --cpus-per-task=1 "$@") && fail "done: $*"
    [ "$(job_field ExitCode)" = "$code:0" ] || fail "$*: exit $(job_field ExitCode): $(cat job.log)"
    [ "$(job_field Restarts)" = 0 ] || fail "$*: requeued"
    grep -q "$words" job.log || fail "$*: $(cat job.log)"
}
refused 64 usage "$JOBS/upscale.sbatch"
refused 66 missing.mkv "$JOBS/upscale.sbatch" missing.mkv out.mkv
# shellcheck disable=SC2086 # words
refused 73 big.mkv "$JOBS/upscale.sbatch" second.mkv big.mkv $options
RESR=$work/nowhere refused 127 "RESR=" "$JOBS/upscale.sbatch" second.mkv out.mkv
echo "ok refusals"

# A job that is requeued when all is done does nothing more.
# shellcheck disable=SC2086 # words
submit --wait "$JOBS/upscale.sbatch" second.mkv again.mkv $options || fail "again: $(cat job.log)"
scontrol requeue "$job"
until [ "$(job_field Restarts)" = 1 ]; do sleep 0.1; done
await_state 'COMPLETED|FAILED' 60
[ "$(job_field JobState)" = COMPLETED ] && grep -q "again.mkv is complete" job.log || fail "requeued when done: $(cat job.log)"
echo "ok requeued when done"

# Submitted from elsewhere and without RESR_JOBS: the scripts find their folder by themselves.
mkdir elsewhere
cp -r "$JOBS" "elsewhere/my jobs"
unset RESR_JOBS
(cd elsewhere && submit --wait --gpus-per-node=0 "my jobs/upscale.sbatch" ../second.mkv out.mkv -m ../tiny.safetensors --threads 1) ||
    fail "elsewhere: $(cat job.log)"
[ "$(count_frames elsewhere/out.mkv)" = 30 ] || fail "elsewhere: $(cat job.log)"
cd elsewhere
sbatch --wait --cpus-per-task=1 --output="$work/job.log" <"my jobs/upscale.sbatch" >/dev/null &&
    fail "read from standard input: $(cat ../job.log)"
grep -q "RESR_JOBS" ../job.log || fail "read from standard input: $(cat ../job.log)"
echo "ok elsewhere"
