#!/bin/sh
# A signal ends a job with exit 75, soon, and nothing is left behind.
. "$(dirname "$0")/lib.sh"
"$MAKE_MODEL" slow.safetensors rrdb 4 4 64 32 7
clip in.mp4 200

for name in INT TERM; do
    "$RESR" -i in.mp4 -o out.mp4 -m slow.safetensors --progress none 2>run.log &
    pid=$!
    sleep 2
    kill -0 $pid || fail "the job ended before it could be stopped: $(cat run.log)"
    kill -$name $pid
    code=0
    wait $pid || code=$?
    [ $code = 75 ] || fail "SIG$name: exit $code: $(cat run.log)"
    grep -q 'stopped by signal' run.log || fail "SIG$name: $(cat run.log)"
    [ -z "$(find . -name '*out*')" ] || fail "SIG$name left $(find . -name '*out*')"
    echo "ok SIG$name"
done
