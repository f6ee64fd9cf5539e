#!/bin/sh
# The frames do not depend on how they were computed: ranks, schedule, batches, threads, memory,
# instruction set.
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

# class_runs NAME OPTIONS [SET...]: a class by the options that ask for it, on whatever is fastest, then
# held to each of the instruction sets that this machine has.
class_runs() {
    first=$1
    class=$2
    shift 2
    if ! "$RESR" --list-devices $class >/dev/null 2>&1; then
        echo "skipped: $first cannot run here"
        return
    fi
    run "$first" 1
    cmp -s n1.hash "$first.hash" && fail "$first: the frames of class exact"
    run "$first-n2" 2 --batch 3
    run "$first-n3" 3 --threads 2
    run "$first-threads3" 1 --threads 3
    for set in "$@"; do
        ! "$RESR" --list-devices $class --cpumask "$set" >/dev/null 2>&1 ||
            run "$first-$set" 2 --cpumask "$set"
    done
}

class=--precision=exact
first=n1
run n1 1
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
cmp -s n1.hash alone.hash || fail "without mpirun: other frames"
echo "ok without mpirun"
cut -d' ' -f3 n1.hash | sort | uniq | wc -l | grep -qx 100 || fail "frames repeat"
class_runs fp32 --precision=fp32 avx2 avx512
class_runs bf16-avx512 "--precision=bf16 --cpumask=avx512"
class=--backend=avx512_bf16
! "$RESR" --list-devices $class >/dev/null 2>&1 || run bf16-avx512-instruction 2
class_runs bf16-amx --backend=amx_bf16
