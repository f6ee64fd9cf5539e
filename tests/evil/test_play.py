"""play.py itself: a clip that is whole comes out whole, and the checks see what they are for."""
import play

play.ffmpeg("-f lavfi -i testsrc2=s=64x48:r=25 -frames:v 9 -c:v libx264 -bf 3 -pix_fmt yuv420p clip.mp4")


def case_whole_clip():
    play.done(play.up("clip.mp4", "out.mp4"))
    play.equal("frames", play.frames("out.mp4"), 9)
    play.equal("times", play.times("out.mp4"), play.times("clip.mp4"))
    play.equal("left over", play.leftovers("out.mp4"), ["out.mp4"])


def case_refusal():
    play.refused(play.up("missing.mp4", "out.mp4"), 66, "missing.mp4")
    play.equal("left over", play.leftovers("out.mp4"), [])


def case_enlargement_is_exact():
    play.ffmpeg("-f lavfi -i testsrc2=s=8x6 -frames:v 1 -pix_fmt rgb24 small.png")
    play.done(play.up("small.png", "large.png"))
    small, large = play.pixels("small.png"), play.pixels("large.png")
    for y in range(12):
        for x in range(16):
            at = (y // 2 * 8 + x // 2) * 3
            play.equal(f"pixel {x}, {y}", large[(y * 16 + x) * 3:][:3], small[at:at + 3])


play.main(globals())
