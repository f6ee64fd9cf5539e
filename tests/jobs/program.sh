#!/bin/sh
# Test double of realesrgan-mpi for run-until-done: keeps a job folder as the program does, and in its n-th start
# carries out the n-th line of the file $PLAN, word by word:
#   frames N       N frames are durable          strike HOST    a rank on HOST was found hung
#   die CODE       end, the state stays running  mute CODE      end before anything was written (first word)
#   fail CODE      state failed, end with CODE   mpirun CODE    before fail: mpirun has this exit code of its own
#   wait           until a signal arrives, then resumable
#   finish         publish, remove the job folder, end well
#   orphan CODE    publish, remove the job folder, and mpirun was killed before: it ends with CODE
#   abort CODE     publish, state done, end with CODE, as MPI_Abort does after a hung rank
set -u
here=$PWD
while [ $# -gt 0 ]; do
    case $1 in
    -o | --output | --job-dir | -i | -m | --report)
        case $1 in
        -o | --output) output=$2 ;;
        --job-dir) job=$2 ;;
        esac
        shift
        ;;
    --output=*) output=${1#*=} ;;
    --job-dir=*) job=${1#*=} ;;
    -o=*) output=${1#-o=} ;;
    -o*) output=${1#-o} ;;
    esac
    shift
done
job=${job:-$output.resr}
starts=$(($(cat "$here/starts" 2>/dev/null || echo 0) + 1))
echo $starts >"$here/starts"
# shellcheck disable=SC2046 # words
set -- $(sed -n "${starts}p" "$PLAN")
[ "${1:-}" != mute ] || exit "$2"

mkdir -p "$job"
frames=$(sed -n 's/.*"frames_durable": \([0-9]*\).*/\1/p' "$job/status.json" 2>/dev/null)
frames=${frames:-0}
touch "$job/strikes"

write() { # STATE EXIT_CODE
    strikes=$(sed 's/.*/{"host": "&", "rank": 1}/' "$job/strikes" | paste -s -d ',' -)
    cat >"$job/status.json.tmp" <<END
{"state": "$1", "exit_code": $2, "frames_durable": $frames, "frames_total": 100, "attempt": $starts,
 "message": "the \"state\": is $1, C:\\\\$2", "pid": $$, "host": "here.example.org", "strikes": [$strikes]}
END
    mv "$job/status.json.tmp" "$job/status.json"
}

write running 0
while [ $# -gt 0 ]; do
    case $1 in
    frames) frames=$2 ;;
    strike) echo "$2" >>"$job/strikes" ;;
    die) exit "$2" ;;
    fail)
        write failed "$2"
        exit "${code:-$2}"
        ;;
    mpirun) code=$2 && shift 2 && continue ;;
    wait)
        trap 'write resumable 75; exit 75' USR1 TERM
        touch "$here/waiting"
        while :; do sleep 0.1; done
        ;;
    finish)
        echo "frames" >"$output"
        rm -r "$job"
        exit 0
        ;;
    orphan)
        echo "frames" >"$output"
        rm -r "$job"
        exit "$2"
        ;;
    abort)
        echo "frames" >"$output"
        write "done" 0
        exit "$2"
        ;;
    esac
    write running 0
    shift 2
done
