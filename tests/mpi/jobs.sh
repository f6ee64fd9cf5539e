#!/bin/sh
# --jobs: many videos in one launch. The frames are those of separate launches, in any order of videos; a broken video is
# reported and does not stop the list; a launch that was killed or stopped is resumed.
. "$(dirname "$0")/lib.sh"
tiny_model
"$MAKE_MODEL" compact.safetensors srvgg 4 2 8 0 7
"$MAKE_MODEL" slow.safetensors rrdb 4 2 32 16 7

for i in 1 2 3 4 5 6 7 8 9; do
    clip in$i.mp4 8
done
clip in4.mp4 13
ffmpeg -v error -y -f lavfi -i testsrc2=size=50x38:rate=25,trim=end_frame=8 -pix_fmt yuv420p in5.mp4
ffmpeg -v error -y -f lavfi -i testsrc2=size=50x38:rate=25,trim=end_frame=1 -pix_fmt yuv444p in6.mp4
head -c 3000 in1.mp4 >broken.mp4

# run_list RANKS CODE OPTION...: runs the program, its messages in run.log; results in results.
run_list() {
    ranks=$1
    code=$2
    shift 2
    got=0
    timeout 240 mpirun -n "$ranks" "$RESR" --progress none "$@" >results 2>run.log || got=$?
    [ $got = "$code" ] || fail "exit $got, expected $code: $(cat results run.log)"
}

# result LINE FILTER VALUE: checks a value in the result of a line.
result() {
    value=$(jq -r "select(.line == $1) | $2" results)
    [ "$value" = "$3" ] || fail "line $1: $2 is '$value', expected '$3': $(cat results run.log)"
}

# Ten videos: sizes, networks and options differ, the fifth line's is broken.
options() {
    case $1 in
    3 | 6 | 7) echo "-m compact.safetensors" ;;
    4) echo "-m tiny.safetensors --segment 4 --encode ranks" ;;
    8) echo "-m tiny.safetensors --batch 3 --segment 4 --crf 30" ;;
    9) echo "-m tiny.safetensors --outscale 3 --checkpoint off" ;;
    *) echo "-m tiny.safetensors" ;;
    esac
}
for i in 1 2 3 4 5 6 7 8 9; do
    # shellcheck disable=SC2046 # words
    upscale 2 -i in$i.mp4 -o single$i.mp4 --precision fp32 --framehash single$i.hash $(options $i) || fail "launch $i"
done
echo "# ten videos, one of them broken" >list
for i in 1 2 3 4 broken 5 6 7 8 9; do
    [ $i = broken ] && echo "  -i broken.mp4 -o 'out broken.mp4'" >>list && continue
    echo "-i in$i.mp4 -o \"out $i.mp4\" --framehash out$i.hash --report out$i.json $(options $i)" >>list
done

# Start-up is paid once: the eight later videos together need less of it than the first one.
grep -v broken list >right
run_list 2 0 --jobs right --precision fp32
jq -s -e '[.[].seconds.start_up] | (.[1:] | add) < .[0]' out1.json out[2-9].json >/dev/null ||
    fail "start-up was paid again: $(jq -s -c '[.[].seconds.start_up]' out[1-9].json)"

for ranks in 3 1 2; do
    rm -f out* list.journal
    run_list $ranks 65 --jobs list --precision fp32
    [ "$(jq -s length results)" = 10 ] || fail "ten lines: $(cat results)"
    [ "$(jq -s 'map(select(.status == 0)) | length' results)" = 9 ] || fail "nine right: $(cat results)"
    result 6 .status 65
    result 6 .output "out broken.mp4"
    grep -q 'list:6: broken.mp4: ' run.log || fail "the broken one is not named: $(cat run.log)"
    for i in 1 2 3 4 5 6 7 8 9; do
        cmp -s single$i.hash out$i.hash || fail "$ranks ranks: video $i has other frames"
        cmp -s single$i.mp4 "out $i.mp4" || fail "$ranks ranks: video $i is another file"
        [ "$(jq .frames_out out$i.json)" = "$(count_frames in$i.mp4)" ] || fail "report $i: $(cat out$i.json)"
    done
    [ -z "$(find . -name '*.resr' -o -name '*.tmp*')" ] || fail "left behind: $(ls)"
    echo "ok ten videos, $ranks ranks"
done

# The same list again: finished outputs stay, failed videos are retried, a removed output is computed again.
touch -d 2020-01-01 out*.mp4
rm "out 3.mp4"
cp in1.mp4 broken.mp4
run_list 2 0 --jobs list -m tiny.safetensors
[ "$(find . -name 'out*.mp4' -newermt 2021-01-01 | sort | tr '\n' ' ')" = "./out 3.mp4 ./out broken.mp4 " ] ||
    fail "made again: $(ls -l out*.mp4)"
[ "$(jq -s 'map(select(.status == 0 and .frames > 0)) | length' results)" = 10 ] || fail "again: $(cat results)"

# A kill between the end of a video and its record in the journal.
sed -i '/"line":2,.*"done"/d' list.journal
printf '{"line":3,"text":"cut' >>list.journal
run_list 1 0 --jobs list
[ -z "$(find . -name "out 2.mp4" -newermt 2021-01-01)" ] || fail "an output of its own was made again"
# With --overwrite the output may be an older file: its existence proves nothing.
echo "-i in1.mp4 -o over.mp4 --overwrite -m tiny.safetensors" >over
run_list 1 0 --jobs over
sed -i '/"done"/d' over.journal
echo "an older file" >over.mp4
run_list 1 0 --jobs over
[ "$(count_frames over.mp4)" = 8 ] || fail "an older file counted as the output of --overwrite"
echo "ok the same list again"

# From standard input, as lines arrive; the second line needs the first one's output.
{
    echo '-i in1.mp4 -o a.mp4'
    echo '-i a.mp4 -o b.mp4 # no comment'
    sleep 1
    echo '-i a.mp4 -o b.mp4'
    echo '   '
    echo '-i in1.mp4 -o c.mp4 --threads 2'
    echo '-i in1.mp4 -o a.mp4'
    echo '-i in1.mp4 -o in1.mp4 --overwrite'
    echo '--help'
    echo '-i in2.mp4 -o d.mp4 --frames 3 --trace d.trace'
    printf %s '-i in3.mp4 -o e.mp4'
} >lines
mkfifo pipe
{
    head -n 2 lines
    sleep 1
    tail -n +3 lines
} >pipe &
run_list 3 64 --jobs - -m tiny.safetensors <pipe
[ "$(jq -r .status results | tr '\n' ' ')" = "0 64 0 64 73 64 64 0 0 " ] || fail "status: $(cat results run.log)"
result 9 .frames 3
grep -q -- '-:2: .*#' run.log || fail "a line that does not parse: $(cat run.log)"
grep -q -- '-:5: --backend' run.log || fail "an option of the launch: $(cat run.log)"
jq -e '.traceEvents | length > 10' d.trace >/dev/null || fail "no trace"
[ ! -e -.journal ] && [ "$(count_frames b.mp4)" = 8 ] || fail "standard input: $(ls)"
echo "ok standard input"

# A signal ends the wait for the next line.
: >results # of the run before: the next line truncates the file only when the pipe has a writer
"$RESR" --jobs - -m tiny.safetensors --progress none <pipe >results 2>run.log &
pid=$!
exec 3>pipe
echo '-i in1.mp4 -o f.mp4' >&3
wait_for $pid test -s results
result 1 .status 0
kill -TERM $pid
code=0
wait $pid || code=$?
exec 3>&-
[ $code = 75 ] || fail "waiting for a line: exit $code: $(cat run.log)"

# The next video is prepared and decoded while the one before is computed, unless it is the same.
printf '%s\n' "-i in1.mp4 -o g.mp4" "-i in2.mp4 -o h.mp4 --frames 1" \
    "-i in2.mp4 -o ./h.mp4 --overwrite --checkpoint off --frames 1" \
    "-i in2.mp4 -o h.mp4 --overwrite --checkpoint off --frames 2" >ahead
mpirun -n 2 "$RESR" --jobs ahead -m tiny.safetensors --backend simulate:6/8 --progress none >results 2>run.log &
pid=$!
wait_for $pid test -e h.mp4.resr/manifest.json
[ ! -e g.mp4 ] && [ ! -s results ] || fail "the second video waited for the first"
wait $pid || fail "prepared beside another: $(cat run.log)"
[ "$(count_frames h.mp4)" = 2 ] || fail "the last of three with the same name: $(cat results)"
echo "ok prepared beside another"

# A video that reads what the one before makes waits for the new file, also where an older one exists.
cp in2.mp4 i.mp4
printf '%s\n' "-i in1.mp4 -o i.mp4 --overwrite" "-i i.mp4 -o j.mp4" >chain
run_list 2 0 --jobs chain -m tiny.safetensors --backend simulate:2/8
[ "$(ffprobe -v error -show_entries stream=width -of csv=p=0 j.mp4)" = 256 ] || fail "the older input was read"
echo "ok an input that is replaced"

for bad in "-o x.mp4" "--report x.json" --dry-run; do
    # shellcheck disable=SC2086 # words
    run_list 1 64 --jobs list $bad
done
run_list 1 66 --jobs nowhere
: >empty
run_list 2 0 --jobs empty
echo "ok refusals"

# Killed, then stopped in the middle of the second video of three, then done by another number of ranks.
clip long.mp4 150
upscale 2 -i long.mp4 -o whole.mp4 -m slow.safetensors --segment 24 --precision exact --framehash whole.hash ||
    fail undisturbed
cat >three <<END
-i in1.mp4 -o first.mp4
-i long.mp4 -o second.mp4 --framehash second.hash
-i in2.mp4 -o third.mp4
END
three="--jobs three -m slow.safetensors --segment 24 --precision exact --progress none"

# begin FRAMES RANKS: starts the list and waits until this many frames of the second video are durable.
begin() {
    # shellcheck disable=SC2086
    mpirun -n "$2" "$RESR" $three >results 2>run.log &
    mpirun=$!
    wait_for $mpirun are_durable second.mp4 "$1"
}
begin 24 2
# shellcheck disable=SC2046
kill -9 $(awk '{ print $3 }' second.mp4.resr/pids) 2>/dev/null || true
wait $mpirun && fail "a killed launch ended well"
[ -e first.mp4 ] && [ ! -e second.mp4 ] && [ ! -e third.mp4 ] || fail "after a kill: $(ls)"
touch -d 2020-01-01 first.mp4
begin 72 3
kill -TERM "$(rank_pid second.mp4 0)"
code=0
wait $mpirun || code=$?
[ $code = 75 ] || fail "SIGTERM: exit $code: $(cat run.log)"
result 2 .status 75
[ "$(wc -l <results)" = 2 ] && [ ! -e third.mp4.resr ] || fail "SIGTERM: $(cat results; ls)"
# shellcheck disable=SC2086
run_list 1 0 $three
cmp -s whole.hash second.hash && cmp -s whole.mp4 second.mp4 || fail "other frames after a kill and a stop"
[ -e third.mp4 ] && [ -z "$(find . -name first.mp4 -newermt 2021-01-01)" ] || fail "in the end: $(ls -l)"
grep -q 'resuming the job' run.log || fail "all was done again"
echo "ok a kill, a stop"
