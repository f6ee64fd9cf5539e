# Sourced by the tests that run the whole program. $RESR: the program, $MAKE_MODEL: the writer of
# random networks, both set by CTest. Each test works in a folder of its own, removed at the end.
set -eu

command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null && command -v jq >/dev/null || {
    echo "skipped: ffmpeg, ffprobe and jq are needed"
    exit 77
}

work=$(mktemp -d "${TMPDIR:-/tmp}/resr-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"

# Twelve ranks on two cores must not spin, and Open MPI refuses root and more ranks than cores
# unless told.
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# upscale RANKS OPTION...: runs the program, its messages in run.log.
upscale() {
    ranks=$1
    shift
    timeout 240 mpirun -n "$ranks" "$RESR" --progress none "$@" >run.out 2>run.log || {
        code=$?
        cat run.log >&2
        return $code
    }
}

# tiny_model: the smallest network with everything in it, 2x with pixel unshuffle.
tiny_model() {
    "$MAKE_MODEL" tiny.safetensors rrdb 2 1 8 4 7
}

# clip FILE FRAMES [FFMPEG OPTION...]: 64x36 test pattern with noise, so that no two frames are equal.
clip() {
    file=$1
    frames=$2
    shift 2
    ffmpeg -v error -y -f lavfi \
        -i "testsrc2=size=64x36:rate=25,noise=alls=24:allf=t:all_seed=7,trim=end_frame=$frames" "$@" \
        -pix_fmt yuv420p "$file"
}

# wait_for PID COMMAND...: polls until COMMAND succeeds. Fails if process PID ends before that, or after two minutes.
wait_for() {
    watched=$1
    shift
    tries=0
    until "$@"; do
        kill -0 "$watched" 2>/dev/null || fail "process $watched ended before '$*': $(cat run.log)"
        tries=$((tries + 1))
        [ $tries -le 2400 ] || fail "no '$*' within two minutes: $(cat run.log)"
        sleep 0.05
    done
}

# status_number OUTPUT FIELD: this number of the job folder's status.json; 0 without that file.
status_number() {
    sed -nE 's/.*"'"$2"'": *([0-9]+).*/\1/p' "$1.resr/status.json" 2>/dev/null | grep . || echo 0
}

# are_durable OUTPUT FRAMES: the job folder holds at least this many frames.
are_durable() {
    [ "$(status_number "$1" frames_durable)" -ge "$2" ]
}

# rank_pid OUTPUT RANK: the process id from the job folder's file pids.
rank_pid() {
    awk -v rank="$2" '$1 == rank { print $3 }' "$1.resr/pids"
}

# interrupt PID OUTPUT FRAMES NAME: sends SIGTERM to rank 0 when this many frames are durable; the run of this PID, whose
# messages are in run.log, then ends with exit code 75.
interrupt() {
    wait_for "$1" are_durable "$2" "$3"
    kill -TERM "$(rank_pid "$2" 0)"
    code=0
    wait "$1" || code=$?
    [ $code = 75 ] || fail "$4: exit $code: $(cat run.log)"
}

count_frames() {
    ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames \
        -of csv=p=0 "$1" | tr -d ','
}
