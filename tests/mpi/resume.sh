#!/bin/sh
# The same command resumes a job that was killed: on other numbers of ranks, with other batches and little memory, with
# the frames, the file and the --framehash of an undisturbed run. Options that would change pixels are refused with 78.
. "$(dirname "$0")/lib.sh"
"$MAKE_MODEL" net.safetensors rrdb 4 2 32 16 7
"$MAKE_MODEL" other.safetensors rrdb 4 2 32 16 8
clip in.mp4 200 -c:v libx264 -g 24 -bf 3 -x264-params b-adapt=0
job="-i in.mp4 -o out.mp4 -m net.safetensors --threads 1 --precision exact --segment 24"

# shellcheck disable=SC2086 # words
upscale 2 $job -o whole.mp4 --framehash whole.hash || fail "undisturbed"

# interrupt RANKS FRAMES OPTION...: starts the job and kills all its ranks as soon as this many frames are durable.
interrupt() {
    ranks=$1
    frames=$2
    shift 2
    # shellcheck disable=SC2086
    mpirun -n "$ranks" "$RESR" $job --progress none "$@" >run.out 2>run.log &
    mpirun=$!
    wait_for $mpirun are_durable out.mp4 "$frames"
    pids=$(awk '{ print $3 }' out.mp4.resr/pids)
    # shellcheck disable=SC2086
    kill -9 $pids 2>/dev/null || true
    wait $mpirun && fail "the job ended before it was killed"
    [ -e out.mp4.resr/manifest.json ] || fail "no job folder after a kill"
    [ ! -e out.mp4 ] || fail "an output after a kill"
}

# finish NAME RANKS OPTION...
finish() {
    name=$1
    ranks=$2
    shift 2
    # shellcheck disable=SC2086
    upscale "$ranks" $job --framehash out.hash --report report.json "$@" || fail "$name: $(cat run.log)"
    cmp -s whole.hash out.hash || fail "$name: other frames"
    cmp -s whole.mp4 out.mp4 || fail "$name: another file"
    [ "$(jq '.frames_in == 200 and .frames_out == 200' report.json)" = true ] || fail "$name: $(cat report.json)"
    [ ! -e out.mp4.resr ] && [ -z "$(find . -name '*.tmp*')" ] || fail "$name: left behind: $(ls -d out.mp4.resr ./*.tmp*)"
    rm out.mp4
    echo "ok $name"
}

# resume.sh kept_frames: every batch on disk, kept, and readable as plain HDF5. A test of its own, since it needs h5py.
if [ "${1:-}" = kept_frames ]; then
    python=""
    for candidate in python3 /usr/bin/python3; do
        "$candidate" -c 'import h5py' 2>/dev/null && python=$candidate && break
    done
    [ -n "$python" ] || {
        echo "skipped: python3-h5py is not installed"
        exit 77
    }
    interrupt 2 60 --checkpoint always --keep-frames
    ls out.mp4.resr/batch-*.h5 >/dev/null || fail "no batch files"
    finish "--checkpoint always --keep-frames" 2 --checkpoint always --keep-frames
    "$python" - <<'END' || fail "frames.h5"
import h5py
frames = h5py.File("out.mp4.frames/frames.h5")
hashes = [line.split() for line in open("out.hash")]
assert frames["Y"].shape == (200, 144, 256) and frames["U"].shape == (200, 72, 128), frames["Y"].shape
assert frames["index"][:].tolist() == list(range(200))
assert [h.decode() for h in frames["hash"][:]] == [h for _, _, h in hashes]
assert frames["pts"][:].tolist() == [int(p) for _, p, _ in hashes]
assert len({frames["Y"][i].tobytes() for i in range(200)}) == 200, "frames that are the same"
batch = h5py.File("out.mp4.frames/batch-00000048.h5")
assert (batch["V"][3] == frames["V"][51]).all() and batch["Y"].fletcher32 and batch["Y"].chunks == (1, 144, 256)
assert batch.attrs["pix_fmt"] == b"yuv420p" or batch.attrs["pix_fmt"] == "yuv420p"
END
    echo "ok h5py reads the frames"
    exit 0
fi

interrupt 1 24
interrupt 4 72
interrupt 2 120
finish "1, 4, 2, then 3 ranks" 3
# Decoding resumes behind the finished segments, at a keyframe of the input.
from=$(sed -n 's/.*decoding .* at frame \([0-9]*\)$/\1/p' run.log)
[ "${from:-0}" -ge 96 ] || fail "the finished segments were decoded again: $(cat run.log)"

# refuse CODE WORDS OPTION...: the job folder is another job's, or cannot be used; it stays as it is.
refuse() {
    code=$1
    words=$2
    shift 2
    before=$(cd out.mp4.resr && cat journal manifest.json | cksum)
    got=0
    # shellcheck disable=SC2086
    "$RESR" $job --progress none "$@" 2>run.log || got=$?
    [ $got = "$code" ] && grep -q -- "$words" run.log || fail "$*: exit $got, expected $code with '$words': $(cat run.log)"
    [ "$(cd out.mp4.resr && cat journal manifest.json | cksum)" = "$before" ] || fail "$*: the folder was changed"
    echo "ok refused: $words"
}

interrupt 2 48
cp in.mp4 in2.mp4 && printf x >>in2.mp4
refuse 78 'crf was -1' --crf 30
refuse 78 'model_sha256' -m other.safetensors
refuse 78 'input_bytes' -i in2.mp4
refuse 78 'segment_frames was 24 and is now 48' --segment 48
refuse 78 'tile_px was "auto" and is now 64' -t 64
refuse 78 'tile_pad_px was 36 and is now 16' --tile-pad 16
[ "$(jq -c '[.tile_px, .tile_width_px, .tile_height_px]' out.mp4.resr/manifest.json)" = '["auto",64,36]' ] ||
    fail "tiles in the manifest: $(cat out.mp4.resr/manifest.json)"
refuse 78 'numerics class exact' --precision fp32
refuse 78 'outscale' --outscale 2
chmod 777 out.mp4.resr
refuse 77 'not trusted'
chmod 700 out.mp4.resr
interrupt 2 72 --batch 3
finish "another --batch, another schedule" 3 --batch 5 --schedule static --memory 300K

# An output that exists is not touched.
cp whole.mp4 out.mp4
refused=0
# shellcheck disable=SC2086
"$RESR" $job --progress none 2>run.log || refused=$?
[ $refused = 73 ] || fail "an existing output: exit $refused"
cmp -s whole.mp4 out.mp4 || fail "an existing output was touched"
[ ! -e out.mp4.resr ] || fail "an existing output: a job folder was made"
rm out.mp4
echo "ok existing output"

# One segment for the whole video: only batch files are kept.
job="$job --segment 0"
# shellcheck disable=SC2086
upscale 2 $job -o whole.mp4 --overwrite --framehash whole.hash || fail "undisturbed, one segment"
interrupt 2 40 --checkpoint always
finish "one segment" 3 --checkpoint always
