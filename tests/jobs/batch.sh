#!/bin/sh
# The batch scripts without Slurm, with test doubles of scontrol, mpirun and the program: how the scripts find their
# folder, and their refusals.
set -eu
jobs=$(cd "$(dirname "$0")/../../jobs" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/resr-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"

fail() {
    echo "FAILED: $*" >&2
    [ ! -f run.log ] || cat run.log >&2
    exit 1
}

mkdir bin spool "my jobs" "my clips"
cp "$jobs"/* "my jobs"
cat >bin/scontrol <<'END'
printf 'JobId=7 JobName=upscale\n   Command=%s\n   WorkDir=/\n' "$COMMAND"
END
cat >bin/mpirun <<'END'
case $1 in --version) exit ;; esac
cat >/dev/null
while [ "${1##*/}" != realesrgan-mpi ]; do
    case $1 in -n) ranks=$2 ;; esac
    shift
done
RANKS=${ranks:-4} exec "$@"
END
cat >bin/realesrgan-mpi <<'END'
while [ $# -gt 0 ]; do
    case $1 in
    -i) input=$2 ;;
    -o) cp "$input" "$2" ;;
    --report) printf '{"frames_out": 100,\n"start_up": 1.0,\n"wall": %s}\n' $((1 + 40 / RANKS)) >"$2" ;;
    esac
    shift
done
END
sed -i '1i #!/bin/sh' bin/*
chmod +x bin/*
export PATH="$work/bin:$PATH" SLURM_JOB_ID=7 SLURM_JOB_NODELIST=here SLURM_NTASKS=4 SLURM_CPUS_PER_TASK=1
unset RESR RESR_JOBS RESR_MPIRUN SLURM_ARRAY_TASK_ID SLURM_ARRAY_JOB_ID SLURM_RESTART_COUNT

# batch CODE SCRIPT WORD...: as Slurm runs a copy of the script that was submitted, and the code it ends with.
batch() {
    code=$1
    script=$2
    shift 2
    cp "my jobs/$script" spool/slurm_script
    got=0
    COMMAND=${SUBMITTED-$work/my jobs/$script${1+ $*}} sh spool/slurm_script "$@" >run.log 2>&1 || got=$?
    [ $got = "$code" ] || fail "$script $*: exit $got, expected $code"
}

says() {
    grep -qF -- "$1" run.log || fail "'$1' was not said"
}

echo one >"my clips/a clip.mkv"
batch 64 upscale.sbatch
says usage
batch 0 upscale.sbatch "my clips/a clip.mkv" "my clips/out.mkv"
cmp "my clips/a clip.mkv" "my clips/out.mkv"
batch 0 upscale.sbatch "my clips/a clip.mkv" "my clips/more.mkv" -m "my/jobs/x y.pth"
[ -e "my clips/more.mkv" ] || fail "words with blanks and slashes"
batch 0 bench.sbatch "my clips/a clip.mkv" "my results"
[ "$(awk '{ print $1 }' "my results/scaling.txt" | paste -s -d ' ' -)" = "1 2 4" ] || fail "bench: $(cat "my results/scaling.txt")"
rm "my clips"/[!a]*

# Lines that a loop reads are not the scripts' standard input.
printf 'my clips/a clip.mkv\tmy clips/%s.mkv\n' one two three >list
for i in 1 2 3; do echo $i; done | while read -r SLURM_ARRAY_TASK_ID; do
    export SLURM_ARRAY_TASK_ID
    batch 0 array.sbatch list
done
[ "$(ls "my clips" | paste -s -d ' ' -)" = "a clip.mkv one.mkv three.mkv two.mkv" ] || fail "array: $(ls "my clips")"

# Read from standard input by sbatch, a script has no folder: none is guessed.
echo 'touch sourced' >slurm.sh
SUBMITTED="(null)" batch 127 upscale.sbatch in.mkv out.mkv
says RESR_JOBS
SUBMITTED="" batch 127 array.sbatch in.mkv out.mkv
SUBMITTED="(null)" batch 127 bench.sbatch in.mkv out
RESR_JOBS=$work/bin batch 127 upscale.sbatch in.mkv out.mkv
says "$work/bin"
[ ! -e sourced ] || fail "a file of the working folder was sourced"
SUBMITTED="(null)" RESR_JOBS="$work/my jobs" batch 0 upscale.sbatch "my clips/a clip.mkv" "my clips/out.mkv"

# Paths that are not programs.
RESR="$work/my clips" batch 126 upscale.sbatch in.mkv out.mkv
says "is a folder"
RESR="$work/list" SLURM_ARRAY_TASK_ID=1 batch 126 array.sbatch list
says "cannot be executed"
RESR="$work/none" batch 127 bench.sbatch in.mkv folder
says "RESR="
RESR_MPIRUN="mpirun.none --bind-to none" batch 127 upscale.sbatch in.mkv out.mkv
says "mpirun.none"
echo "ok"
