#!/bin/sh
# same_result.sh exact|fp32|bf16-avx512|bf16-instruction|bf16-amx: within one numerics class the frames do not depend on
# ranks, schedule, batches, threads, memory or instruction set. A class for which the CPU lacks the instructions is
# skipped, by the kernel's list of them; the program must then refuse it with 69.
# shellcheck disable=SC2086 # $class is words
. "$(dirname "$0")/lib.sh"
tiny_model
clip in.mp4 100

run() {
    name=$1
    ranks=$2
    shift 2
    upscale "$ranks" -i in.mp4 -o out.mp4 --overwrite -m tiny.safetensors --threads 1 \
        $class --framehash "$name.hash" "$@" || fail "$name"
    [ "$(wc -l <"$name.hash")" = 100 ] || fail "$name: $(wc -l <"$name.hash") frames"
    [ "$name" = "$first" ] || cmp -s "$first.hash" "$name.hash" || fail "$name: other frames than with $first"
    echo "ok $name"
}

# needs FLAG...: skips the test where /proc/cpuinfo does not list one of these.
needs() {
    for flag in "$@"; do
        grep -m 1 '^flags' /proc/cpuinfo | grep -qw "$flag" && continue
        code=0
        # shellcheck disable=SC2086
        "$RESR" --list-devices $class >run.log 2>&1 || code=$?
        [ $code = 69 ] || fail "without $flag: exit $code, expected 69: $(cat run.log)"
        echo "skipped: this CPU has no $flag"
        exit 77
    done
}

# class_runs [SET...]: the class on the fastest backend, then on each of these instruction sets.
class_runs() {
    run "$first" 1
    "$RESR" -i in.mp4 -o out.mp4 --overwrite -m tiny.safetensors --precision exact --framehash exact.hash --progress none
    cmp -s exact.hash "$first.hash" && fail "$first: the frames of class exact"
    run "$first-n2" 2 --batch 3
    run "$first-n3" 3 --threads 2
    run "$first-threads3" 1 --threads 3
    for set in "$@"; do
        run "$first-$set" 2 --cpumask "$set"
    done
}

first=$1
case $1 in
exact)
    class=--precision=exact
    run exact 1
    run n2 2
    run n3 3
    run n5 5
    run n12 12
    run dedicated 13 --root dedicated
    run static 5 --schedule static
    run static12 12 --schedule static --segment 0
    run batch1 3 --batch 1
    run batch5 3 --batch 5
    run segment7 2 --segment 7
    run threads2 1 --threads 2
    run threads3 2 --threads 3
    run memory 2 --memory 60K
    run scalar 2 --cpumask c
    run avx2 2 --cpumask avx2
    "$RESR" -i in.mp4 -o out.mp4 --overwrite -m tiny.safetensors $class --framehash alone.hash --progress none
    cmp -s exact.hash alone.hash || fail "without mpirun: other frames"
    echo "ok without mpirun"
    cut -d' ' -f3 exact.hash | sort | uniq | wc -l | grep -qx 100 || fail "frames repeat"
    ;;
fp32)
    class=--precision=fp32
    needs avx2 fma
    if grep -m 1 '^flags' /proc/cpuinfo | grep -qw avx512vl; then
        class_runs avx2 avx512
    else
        class_runs avx2
    fi
    ;;
bf16-avx512)
    class="--precision=bf16 --cpumask=avx512"
    needs avx512f avx512bw avx512dq avx512vl
    class_runs
    ;;
bf16-instruction)
    class=--backend=avx512_bf16
    needs avx512_bf16
    class_runs
    first=emulated
    class="--precision=bf16 --cpumask=avx512"
    run emulated 2
    "$RESR" --list-devices --backend=avx512_bf16 | grep -q "bf16-avx512 " || exit 0 # another class: other frames
    cmp -s bf16-instruction.hash emulated.hash || fail "the instruction makes other frames than its emulation"
    ;;
bf16-amx)
    class=--backend=amx_bf16
    needs amx_bf16
    class_runs
    ;;
*) fail "'$1' is not a class" ;;
esac
