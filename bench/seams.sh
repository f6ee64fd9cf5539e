#!/bin/sh
# bench/seams.sh [BUILD]: the table of --tile-pad in bench/README.md, one JSON row a line on stdout. Needs
# the weights and clips of models/fetch.sh and jobs/fetch-clips.sh. About five minutes on two cores.
set -eu
cd "$(dirname "$0")/.."
seams=${1:-build}/bench/bench_seams
phone=models/clips/carphone_pristine.mp4
"$seams" $phone 40 64 models/weights/realesr-animevideov3-x4.param
"$seams" $phone 40 64 srvgg:4:32:7
"$seams" $phone 40 64 rrdb:2:23:7
"$seams" $phone 40 128 models/weights/realesrgan-x4plus.param
"$seams" $phone 40 64 models/weights/realesrgan-x4plus.param
