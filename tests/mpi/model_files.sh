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
refuse 66 "missing.pth" --convert missing.pth new.safetensors
refuse 65 "cut.pth" --convert weights/cut.pth new.safetensors
[ ! -e new.safetensors ] && [ ! -e new.pth ] || fail "a refused conversion left a file"
echo "ok"
