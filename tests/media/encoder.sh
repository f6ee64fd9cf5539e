#!/bin/sh
# encoder.sh ENCODER: a video joined from short segments of this encoder has every frame at its time,
# and decodes without an error.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../mpi/lib.sh"
. "$here/lib.sh"
encoder=$1
ffmpeg -v error -h encoder="$encoder" 2>/dev/null | grep -q "^Encoder" || {
    echo "skipped: this FFmpeg does not have $encoder"
    exit 77
}
clip in.mkv 23 -c:v libx264 -bf 3
up -i in.mkv -o out.mkv --codec "$encoder" --segment 5
same "frames" 23 "$(count_frames out.mkv)"
[ -z "$(ffmpeg -v error -xerror -i out.mkv -f null - 2>&1)" ] || fail "the output does not decode without errors"
same "timestamps" "$(presentation_times in.mkv)" "$(presentation_times out.mkv)"
