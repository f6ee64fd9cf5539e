"""What the machine brings: weights that overflow, the CPU quota of a container, programs that a launcher started
without MPI, weight files that are no files."""
import json
import os
import random
import struct

import play
from play import check, equal, refused


def network(name, gain, blocks=4, nf=16, scale=2):
    """Writes a compact network of random weights, `gain` times as large as weights are."""
    rng, tensors = random.Random(1), {}

    def tensor(key, *shape):
        count = 1
        for length in shape:
            count *= length
        tensors[key] = (shape, [rng.gauss(0, gain) for _ in range(count)])

    for i in range(blocks + 2):
        last = i == blocks + 1
        tensor(f"body.{2 * i}.weight", 3 * scale * scale if last else nf, 3 if i == 0 else nf, 3, 3)
        tensor(f"body.{2 * i}.bias", 3 * scale * scale if last else nf)
        if not last:
            tensor(f"body.{2 * i + 1}.weight", nf)
    header, data = {}, b""
    for key, (shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}f", *values)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    with open(name, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def clip(name, count=20):
    play.ffmpeg(f"-f lavfi -i testsrc2=size=32x24:rate=25 -frames:v {count} -c:v ffv1 {name}")


def case_weights_that_overflow():
    clip("in.mkv")
    network("large.safetensors", 1800, 10)
    said = ("frame ", "large.safetensors", "infinite values or NaN", "use other weights")
    for ranks, options in ((0, ()), (0, ("--precision", "exact")), (0, ("--precision", "exact", "--backend", "c")),
                           (0, ("--precision", "fp32")), (0, ("-t", "12")), (2, ()),
                           (3, ("--encode", "ranks")), (2, ("--root", "dedicated"))):
        result = play.up("in.mkv", "out.mkv", *options, ranks=ranks, model="large.safetensors")
        refused(result, 65, *said)
        for words in ("left out", "tried again"):
            check(words not in result.err, f"{options}: '{words}' in {result.err}")
        check(not os.path.exists("out.mkv"), f"{options}: an output was left")
    for image in ("in.png", "in.jpg"):
        play.ffmpeg(f"-i in.mkv -frames:v 1 -update 1 {image}")
        refused(play.up(image, "out.png", model="large.safetensors"), 65, *said)


def case_large_weights_that_do_not():
    """No false alarm: values far outside 0 to 1 are clamped as ever."""
    clip("in.mkv", 3)
    network("wide.safetensors", 30)
    play.done(play.up("in.mkv", "out.mkv", model="wide.safetensors"))
    equal("frames", play.frames("out.mkv"), 3)


if __name__ == "__main__":
    play.main(globals())
