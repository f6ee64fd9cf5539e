#!/bin/sh
# run-until-done against a program that keeps the contract and ends as it is told. $SHELL_UNDER_TEST: sh or bash.
set -eu
tree=$(cd "$(dirname "$0")/../.." && pwd)
loop=$(cd "$(dirname "$0")/../../jobs" && pwd)/run-until-done
program=$(cd "$(dirname "$0")" && pwd)/program.sh
shell=${SHELL_UNDER_TEST:-sh}
work=$(mktemp -d "${TMPDIR:-/tmp}/resr-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"
export PLAN="$work/plan"
unset SLURM_JOB_NODELIST SLURM_TASKS_PER_NODE OMPI_MCA_odls_base_sigkill_timeout

fail() {
    echo "FAILED: $*" >&2
    [ ! -f run.log ] || cat run.log >&2
    exit 1
}

# plan LINE...: a line for each start of the program; removes all files of the case before.
plan() {
    rm -rf ./*
    printf '%s\n' "$@" >plan
}

# await FILE: polls until the file exists.
await() {
    tries=0
    while [ ! -e "$1" ]; do
        tries=$((tries + 1))
        [ $tries -le 200 ] || fail "$1 was not written"
        sleep 0.05
    done
}

# loop_ends CODE STARTS [OPTION...]: the loop's exit code and how often the program was started.
loop_ends() {
    code=$1
    starts=$2
    shift 2
    got=0
    "$shell" "$loop" --wait 0 "$@" -- sh "$program" -i in -o out 2>run.log || got=$?
    [ $got = "$code" ] || fail "exit $got, expected $code: $(cat plan)"
    [ "$(cat starts)" = "$starts" ] || fail "$(cat starts) starts, expected $starts: $(cat plan)"
}

# The states of this script's program are those of the real one.
for state in $(sed -n 's/^ *\(write\|trap .write\) "*\([a-z]*\)"* .*/\2/p' "$program" | sort -u); do
    grep -qE "\* *state;.*\b$state\b" "$tree/src/ckpt/status.h" || fail "src/ckpt/status.h has no state $state"
done

plan "frames 100 finish"
loop_ends 0 1
[ -e out ] && [ ! -e out.resr ] || fail "finish"

# After a death of any kind the loop starts the program again; a new frame resets the count of attempts without one.
plan "mute 137" "frames 5 die 137" "die 1" "die 139" "frames 6 die 134" "mute 1" "die 143" "frames 9 finish"
loop_ends 0 8
grep -q "ended with 139 at frame 5 of 100" run.log || fail "no word on progress"

# Ranks that finished the job after their mpirun was killed; an output that existed before the loop is not theirs.
plan "frames 5 die 137" "orphan 137" "mute 73"
loop_ends 0 3
[ -e out ] || fail "an orphan's output"
plan "frames 5 die 137" "mute 73"
loop_ends 73 2
plan "frames 5 die 137" "orphan 137" "mute 73"
touch out
loop_ends 73 3

plan "frames 5 die 137" "die 137" "die 1" "mute 9" "frames 9 finish"
loop_ends 70 4
grep -q "no new frame in 3 attempts" run.log || fail "no reason given"
plan "mute 1" "mute 1" "mute 1" "finish"
loop_ends 70 3

plan "frames 1 die 1" "frames 2 die 1" "frames 3 die 1" "frames 4 finish"
loop_ends 75 3 --attempts 3
loop_ends 0 4 # and again, from where it was
[ ! -e out.resr ] || fail "the job folder stayed"

# Waiting doubles: 1 and 2 s, not more than --wait.
plan "die 1" "die 1" "finish"
began=$(date +%s)
loop_ends 0 3 --wait 2
took=$(($(date +%s) - began))
[ $took -ge 3 ] && [ $took -le 25 ] || fail "waited $took s, expected 3 and the programs' own time"

# Refusals are final, by exit code or by status.json; another exit code of this attempt's status is not.
for code in 64 65 66 69 70 73 74 77 78; do
    plan "frames 3 fail $code" "finish"
    loop_ends $code 1
    plan "frames 3 mpirun 1 fail $code" "finish"
    loop_ends $code 1
    plan "mute $code" "finish"
    loop_ends $code 1
done
grep -q "exit 78 is final" run.log || fail "no word on the refusal"
plan "fail 74" "mute 137" "finish"
loop_ends 74 1
grep -qF 'the "state": is failed, C:\74' run.log || fail "the program's message is not shown"
loop_ends 0 3 # after space was made; the second start leaves the first one's status behind

# A hung rank: the output is whole, mpirun's exit code means nothing, the directory goes.
plan "frames 100 strike n1 abort 65"
loop_ends 0 1
[ -e out ] && [ ! -e out.resr ] || fail "abort"
# done without an output is no end
plan "frames 5 abort 1" "frames 9 finish"
sed -i 's/^/frames 4 /' plan
mkdir other
got=0
(cd other && cp ../plan . && PLAN=$work/other/plan "$shell" "$loop" --wait 0 -- \
    sh -c 'sh "$0" "$@"; code=$?; [ $code = 0 ] || rm -f out; exit $code' "$program" -i in -o out 2>run.log) || got=$?
[ $got = 0 ] && [ -e other/out ] || fail "state done without an output was believed (exit $got)"
[ "$(cat other/starts)" = 2 ] || fail "state done without an output: $(cat other/starts) starts"

# Where the job folder is.
for words in "-o far/out" "--output far/out" "--output=far/out" "-ofar/out" "-o=far/out" "-o far/out --job-dir far/jd" \
    "-ofar/out --job-dir=far/jd" "-o far/out -i -other" "-o far/out -m -other --report -o.json" "-oelse -ofar/out"; do
    plan "frames 2 die 1" "frames 100 abort 9"
    mkdir far
    # shellcheck disable=SC2086 # words
    "$shell" "$loop" --wait 0 -- sh "$program" -i in $words 2>run.log || fail "$words"
    [ "$(ls far)" = out ] || fail "$words: left $(ls far)"
done

# Signals are passed on and end the loop. env: a shell in the background ignores INT, and so would all below it.
for name in USR1 TERM INT HUP; do
    plan "frames 7 wait" "finish"
    env --default-signal=INT "$shell" "$loop" --wait 0 -- sh "$program" -i in -o out 2>run.log &
    pid=$!
    await waiting
    kill -$name $pid
    code=0
    wait $pid || code=$?
    [ $code = 75 ] || fail "SIG$name: exit $code"
    grep -q '"resumable"' out.resr/status.json || fail "SIG$name did not reach the program"
    [ "$(cat starts)" = 1 ] || fail "SIG$name: started again"
done

# Of two signals the program receives the first as USR1 and the second as TERM. This program ends at TERM only.
plan "nothing"
cat >stubborn.sh <<'END'
trap 'echo USR1 >>seen' USR1
trap 'echo TERM >>seen; exit 143' TERM
touch waiting
while :; do sleep 0.05; done
END
"$shell" "$loop" -- sh stubborn.sh -o out 2>run.log &
pid=$!
await waiting
kill -TERM $pid
await seen
kill -USR1 $pid
code=0
wait $pid || code=$?
[ $code = 75 ] || fail "two signals: exit $code"
[ "$(paste -s -d ' ' seen)" = "USR1 TERM" ] || fail "two signals: the program got $(paste -s -d ' ' seen)"

# A signal while it waits for the next attempt ends it at once.
plan "die 1" "die 1" "die 1"
"$shell" "$loop" --wait 60 -- sh -c 'sh "$0" "$@"; code=$?; touch ended; exit $code' "$program" -o out 2>run.log &
pid=$!
while [ "$(cat starts 2>/dev/null)" != 2 ]; do sleep 0.05; done # 2 s to the third
until [ "$(grep -c ' ended with ' run.log)" = 2 ]; do sleep 0.05; done # the line before the wait
kill -USR1 $pid
code=0
wait $pid || code=$?
[ $code = 75 ] && [ "$(cat starts)" = 2 ] || fail "a signal between attempts: exit $code, $(cat starts) starts"

# Ctrl-C on a terminal reaches the program once, through the loop.
if command -v script >/dev/null && command -v setsid >/dev/null; then
    plan "nothing"
    cat >once.sh <<'END'
for name in USR1 INT TERM; do
    trap "echo $name >>seen" $name
done
touch waiting
while [ ! -e seen ]; do sleep 0.05; done
sleep 0.5
exit 75
END
    { await waiting; printf '\003'; await seen; } |
        script -qec "exec $shell $loop -- sh once.sh -o out" /dev/null >run.log 2>&1 || code=$?
    [ $code = 75 ] || fail "Ctrl-C: exit $code"
    [ "$(paste -s -d ' ' seen)" = USR1 ] || fail "Ctrl-C: the program got $(paste -s -d ' ' seen)"
fi

# An mpirun without ranks that does not end is killed; the state in status.json counts.
if ps -o stat= --ppid $$ >/dev/null 2>&1; then
    plan "frames 5 die 1" "frames 100 finish" "mute 73"
    cat >mpirun <<'END'
#!/bin/sh
[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit; }
shift 2
sleep 2
sh "$@" || exit
while :; do read -r _ <>fifo; done
END
    chmod +x mpirun && mkfifo fifo
    code=0
    RUN_UNTIL_DONE_ALONE=2 "$shell" "$loop" --wait 0 -- ./mpirun -n 2 "$program" -i in -o out 2>run.log || code=$?
    [ $code = 0 ] && [ "$(cat starts)" = 3 ] || fail "an mpirun that hangs: exit $code, $(cat starts) starts"
    grep -q "does not end: it is killed" run.log || fail "an mpirun that hangs: not said"
fi

# A list: its journal shows the progress, not the exit codes; it has no status.json and no output of its own.
list_ends() {
    code=0
    "$shell" "$loop" --wait 0 -- sh "$work/steps.sh" --jobs list 2>run.log || code=$?
    [ $code = "$1" ] && [ "$(cat starts)" = "$2" ] || fail "list: exit $code, $(cat starts) starts"
}
plan "1 137" "1 75" "2 1" "2 137" "3 137" "3 0"
cat >steps.sh <<'END'
n=$(($(cat starts 2>/dev/null || echo 0) + 1))
echo $n >starts
step=$(sed -n "${n}p" plan)
[ -z "${step% *}" ] || echo "{\"line\":${step% *},\"state\":\"begun\"}" >>list.journal
exit "${step#* }"
END
echo '{"line":1,"state":"begun"}' >list.journal
list_ends 0 6
grep -q 'attempt 5 ended with 137 at line 3 of list' run.log || fail "list: no word on progress"
rm starts list.journal
printf '%s\n' "1 137" "2 137" " 137" " 9" " 1" "3 0" >plan
list_ends 70 5
rm starts
printf '%s\n' "1 137" "2 65" "3 0" >plan
list_ends 65 2

# Wrong use.
for words in "" "--attempts" "--attempts x -- a -o b" "--attempts 0 -- a -o b" "--wait -1 -- a -o b" "--" \
    "-- mpirun -n 2 a -i b" "-- a --jobs -" "-- a --jobs=-" "realesrgan-mpi -i a -o b"; do
    code=0
    # shellcheck disable=SC2086 # words
    "$shell" "$loop" $words 2>run.log || code=$?
    [ $code = 64 ] && grep -q usage run.log || fail "'$words': exit $code"
done
code=0
"$shell" "$loop" -- ./no-such-program -o out 2>run.log || code=$?
[ $code = 127 ] || fail "a command that is not there: exit $code"
for command in "$work" ./plan; do # a folder, a file that cannot be executed
    code=0
    "$shell" "$loop" --wait 0 -- "$command" -o out 2>run.log || code=$?
    [ $code = 126 ] && grep -q "final" run.log || fail "$command as command: exit $code"
done
code=0
"$shell" "$loop" -- mpirun -oversubscribe -output-filename logs -n 2 realesrgan-mpi 2>run.log || code=$?
[ $code = 64 ] || fail "words of mpirun's that begin with -o: exit $code"
code=0
RUN_UNTIL_DONE_ALONE=soon "$shell" "$loop" -- true -o out 2>run.log || code=$?
[ $code = 64 ] && grep -q RUN_UNTIL_DONE_ALONE run.log || fail "RUN_UNTIL_DONE_ALONE=soon: exit $code"

# A list that a shell's loop reads is not the command's, which may read all of its standard input.
plan "finish" "finish" "finish"
cat >greedy.sh <<'END'
cat >/dev/null
sh "$@"
END
printf '%s\n' one two three | while read -r name; do
    "$shell" "$loop" --wait 0 -- sh greedy.sh "$program" -o "$name" 2>run.log || fail "$name: exit $?"
done
[ -e one ] && [ -e two ] && [ -e three ] || fail "the list of a loop was read by the command"
echo "ok"
