#!/bin/sh
# Bad input of every kind: its exit code, a message with the words that help, no output left behind.
. "$(dirname "$0")/lib.sh"
tiny_model
clip good.mp4 9
clip long.mkv 60 -c:v libx264
: >empty.mp4
echo "this is a shopping list, not a video" >text.mp4
head -c 900 good.mp4 >truncated.mp4
head -c $(($(wc -c <long.mkv) / 2)) long.mkv >half.mkv
head -c 2000 tiny.safetensors >cut.safetensors
"$MAKE_MODEL" wrong.safetensors srvgg 2 2 8 0 7
sed 's/body\.0\.weight/soul.0.weight/' wrong.safetensors >renamed.safetensors
mkdir closed && chmod 555 closed
ffmpeg -v error -f lavfi -i sine=duration=1 sound.wav
cp good.mp4 exists.mp4
mkdir models-empty

failures=0
# refuse CODE 'WORDS' OPTION...: without mpirun and with two ranks.
refuse() {
    code=$1
    words=$2
    shift 2
    for ranks in 0 2; do
        got=0
        if [ $ranks = 0 ]; then
            timeout 60 "$RESR" --progress none "$@" >run.out 2>run.log || got=$?
        else
            timeout 60 mpirun -n 2 "$RESR" --threads 1 --progress none "$@" >run.out 2>run.log || got=$?
        fi
        if [ $got != "$code" ] || ! grep -q -- "$words" run.log; then
            echo "FAILED ($ranks ranks): $*: exit $got, expected $code with '$words':"
            cat run.log
            failures=$((failures + 1))
        fi
        [ ! -s run.out ] || { echo "FAILED: $*: wrote to stdout"; failures=$((failures + 1)); }
    done
    leftovers=$(find . -name '*.tmp*')
    rm -rf out.mp4.resr # of frames that were made before an input broke off
    if [ -e out.mp4 ] || [ -n "$leftovers" ]; then
        echo "FAILED: $*: left behind: out.mp4 or $leftovers"
        rm -f out.mp4
        failures=$((failures + 1))
    fi
}

m="-m tiny.safetensors"
refuse 64 "no input" -o out.mp4 $m
refuse 64 "no output" -i good.mp4 $m
refuse 64 "--frobnicate" --frobnicate -i good.mp4 -o out.mp4
refuse 64 "-s: 'nine'" -i good.mp4 -o out.mp4 -s nine
refuse 64 "--codec\|no_such_codec" -i good.mp4 -o out.mp4 $m --codec no_such_codec
refuse 64 "--pix-fmt\|no_such_fmt" -i good.mp4 -o out.mp4 $m --pix-fmt no_such_fmt
refuse 64 "same file" -i good.mp4 -o ./good.mp4 $m --overwrite
refuse 64 "out.unknown" -i good.mp4 -o out.unknown $m
refuse 64 "--tile-pad" -i good.mp4 -o out.mp4 $m --tile-pad 7
refuse 64 "-t" -i good.mp4 -o out.mp4 $m -t 33
refuse 64 "--denoise" -i good.mp4 -o out.mp4 $m --denoise 0.3
refuse 69 "not a device of FFmpeg" -i good.mp4 -o out.mp4 $m --hwaccel frobnicator
refuse 69 "FFmpeg cannot decode this codec with it.*--hwaccel none" -i good.mp4 -o out.mp4 $m --hwaccel opencl
refuse 65 "empty.mp4" -i empty.mp4 -o out.mp4 $m
refuse 65 "text.mp4" -i text.mp4 -o out.mp4 $m
refuse 65 "truncated.mp4" -i truncated.mp4 -o out.mp4 $m
refuse 65 "ended at frame" -i half.mkv -o out.mp4 $m
refuse 65 "sound.wav" -i sound.wav -o out.mp4 $m
refuse 65 "cut.safetensors" -i good.mp4 -o out.mp4 -m cut.safetensors
refuse 65 "soul.0.weight\|body.0.weight" -i good.mp4 -o out.mp4 -m renamed.safetensors
refuse 65 "text.mp4" -i good.mp4 -o out.mp4 -m text.mp4
refuse 66 "missing.mp4" -i missing.mp4 -o out.mp4 $m
refuse 66 "models/fetch.sh RealESRGAN_x2plus" -i good.mp4 -o out.mp4 -s 2 -m models-empty
refuse 66 "no_such.pth" -i good.mp4 -o out.mp4 -m no_such.pth
refuse 69 "avx512" -i good.mp4 -o out.mp4 $m --backend avx512 --cpumask c
refuse 73 "exists.mp4" -i good.mp4 -o exists.mp4 $m
refuse 73 "cannot be created" -i good.mp4 -o /proc/out.mp4 $m
refuse 73 "nowhere" -i good.mp4 -o nowhere/out.mp4 $m
cmp -s good.mp4 exists.mp4 || { echo "FAILED: an existing output was touched"; failures=$((failures + 1)); }
if [ "$(id -u)" != 0 ]; then
    refuse 77 "closed" -i good.mp4 -o closed/out.mp4 $m
fi
chmod 755 closed
[ $failures = 0 ] || fail "$failures refusals"

# Requested texts go to stdout, and only there.
for request in --help --version --list-models --list-devices; do
    "$RESR" $request >run.out 2>run.log || fail "$request"
    [ -s run.out ] && [ ! -s run.log ] || fail "$request: nothing on stdout, or words on stderr"
done
[ "$("$RESR" --help | wc -l)" -le 60 ] || fail "--help is longer than a screen"
"$RESR" --dry-run -i good.mp4 -o out.mp4 $m >run.out || fail "--dry-run"
grep -q '^TFLOP' run.out && grep -q '^estimated time' run.out || fail "--dry-run: $(cat run.out)"
[ ! -e out.mp4 ] || fail "--dry-run wrote something"
echo "ok"
