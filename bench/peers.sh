#!/bin/sh
# bench/peers.sh [BUILD]: this program against others, for docs/speed.md. Installs the peers
# into .venv-peers, and writes reports and charts into bench/results. Needs the weights and clips of
# models/fetch.sh and jobs/fetch-clips.sh and a quiet machine. About 15 minutes on two cores.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
venv=.venv-peers
[ -x $venv/bin/python ] || python3 -m venv $venv
$venv/bin/pip install -q -r bench/peers/requirements.txt
day=$(date +%F)
run() {
    name=peers-$1-$2$3-$day
    shift 3
    $venv/bin/python bench/peers/peers.py --build "$build" "$@" --json "bench/results/$name.json" \
        --chart "bench/results/$name.png"
}
run x4plus 256 "" --network x4plus --width 256 --height 256
run x4plus 128 "" --network x4plus --width 128 --height 128
run x4plus 128 -avx2 --network x4plus --width 128 --height 128 --avx2
run animevideov3 512 "" --network animevideov3 --width 512 --height 512
run general-x4v3 512 "" --network general-x4v3 --width 512 --height 512
run span-48 512 "" --network span-48 --width 512 --height 512
run span-64 512 "" --network span-64 --width 512 --height 512
$venv/bin/python bench/peers/peers.py --build "$build" --precision-table --json "bench/results/peers-precision-$day.json"
