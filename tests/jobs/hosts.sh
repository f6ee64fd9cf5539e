#!/bin/sh
# run-until-done excludes hosts that were found hung twice: the arguments of mpirun afterwards, for hosts named on the
# command line, in a file and by Slurm. Test doubles of mpirun and scontrol record their arguments.
set -eu
jobs=$(cd "$(dirname "$0")/../../jobs" && pwd)
program=$(cd "$(dirname "$0")" && pwd)/program.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/resr-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"
mkdir bin
export PLAN="$work/plan" PATH="$work/bin:$PATH"
unset SLURM_JOB_NODELIST SLURM_TASKS_PER_NODE OMPI_MCA_odls_base_sigkill_timeout

cat >bin/mpirun <<'END'
#!/bin/sh
if [ "$1" = --version ]; then
    echo "mpirun (Open MPI) 4.1.4"
    exit 0
fi
words=""
while [ "$1" != sh ]; do
    case $1 in
    */hosts)
        words="$words [$(paste -s -d ',' "$1")]"
        ;;
    *) words="$words $1" ;;
    esac
    shift
done
echo "$words" >>calls
[ "$OMPI_MCA_odls_base_sigkill_timeout" = 10 ] || exit 64
exec "$@"
END
cat >bin/scontrol <<'END'
#!/bin/sh
[ "$*" = "show hostnames n[1-4]" ] && printf 'n%d\n' 1 2 3 4
END
chmod +x bin/*

fail() {
    echo "FAILED: $*" >&2
    cat run.log calls >&2
    exit 1
}

# left_out 'FIRST CALL' 'SECOND CALL' HOST WORD...: mpirun's words before and after HOST was named twice.
left_out() {
    first=$1
    second=$2
    host=$3
    shift 3
    rm -rf starts calls out out.resr
    echo "strike $host strike n3 frames 5 strike $host die 1" >plan
    echo "frames 9 finish" >>plan
    "$jobs/run-until-done" --wait 0 -- mpirun "$@" sh "$program" -n realesr-name -i in -o out 2>run.log || fail "exit $?"
    [ "$(sed -n 1p calls)" = " $first" ] || fail "first: expected '$first'"
    [ "$(sed -n 2p calls)" = " $second" ] || fail "second: expected '$second'"
    [ ! -e out.resr ] || fail "not finished"
}

left_out "--host n1:4,n2:4,n3 -n 9" "--hostfile [n1 slots=4,n3 slots=1] -n 5" n2 --host n1:4,n2:4,n3 -n 9
left_out "-np 3 -H n1:4,n2:4" "-np 3 --hostfile [n1 slots=4]" n2.cluster.org -np 3 -H n1:4,n2:4
left_out "-H 10.0.0.1:4,10.0.0.2:4" "--hostfile [10.0.0.1 slots=4]" 10.0.0.2 -H 10.0.0.1:4,10.0.0.2:4

printf '# ours\nn1.cluster.org slots=4 max_slots=8\n\nn2.cluster.org slots=4\nn3.cluster.org\n' >file
left_out "--hostfile file -n 12" "--hostfile [n1.cluster.org slots=4 max_slots=8,n3.cluster.org] -n 12" \
    n2 --hostfile file -n 12
sed -i 3,5d file
sed -i 1d file
printf 'n3 slots=2\nn2 slots=7\n' >>file
left_out "--machinefile file -n 12" "--machinefile [n1.cluster.org slots=4 max_slots=8,n3 slots=2] -n 6" \
    n2 --machinefile file -n 12

SLURM_JOB_NODELIST="n[1-4]" SLURM_TASKS_PER_NODE="4(x2),3,2" && export SLURM_JOB_NODELIST SLURM_TASKS_PER_NODE
left_out "-n 13 --bind-to none" "--hostfile [n1 slots=4,n3 slots=3,n4 slots=2] -n 9 --bind-to none" \
    n2 -n 13 --bind-to none
left_out "--bind-to none" "--hostfile [n1 slots=4,n2 slots=4,n4 slots=2] --bind-to none" n3 --bind-to none
unset SLURM_JOB_NODELIST SLURM_TASKS_PER_NODE

# The only host there is stays, and that is said.
left_out "--host n2:4" "--host n2:4" n2 --host n2:4
grep -q "no other host" run.log || fail "the only host"
left_out "-n 2" "-n 2" n2 -n 2
echo "ok"
