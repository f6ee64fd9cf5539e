#!/bin/sh
# bench/pipeline.sh [BUILD [ROUNDS [PROGRAM,...]]]: whole programs on the same real clip of 176 x 144 by x4plus, in
# turns: framelift-video with its OpenVINO and PyTorch backends, and realesrgan-mpi in bf16 and fp32. Frames
# per second of the whole run, start-up included, medians of ROUNDS. Prints VALID or INVALID first: VALID if
# all frames exist, this program's are the same in every run, every program's video has at least 30 dB against
# this program's in fp32, and other programs took at most 5 % of the machine. JSON and a chart go into bench/results.
# Installs the peers into .venv-peers, needs the weights and clips; 10 minutes on two cores.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
rounds=${2:-5}
programs=${3:-framelift-openvino,framelift-torch,ours-bf16,ours-fp32}
venv=.venv-peers
[ -x $venv/bin/python ] || python3 -m venv $venv
[ -x $venv/bin/framelift ] || $venv/bin/pip install -q -r bench/peers/requirements.txt
name=bench/results/pipeline-$(date +%F)
$venv/bin/python bench/pipeline.py --build "$build" --rounds "$rounds" --programs "$programs" --json "$name.json" --plot "$name"
