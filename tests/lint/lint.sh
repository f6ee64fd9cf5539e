#!/bin/sh
# lint.sh format|includes|sizes|paths|shell: rules of CONTRIBUTING.md that a script can check.
set -eu
cd "$(dirname "$0")/../.."
failed=0
complain() {
    echo "$*"
    failed=1
}
sources=$(find src bench tests cuda tools -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | sort)

case $1 in
format)
    # Versions format differently; the one of Debian 12 is the reference.
    case $(clang-format --version 2>/dev/null) in
    *"version 14."*) ;;
    *)
        echo "skipped: clang-format 14 is not here"
        exit 77
        ;;
    esac
    for file in $sources; do
        clang-format --dry-run -Werror "$file" 2>/dev/null || complain "$file: run clang-format -i"
    done
    ;;
includes)
    # main -> app -> {run, predict} -> {comm, sched, ckpt} -> job -> net -> {cpu, model, media} -> base
    forbid() {
        grep -nE "#include \"($2)/" "src/$1"/*.[ch] "src/$1"/*/*.[ch] 2>/dev/null && complain "src/$1 may not include $2"
        return 0
    }
    forbid base "media|model|net|cpu|job|ckpt|comm|sched|run|predict|app"
    forbid media "model|net|cpu|job|ckpt|comm|sched|run|predict|app"
    forbid model "media|net|cpu|job|ckpt|comm|sched|run|predict|app"
    forbid cpu "media|job|ckpt|comm|sched|run|predict|app"
    forbid net "job|ckpt|comm|sched|run|predict|app"
    forbid job "ckpt|comm|sched|run|predict|app"
    forbid ckpt "comm|sched|run|predict|app"
    forbid comm "ckpt|sched|run|predict|app"
    forbid sched "ckpt|comm|run|predict|app"
    forbid run "predict|app"
    forbid predict "ckpt|comm|sched|run|app"
    grep -nE '#include "media/(decode|sink|encode|mux)' src/net/*.[ch] src/cpu/*.[ch] && complain "net and cpu know no decoder and no sink"
    only() {
        grep -lE "#include <($1)" $sources | grep -vE "^($2)" && complain "<$1> belongs into $2"
        return 0
    }
    only 'libav|libsw|zimg' 'src/media/|tests/media/'
    only 'png\.h|jpeglib|jerror|tiff|webp/|lcms2' 'src/media/picture_'
    only 'mpi\.h' 'src/comm/|src/run/|src/main\.c|tests/mpi/'
    only 'zip\.h' 'src/model/|tests/unit/'
    only 'jansson' 'src/model/|src/job/|src/predict/|src/ckpt/|tests/|bench/'
    only 'hdf5' 'src/ckpt/'
    only 'popt' 'src/cli\.c'
    only 'cuda|cublas' 'cuda/|tests/cuda/|bench/cuda_|tools/ptx-emu/'
    for header in $(git ls-files 'src/*.h' | grep -v '^src/media/'); do
        grep -nE '#include <(libav|zimg|mpi|zip|jansson|popt|xxhash|hdf5)' "$header" && complain "$header includes a library's header"
    done
    grep -nE '\b(_?exit|abort|MPI_Abort)\(' src/*/*.c | grep -v '^src/run/watchdog.c:' &&
        complain "only main.c and the watchdog end the program"
    ;;
sizes)
    for file in $sources; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 600 ] || complain "$file: $lines lines, more than 600"
        case $file in tests/*) continue ;; esac # a table of cases is as long as there are cases
        awk -v file="$file" '/^[a-zA-Z].*\)$/ { start = NR } /^}/ { if (start && NR - start > 80) {
            print file ":" start ": a function of " NR - start " lines, more than 80"; bad = 1 } start = 0 }
            END { exit bad }' "$file" || failed=1
    done
    ;;
paths)
    git grep -nIE '/(wor[k]|roo[t]|home/[a-z]+)/' -- . ':!tests/lint' 2>/dev/null && complain "paths of one machine"
    git grep -nIE '\b(TODO|FIXME|XXX)\b' -- src bench cuda jobs models tests ':!tests/lint' 2>/dev/null && complain "marks of unfinished work"
    ;;
shell)
    command -v shellcheck >/dev/null || {
        echo "skipped: shellcheck is not here"
        exit 77
    }
    shellcheck -S warning -s sh -x jobs/*.sh jobs/run-until-done jobs/*.sbatch models/*.sh tests/*.sh tests/*/*.sh || failed=1
    ;;
*)
    echo "lint.sh: '$1' is no rule" >&2
    exit 64
    ;;
esac
exit $failed
