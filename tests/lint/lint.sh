#!/bin/sh
# lint.sh format|sizes|paths|shell|skips [ROOT]: rules of CONTRIBUTING.md that a script can check.
set -eu
cd "${2:-$(dirname "$0")/../..}"
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
sizes)
    for file in $sources; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 600 ] || complain "$file: $lines lines, more than 600"
        case $file in tests/*) continue ;; esac # a table of cases is as long as there are cases
        # clang-format puts only a function's brace alone into column 0. Its signature may have several lines.
        awk -v file="$file" '
            /^$|^[}#]|;$|\*\/$/ { first = NR + 1 }
            /^{/ { start = first }
            /^}/ && start {
                if (NR - start + 1 > 80) {
                    print file ":" start ": a function of " NR - start + 1 " lines, more than 80"
                    bad = 1
                }
                start = 0
                first = NR + 1
            }
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
skips)
    # Inside a test nothing is skipped: a skip is exit code 77 of a test of its own, after a line "skipped: REASON".
    # The first pattern finds a case left out, the second a reason without the exit code in the next three lines.
    grep -nE '\|\| *continue( *[#;}]|$)' tests/*/*.sh &&
        complain "a case is left out silently; exit 77 in a test of its own"
    awk '/skipped:/ { file = FILENAME; line = FNR; reason = $0 }
        file == FILENAME && /77|SKIPPED|skip\(/ { file = "" }
        file && (file != FILENAME || FNR > line + 3) { print file ":" line ": " reason; bad = 1; file = "" }
        END { exit bad }' tests/*/*.sh tests/*/*.py || complain "a skip is an exit with 77"
    ;;
*)
    echo "lint.sh: '$1' is no rule" >&2
    exit 64
    ;;
esac
exit $failed
