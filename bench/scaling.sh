#!/bin/sh
# bench/scaling.sh [BUILD [ROUNDS [PART...]]]: scaling of the program. Parts:
# real: CPU ranks of one thread, 1 and 2, x4plus on a real clip, and the kernels alone on as many cores;
# simulated: 1 to 64 devices (--backend simulate) on one machine, with rank 0's cost for 64 of them;
# timeline: one job on eight devices, one of them slow, drawn from its --trace.
# Strong scaling: the same frames on more ranks; weak scaling: as many frames for each rank. Each part prints VALID or
# INVALID first: the same frames everywhere (--framehash), all of them counted, and (real) other programs took at most 5 % of
# the machine; runs with more disturbance are repeated. Medians of ROUNDS. JSON and plots
# go into bench/results.
# Needs the clips and weights; 5 minutes for each of the first two parts on two cores.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
rounds=${2:-5}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
venv=.venv-peers
[ -x $venv/bin/python ] || python3 -m venv $venv
$venv/bin/python -c "import matplotlib" 2>/dev/null || $venv/bin/pip install -q -r bench/requirements.txt
results=bench/results
day=$(date +%F)
status=0
[ $# -gt 0 ] || set -- real simulated timeline
for part in "$@"; do
    $venv/bin/python bench/scaling.py "$part" --build "$build" --rounds "$rounds" --json "$results/scaling-$part-$day.json" \
        --plot "$results/timeline-$day" || status=1
done
simulated=$results/scaling-simulated-$day.json
real=$results/scaling-real-$day.json
if [ -f "$simulated" ]; then
    [ -f "$real" ] || real=
    $venv/bin/python bench/plots.py scaling "$simulated" ${real:+"$real"} "$results/scaling-$day"
fi
exit $status
