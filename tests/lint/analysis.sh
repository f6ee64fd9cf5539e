#!/bin/sh
# analysis.sh cppcheck|clang_tidy BUILD: static analysis of src by the compile commands in BUILD. No finding is left;
# one that is wrong has its reason in cppcheck.supp, or in a NOLINT comment at its line.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tool=$(echo "$1" | tr _ -)
command -v "$tool" >/dev/null || {
    echo "skipped: $tool is not installed"
    exit 77
}
cd "$2"
case $1 in
cppcheck)
    cppcheck --project=compile_commands.json --file-filter='*/src/*' --enable=warning,performance,portability \
        --suppressions-list="$here/cppcheck.supp" --error-exitcode=1 --quiet -j 2
    ;;
clang_tidy)
    case $(clang-tidy --version) in
    *"version 14."*) ;;
    *)
        echo "skipped: clang-tidy is not version 14, and versions check differently"
        exit 77
        ;;
    esac
    find "$here/../../src" -name '*.c' | sort | xargs -P 2 -n 4 clang-tidy -p . --quiet
    ;;
esac
