"""Folders and numbered sequences of images: their order, gaps, and outputs that would replace something."""
import json
import os
import shutil
import stat

import play
from play import RESR, check, done, equal, ffmpeg, leftovers, pixels, refused, remove, run, up


def colour(i):
    return (20 * i, 255 - 20 * i, 40)


def make(folder, names, ending="png"):
    """Images of one colour each, by their place in `names`."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for i, name in enumerate(names):
        with open("one.ppm", "wb") as file:
            file.write(b"P6\n16 12\n255\n" + bytes(colour(i)) * 16 * 12)
        if ending == "ppm":
            shutil.copy("one.ppm", os.path.join(folder, name))
        else:
            ffmpeg("-i one.ppm -update 1 {name}", name="./" + os.path.join(folder, name))


def contents(folder):
    state = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            state[name] = file.read()
    return state


def check_order(source, count):
    """The frames of a lossless video, in order."""
    done(up(source, "out.mkv", "--codec", "utvideo"))
    got = pixels("out.mkv")
    size = len(got) // count
    equal(f"{source}: colours", [tuple(got[i * size:i * size + 3]) for i in range(count)], [colour(i) for i in range(count)])


def case_pictures_that_are_not_read():
    """A folder's images are those of the documented endings; other pictures are named, other files are not."""
    make("mixed", ["1.png", "2.png"])
    for name in ("a.tga", "Thumbs.db", ".hidden.gif"):
        with open(os.path.join("mixed", name), "wb") as file:
            file.write(b"x")
    result = up("mixed", "mixed_out")
    done(result)
    equal("images", sorted(os.listdir("mixed_out")), ["1.png", "2.png"])
    check("pictures that are not read: 1, such as a.tga" in result.err, result.err)
    check("Thumbs" not in result.err and "hidden" not in result.err, result.err)


def case_order_is_that_of_the_numbers():
    for names in (["f1.ppm", "f2.ppm", "f9.ppm", "f10.ppm", "f11.ppm"], ["01.ppm", "1.ppm", "2.ppm", "003.ppm", "20.ppm", "100.ppm"],
                  ["B1.ppm", "a1x10.ppm", "a2x2.ppm", "a2x9.ppm", "a10x1.ppm", "b.ppm", "ba.ppm", "é.ppm"]):
        make("images", names, "ppm")
        check_order("images", len(names))


def case_numbered_sequences():
    """The lowest number is the first one; a missing one is named."""
    for first, pattern in ((0, "f%d.ppm"), (98, "f%03d.ppm"), (86399, "f%05d.ppm")):
        make("images", [pattern % i for i in range(first, first + 4)] + ["g1.ppm", "f.ppm", "f1x.ppm"], "ppm")
        check_order(f"images/{pattern}", 4)
    make("images", ["f000.ppm", "f001.ppm", "f002.ppm", "f004.ppm", "f900.ppm"], "ppm")
    refused(up("images/f%03d.ppm", "out.mkv"), 66, "number 3 is missing", "f004.ppm exists")
    refused(up("images/g%d.ppm", "out.mkv"), 66, "no file of this pattern")
    refused(up("missing/g%d.ppm", "out.mkv"), 66, "missing/")
    equal("leftovers", leftovers("out.mkv"), [])
    make("images", ["1.ppm", "2.ppm", "99999999999999999999.ppm"], "ppm")
    check_order("images/%d.ppm", 2)


def case_files_of_several_pictures():
    """In a list only the first picture of each file would be used."""
    make("images", ["1.ppm", "2.ppm"], "ppm")
    shutil.copy("images/1.ppm", "both.ppm")
    with open("both.ppm", "ab") as file, open("images/2.ppm", "rb") as second:
        file.write(second.read())
    for name, count in (("v1.mkv", 1), ("v2.mkv", 2), ("f1.gif", 1), ("f2.gif", 2)):
        ffmpeg(f"-f lavfi -i testsrc2=s=16x12:r=25 -frames:v {count} images/{name}")
    shutil.copy("both.ppm", "images/3.ppm")
    for source, name in (("images", "3.ppm"), ("images/%d.ppm", "3.ppm"), ("images/v%d.mkv", "v2.mkv"), ("images/f%d.gif", "f2.gif")):
        refused(up(source, "out.mkv"), 65, name, "more than one picture")
    os.remove("images/3.ppm")
    done(up("images", "out.mkv"))
    endings = ("tga", "dpx", "bmp", "pcx", "sgi", "xwd", "pam")
    for ending in endings:
        ffmpeg(f"-f lavfi -i testsrc2=s=16x12:r=25 -frames:v 2 images/p%d.{ending}")
    lists = [f"-i images/p%d.{ending} -o {ending}.mkv\n" for ending in endings]
    with open("jobs", "w", encoding="ascii") as file:
        file.writelines(lists)
    done(run([RESR, "--jobs", "jobs", "-m", "enlarge.safetensors", "--threads", "1"]))
    for ending in endings:
        equal(ending, play.frames(f"{ending}.mkv"), 2)


def untouched(what, folders, call, code, *words):
    """The refusal comes before the work: nothing in the folders changes."""
    before = [contents(folder) for folder in folders]
    refused(call(), code, *words)
    equal(what, [contents(folder) for folder in folders], before)


def case_an_output_is_no_input():
    make("images", ["001.png", "002.png", "003.png"])
    make("copies", [])
    os.link("images/003.png", "copies/003.png")
    os.symlink(os.path.abspath("images/002.png"), "copies/002.png")
    os.symlink("images", "other_name")
    for source, output in (("images/%03d.png", "images/%03d.png"), ("images", "images/%03d.png"), ("images", "other_name/%03d.png"),
                           ("images/%03d.png", "images/"), ("images", "copies/%03d.png"), ("images", "copies/"), ("images", "images")):
        untouched(f"{source} to {output}", ["images", "copies"],
                  lambda s=source, o=output: up(s, o, "--overwrite", clean=False), 64)
    make("out", ["009.png"])
    untouched("a video to its own name", ["out"], lambda: up("out/009.png", "./out/../out/009.png", "--overwrite", clean=False), 64)
    done(up("images", "out/%03d.png", "--overwrite", clean=False))
    equal("images", sorted(os.listdir("out")), ["001.png", "002.png", "003.png", "009.png"])


def case_two_images_of_one_name():
    make("images", ["a.png", "b.png"])
    ffmpeg("-i images/a.png -update 1 images/a.bmp")
    refused(up("images", "out/"), 64, "both become a.png")
    equal("output", os.path.exists("out"), False)
    done(up("images", "out%d.png"))
    os.rename("images/a.bmp", "images/A.bmp")
    refused(up("images", "out/"), 64, "A", "both become")
    done(up("images", "out/", "--frames", "1"))


def case_what_exists_is_found_before_the_work():
    make("images", ["1.png", "2.png", "3.png"])
    make("out", ["3.png", "f002.png"])
    untouched("pattern", ["out"], lambda: up("images", "out/%d.png", clean=False), 73, "out/3.png", "--overwrite")
    done(up("images", "out/%d.png", "--frames", "2", clean=False))
    ffmpeg("-f lavfi -i testsrc2=s=16x12:r=25 -frames:v 3 -c:v ffv1 clip.mkv")
    untouched("images of a video", ["out"], lambda: up("clip.mkv", "out/f%03d.png", clean=False), 73, "out/f002.png")
    make("full", ["frame00000003.png"])
    untouched("folder", ["full"], lambda: up("clip.mkv", "full", clean=False), 73, "full")
    done(up("clip.mkv", "full", "--overwrite", clean=False))
    equal("images", len(os.listdir("full")), 3)


def case_files_that_appear_are_not_replaced():
    make("images", ["1.png", "2.png", "3.png"])
    for options, code in (((), 73), (("--overwrite",), 0)):
        remove("out")
        os.makedirs("out")
        result = up("images", "out/%d.png", *options, clean=False,
                    env={"LD_PRELOAD": os.environ["SHIM"], "SHIM_APPEAR": "2.png"})
        equal(f"exit code ({result.err})", result.code, code)
        with open("out/2.png", "rb") as file:
            equal("the other's file is kept", file.read() == b"theirs", not options)


def case_reports_have_names_of_their_own():
    ffmpeg("-f lavfi -i testsrc2=s=16x12:r=25 -frames:v 3 -c:v ffv1 clip.mkv")
    make("images", ["1.png", "2.png"])
    os.link("clip.mkv", "hard.mkv")
    os.symlink("clip.mkv", "soft.mkv")
    with open("jobs", "w", encoding="ascii") as file:
        file.write("-i clip.mkv -o o.mkv --report jobs\n")
    before = contents("images")
    with open("clip.mkv", "rb") as file:
        clip = file.read()
    with open("enlarge.safetensors", "rb") as file:
        model = file.read()
    texts = ("--report", "--framehash", "--trace")
    cases = [("clip.mkv", "o.mkv", option, path) for option in texts
             for path in ("o.mkv", "./o.mkv", "clip.mkv", "hard.mkv", "soft.mkv", "o.mkv.resr", "o.mkv.resr/x", "enlarge.safetensors")]
    cases += [("clip.mkv", "o.mkv", a, "r", b, "./r") for a, b in (texts[:2], texts[1:], texts[::2])]
    cases += [("images", "o/", "--report", "images/1.png"), ("images/%d.png", "o/%d.png", "--trace", "o/2.png"),
              ("clip.mkv", "o/%d.png", "--report", "o/3.png"), ("clip.mkv", "o/", "--report", "o/frame00000002.png"),
              ("clip.mkv", "o.mkv", "--job-dir", "o.mkv"), ("clip.mkv", "jd/o.mkv", "--job-dir", "jd"),
              ("clip.mkv", "o.mkv", "--keep-frames", "--report", "o.mkv.frames")]
    os.mkfifo("pipe.mkv")
    cases += [("clip.mkv", "o.mkv", option, path) for option in texts for path in ("pipe.mkv", "jd", "/dev/null", "/dev/stdout")]
    cases += [("clip.mkv", "pipe.mkv"), ("images/1.png", "null.png")]
    os.symlink("/dev/null", "null.png")
    os.makedirs("o", exist_ok=True)
    os.makedirs("jd", exist_ok=True)
    with open("cases", "w", encoding="ascii") as file:
        file.writelines(f"-i {source} -o {output} --overwrite {' '.join(options)}\n" for source, output, *options in cases)
    result = run([RESR, "--jobs", "cases", "-m", "enlarge.safetensors", "--threads", "1"])
    equal("exit codes", [json.loads(line)["status"] for line in result.out.splitlines()], [64] * len(cases))
    for path, words in (("clip.mkv", "by --report and by -i"), ("pipe.mkv", "--report replaces")):
        refused(up("clip.mkv", "o.mkv", "--dry-run", "--report", path), 64, words)
    play.check(stat.S_ISFIFO(os.stat("pipe.mkv").st_mode) and stat.S_ISCHR(os.stat("/dev/null").st_mode), "they are replaced")
    equal("what was written", (leftovers("o.mkv"), os.listdir("o"), os.listdir("jd")), ([], [], []))
    refused(run([RESR, "--jobs", "jobs", "-m", "enlarge.safetensors"]), 64, "jobs: named by --report and by --jobs")
    equal("images", contents("images"), before)
    for path, content in (("clip.mkv", clip), ("enlarge.safetensors", model)):
        with open(path, "rb") as file:
            equal(path, file.read() == content, True)


def case_lines_of_a_list_have_outputs_of_their_own():
    for name in ("a", "b"):
        ffmpeg("-f lavfi -i testsrc2=s=16x12:r=25 -frames:v 3 -c:v ffv1 {n}.mkv", n=name)
        make(name, ["1.png"])
    lines = ["-i a.mkv -o o.mkv", "-i b.mkv -o ./o.mkv --overwrite", "-i a.mkv -o o.mkv --overwrite --crf 30",
             "-i a -o both/ --overwrite", "-i b -o both --overwrite", "-i b -o b/../other/"]
    with open("jobs", "w", encoding="ascii") as file:
        file.write("".join(line + "\n" for line in lines))
    result = run([RESR, "--jobs", "jobs", "-m", "enlarge.safetensors", "--threads", "1"])
    refused(result, 64, "jobs:2: ./o.mkv: line 1", "jobs:5: both: line 4")
    equal("failed lines", result.err.count("error: jobs:"), 3)  # the first is told again at the end


if __name__ == "__main__":
    play.main(globals())
