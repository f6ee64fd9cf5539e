# Sourced, after tests/mpi/lib.sh, by the tests of delivered files. The network has zero weights: its
# output is the nearest-neighbour enlargement, so that pixels can be predicted.
"$MAKE_MODEL" zero.safetensors srvgg 2 1 8 0 0

# up OPTION...: runs the program, its messages in run.log.
up() {
    timeout 60 "$RESR" --progress none --threads 1 -m zero.safetensors "$@" 2>run.log || {
        code=$?
        cat run.log >&2
        return $code
    }
}

# stream FILE ENTRIES: ffprobe's entries of the video stream, one a line.
stream() {
    ffprobe -v error -select_streams v:0 -show_entries "$2" -of default=nw=1 "$1" | sort
}

# presentation_times FILE: of the frames of its video stream, one a line.
presentation_times() {
    ffprobe -v error -select_streams v:0 -show_entries frame=pts_time -of default=nw=1:nk=1 "$1" |
        grep '^[0-9]'
}

# same NAME EXPECTED FOUND: fails unless both are equal.
same() {
    [ "$2" = "$3" ] || fail "$1: '$3', expected '$2'"
    echo "ok $1"
}
