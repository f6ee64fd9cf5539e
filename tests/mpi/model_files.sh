#!/bin/sh
# --list-models DIR: a line for each file of a folder. --convert: the same network from the converted file.
. "$(dirname "$0")/lib.sh"
mkdir weights weights/folder.pth
"$MAKE_MODEL" weights/a.safetensors rrdb 2 1 8 4 3
"$MAKE_MODEL" weights/b.safetensors span 4 6 48 0 3 normalise=1
"$MAKE_MODEL" weights/c.safetensors srvgg 1 3 24 0 3 channels=1
head -c 2000 weights/a.safetensors >weights/cut.pth
sed 's/conv_first/norm_start/' weights/a.safetensors >weights/d.ckpt
touch weights/notes.txt weights/.hidden.pth weights/n.param weights/n.bin

# lists NAME WORDS: the line of a file.
lists() {
    grep -q "^$1 .*$2" list || fail "the line of $1 lacks '$2': $(cat list)"
}

"$RESR" --list-models weights >list 2>run.log || fail "--list-models weights: $(cat run.log)"
[ ! -s run.log ] || fail "words on stderr: $(cat run.log)"
lists a.safetensors '2x, RRDBNet, 1 blocks, 8 features, growth 4, unshuffle 2, 3 channels, 0.0'
lists b.safetensors '4x, SPAN, 6 blocks, 48 features, 3 channels, 0.85 MFLOP/pixel'
lists c.safetensors '1x, SRVGGNetCompact, 3 convolutions, 24 features, 1 channel, '
lists n.param 'does not run: 0 bytes'
lists cut.pth 'does not run: '
lists d.ckpt 'does not run: the architecture GRL '
[ "$(wc -l <list)" = 6 ] || fail "not a line for each weight file: $(cat list)"
"$RESR" --list-models=weights | cmp - list || fail "--list-models=DIR differs from --list-models DIR"
"$RESR" --list-models nowhere >run.out 2>run.log && fail "a folder that does not exist is listed"
grep -q nowhere run.log || fail "$(cat run.log)"

for name in a b c; do
    "$RESR" --convert weights/$name.safetensors $name.safetensors >run.out || fail "--convert $name"
    "$RESR" --convert $name.safetensors -o twice.safetensors --overwrite >run.out || fail "--convert of the result"
    hash=$(sha256sum <weights/$name.safetensors)
    grep -qa "\"source_sha256\":\"${hash%% *}\"" $name.safetensors || fail "$name: the source's hash is missing"
    bytes=$(($(wc -c <weights/$name.safetensors) / 2)) # the values of the last layers
    tail -c $bytes weights/$name.safetensors >expected
    tail -c $bytes $name.safetensors | cmp - expected || fail "$name: other weights"
    tail -c $bytes twice.safetensors | cmp - expected || fail "$name: other weights after two conversions"
done

# refuse CODE WORDS OPTION...
refuse() {
    code=$1
    words=$2
    shift 2
    got=0
    "$RESR" "$@" >run.out 2>run.log || got=$?
    [ $got = "$code" ] || fail "$*: exit code $got, not $code: $(cat run.log)"
    grep -q -e "$words" run.log || fail "$*: '$words' is missing in $(cat run.log)"
}

cp a.safetensors before
refuse 73 "exists already" --convert b.safetensors a.safetensors
cmp -s before a.safetensors || fail "an existing file was touched"
refuse 64 "takes two names" --convert a.safetensors
refuse 64 "does not end in .safetensors" --convert a.safetensors new.pth
refuse 64 "same file" --convert a.safetensors a.safetensors --overwrite
refuse 66 "name the folder" --list-models a.safetensors
refuse 66 "missing.pth" --convert missing.pth new.safetensors
refuse 65 "cut.pth" --convert weights/cut.pth new.safetensors
[ ! -e new.safetensors ] && [ ! -e new.pth ] || fail "a refused conversion left a file"
# A gray network: a gray picture and a warning. One with alpha: its own alpha, opaque where the picture has none.
"$MAKE_MODEL" gray.safetensors srvgg 2 1 8 0 7 channels=1
clip colours.mp4 2
"$RESR" -i colours.mp4 -o gray.mp4 -m gray.safetensors --progress none 2>run.log || fail "gray: $(cat run.log)"
grep -q "the network gray.safetensors is for gray pictures; the output has no colours" run.log || fail "$(cat run.log)"
most=$(ffprobe -v error -f lavfi -i movie=gray.mp4,signalstats -show_entries frame_tags=lavfi.signalstats.SATMAX -of csv=p=0 |
    sort -n | tail -1)
awk -v most="$most" 'BEGIN { exit !(most < 2) }' || fail "a gray network gave colours: saturation $most"
"$MAKE_MODEL" alpha.safetensors rrdb 2 1 8 4 7 channels=4
ffmpeg -v error -y -f lavfi -i "gradients=s=24x16:n=2,format=rgba,geq=r='X*10':g='Y*10':b=99:a='X*10'" -frames:v 1 alpha.png
ffmpeg -v error -y -i alpha.png -pix_fmt rgb24 opaque.png
for name in alpha opaque; do
    "$RESR" -i $name.png -o big-$name.png -m alpha.safetensors --precision exact --progress none || fail "$name"
    ffmpeg -v error -y -i big-$name.png -f rawvideo -pix_fmt rgb24 $name.raw
done
[ "$(ffprobe -v error -show_entries stream=width,height,pix_fmt -of csv=p=0 big-alpha.png)" = 48,32,rgba ] ||
    fail "the picture of a network with alpha"
cmp -s alpha.raw opaque.raw && fail "alpha is no input of a network with four channels"
echo "ok"
