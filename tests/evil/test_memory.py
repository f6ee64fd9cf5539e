"""Jobs that need more memory than there is are refused before the work, with figures; others are not."""
import json
import re

import play

play.run([play.MAKE_MODEL, "four.safetensors", "srvgg", "4", "1", "8", "0", "0"])
play.ffmpeg("-f lavfi -i testsrc2=s=1500x1500 -frames:v 1 large.png")  # 6000 x 6000 inside the network: 0.43 GB


def ram(megabytes):
    return {"LD_PRELOAD": play.SHIM, "SHIM_RAM": str(megabytes << 20)}


def case_refused_with_figures():
    for options in (["--outscale", "0.1"], ["-t", "0"]):
        result = play.up("large.png", "out.png", *options, model="four.safetensors", env=ram(400))
        play.refused(result, 69, "6000 x 6000", "0.4 GiB are available", "--outscale")
        play.equal("left over", play.leftovers("out.png"), [])
    result = play.up("large.png", "out.png", "--dry-run", model="four.safetensors", env=ram(400))
    play.refused(result, 69, "6000 x 6000")


def case_ranks_of_a_machine_together():
    """Ranks for which the memory is not enough are left out."""
    tiles = ["-t", "256"]
    result = play.up("large.png", "out.png", *tiles, ranks=2, model="four.safetensors", env=ram(750))
    play.done(result)
    play.check("rank 1 on" in result.err and "is left out" in result.err and "2 ranks" in result.err, result.err)
    result = play.up("large.png", "out.png", ranks=2, model="four.safetensors", env=ram(750))
    play.check(result.code == 69 and re.search("or smaller tiles: -t [0-9]+ fits", result.err), result.err)
    play.done(play.up("large.png", "out.png", *tiles, model="four.safetensors", env=ram(750)))
    play.done(play.up("large.png", "out.png", *tiles, "--root", "dedicated", ranks=2, model="four.safetensors",
                      env=ram(750)))


def case_the_estimate_is_not_above_the_need():
    """A machine that has what such a job really takes does it."""
    for options in (["--outscale", "0.1"], ["-t", "0", "-s", "2"]):
        play.done(play.up("large.png", "out.png", "--report", "r.json", *options, model="four.safetensors"))
        with open("r.json", encoding="utf-8") as file:
            peak = json.load(file)["root_peak_bytes"]
        play.done(play.up("large.png", "out.png", "--dry-run", *options, model="four.safetensors", env=ram(peak >> 20)))


def case_a_pool_that_is_too_large_for_the_rest():
    """A quarter of the memory is the pool's: where the rest needs more than three, --memory helps, and is named."""
    play.ffmpeg("-f lavfi -i testsrc2=s=1500x1500 -frames:v 40 -c:v ffv1 -pix_fmt gray large.mkv")
    small = ["--outscale", "0.1", "--dry-run"]
    result = play.up("large.mkv", "out.mkv", *small, model="four.safetensors")
    play.done(result)
    size = int(re.search(r"memory, a rank +(\d+)\.\d MiB", result.out).group(1)) + 40
    result = play.up("large.mkv", "out.mkv", *small, model="four.safetensors", env=ram(size))
    play.refused(result, 69, "for the pool of frames", "--memory", "-t")
    play.done(play.up("large.mkv", "out.mkv", "--memory", "1M", *small, model="four.safetensors", env=ram(size)))


def case_picture_of_the_network_has_a_limit():
    play.ffmpeg("-f lavfi -i color=s=8200x8200 -frames:v 1 -pix_fmt gray huge.png")
    result = play.up("huge.png", "out.png", "--outscale", "0.1", model="four.safetensors")
    play.refused(result, 64, "32800 x 32800", "network")


play.main(globals())
