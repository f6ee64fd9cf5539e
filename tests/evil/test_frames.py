"""Frames that are missing mean an exit code that is not 0, also after a resume; --on-error continue bridges them."""
import json
import os
import re
import signal
import struct
import subprocess

import play

X264 = "-c:v libx264 -g 12 -bf 2 -pix_fmt yuv420p"
FRAMES = 50
SOURCE = os.path.join(play.HERE, "..", "..", "src", "media", "declared.c")
# Formats whose end is unknown, as in the table of src/media/declared.c. It does not grow.
UNKNOWABLE = ["mpegts", "mpeg", "yuv4mpegpipe", "h264", "hevc", "mpegvideo", "m4v", "vc1", "obu", "dv",
              "mp4 (fragments)", "matroska (live)", "flips"]


def clip(name, options):
    if not os.path.exists(name):
        play.ffmpeg(f"-f lavfi -i testsrc2=s=64x48:r=25 -frames:v {FRAMES} {options} {name}")
    return name


def read(name):
    return open(name, "rb").read()


def write(name, data):
    open(name, "wb").write(data)
    return name


def packets(name):
    """Place in the file and size of each packet of the video."""
    rows = [line.split(",") for line in play.probe(name, "packet=size,pos")]
    return [(int(row[1]), int(row[0])) for row in rows if len(row) > 1 and row[1].isdigit()]


def cut(source, target, part):
    """The file's first `part`, or (from 1 on) what stands before its packet of that number."""
    data = read(source)
    return write(target, data[:packets(source)[part][0] if part >= 1 else int(len(data) * part)])


def flipped(source, target, first, count=1):
    """A quarter of the bytes of each of `count` packets is changed."""
    data = bytearray(read(source))
    for place, size in packets(source)[first:first + count]:
        for k in range(place + size // 2, place + size // 2 + max(size // 4, 8)):
            data[k] ^= 0x5A
    return write(target, bytes(data))


def no_start(source, target):
    """The start code of the first picture is damaged."""
    data = bytearray(read(source))
    at = data.index(b"\x9d\x01\x2a")
    data[at:at + 3] = b"\1\2\3"
    return write(target, bytes(data))


def zeroed_clusters(source, target):
    """64 zero bytes over cluster headers, as bad sectors leave them."""
    data = bytearray(read(source))
    places = [m.start() for m in re.finditer(b"\x1f\x43\xb6\x75", bytes(data))]
    for place in places[1:4:2]:
        data[place:place + 64] = bytes(64)
    return write(target, bytes(data))


def damaged_pages(source, target):
    """A byte in two pages of Ogg, whose CRC then fails."""
    data = bytearray(read(source))
    places = [m.start() for m in re.finditer(b"OggS", bytes(data))]
    for place in places[-4:-2]:
        data[place + 60] ^= 0xFF
    return write(target, bytes(data))


CUT = {
    # name: (source, how it is made, part that is left)
    "start.mp4": ("faststart.mp4", f"{X264} -movflags faststart", 31),
    "inside.mp4": ("faststart.mp4", f"{X264} -movflags faststart", 0.6),
    "cut.mov": ("faststart.mov", "-c:v mpeg4 -movflags faststart", 31),
    "cut.avi": ("full.avi", "-c:v mpeg4", 31),
    "packets.avi": ("full.avi", "-c:v mpeg4", 0.61),
    "cut.flv": ("full.flv", "-c:v flv1", 31),
    "cut.ivf": ("full.ivf", "-c:v libvpx", 31),
    "cut.webm": ("full.webm", "-c:v libvpx -g 12", 31),
    "cut.mkv": ("full.mkv", f"{X264} -cluster_time_limit 400", 31),
    "inside.mkv": ("full.mkv", f"{X264} -cluster_time_limit 400", 0.6),
    "cut.ogv": ("full.ogv", "-c:v libtheora -page_duration 100000", 0.6),
    "cut.wmv": ("full.wmv", "-c:v wmv2", 0.6),
    "cut.gif": ("full.gif", "", 0.6),
    "cut.apng": ("full.apng", "-f apng", 0.6),
    "cut.mxf": ("full.mxf", "-c:v mpeg2video", 31),
    "cut.nut": ("full.nut", "-c:v ffv1", 0.6),
    "cut.rm": ("full.rm", "-c:v rv10", 0.6),
}

DAMAGED = {
    # name: how it is made
    "clusters.mkv": lambda f: zeroed_clusters(clip("full.mkv", f"{X264} -cluster_time_limit 400"), f),
    "pages.ogv": lambda f: damaged_pages(clip("full.ogv", "-c:v libtheora -page_duration 100000"), f),
    "first.mp4": lambda f: flipped(clip("faststart.mp4", f"{X264} -movflags faststart"), f, 0),
    "first.mkv": lambda f: flipped(clip("full.mkv", f"{X264} -cluster_time_limit 400"), f, 0),
    "first.webm": lambda f: no_start(clip("full.webm", "-c:v libvpx -g 12"), f),
    "middle.mp4": lambda f: flipped(clip("faststart.mp4", f"{X264} -movflags faststart"), f, 20, 2),
    "middle.mjpeg.avi": lambda f: flipped(clip("mjpeg.avi", "-c:v mjpeg -q:v 2"), f, 20),
    "middle.mjpeg.mov": lambda f: flipped(clip("mjpeg.mov", "-c:v mjpeg -q:v 2"), f, 20),
    "middle.ffv1.mkv": lambda f: flipped(clip("ffv1.mkv", "-c:v ffv1 -level 3 -slicecrc 1"), f, 20),
    "middle.prores.mov": lambda f: flipped(clip("prores.mov", "-c:v prores_ks -movflags faststart"), f, 20),
    "middle.ts": lambda f: write(f, missing_transport(read(clip("full.ts", "-c:v mpeg2video")))),
}


def sound_behind(data):
    """MP4 whose sound lies behind the picture, a third of it: the chunks of the sound are moved to the end."""
    data = bytearray(data)

    def boxes(at, end):
        while at + 8 <= end:
            size, kind = struct.unpack(">I4s", data[at:at + 8])
            yield kind, at + 8, at + size
            at += size

    def find(at, end, path):
        return [(at, end)] if not path else [found for kind, a, b in boxes(at, end) if kind == path[0]
                                             for found in find(a, b, path[1:])]

    def table(at, end, name):
        return find(at, end, [b"mdia", b"minf", b"stbl", name])[0][0]

    for at, end in find(0, len(data), [b"moov", b"trak"]):
        handler = find(at, end, [b"mdia", b"hdlr"])[0][0]
        if data[handler + 8:handler + 12] != b"soun":
            continue
        offsets, sizes, runs = (table(at, end, name) for name in (b"stco", b"stsz", b"stsc"))
        count, = struct.unpack(">I", data[offsets + 4:offsets + 8])
        samples, = struct.unpack(">I", data[sizes + 8:sizes + 12])
        lengths = struct.unpack(f">{samples}I", data[sizes + 12:sizes + 12 + 4 * samples])
        n_runs, = struct.unpack(">I", data[runs + 4:runs + 8])
        runs = [struct.unpack(">III", data[runs + 8 + 12 * i:runs + 20 + 12 * i]) for i in range(n_runs)]
        start, taken = len(data), 0
        for chunk in range(count):
            per = [run[1] for run in runs if run[0] <= chunk + 1][-1]
            place = offsets + 8 + 4 * chunk
            old, = struct.unpack(">I", data[place:place + 4])
            data[place:place + 4] = struct.pack(">I", len(data))
            data += data[old:old + sum(lengths[taken:taken + per])]
            taken += per
    return data, start


def case_sound_cut_short():
    """Sound that a file declares and does not have is refused before the work."""
    play.ffmpeg(f"-f lavfi -i testsrc2=s=64x48:r=25 -f lavfi -i sine -t 2 {X264} -c:a aac -movflags faststart sound.mp4")
    data, start = sound_behind(read("sound.mp4"))
    write("behind.mp4", data)
    write("tail.mp4", data[:start + (len(data) - start) // 3])
    play.done(play.up("behind.mp4", "out.mp4"))
    play.refused(play.up("tail.mp4", "out.mp4"), 65, "tail.mp4", "audio", "cut off", "--on-error continue")
    play.equal("left over", play.leftovers("out.mp4"), [])
    result = play.up("tail.mp4", "out.mp4", "--on-error", "continue", "--report", "report.json")
    play.done(result)
    play.check("cut off" in result.err and report()["cut"], result.err)
    play.equal("frames", play.frames("out.mp4"), FRAMES)


def missing_transport(data):
    middle = len(data) // 188 // 2 * 188
    return data[:middle] + data[middle + 3 * 188:]


def report(name="report.json"):
    return json.load(open(name))["input"]


def bridged(source, output="out.nut", *options, **how):
    """Bridges what is damaged in `source`; returns the report's entry of the input."""
    result = play.up(source, output, "--codec", "ffv1", "--on-error", "continue", "--report", "report.json",
                     "--framehash", "hashes", *options, **how)
    play.done(result)
    return report(), result


def times_of(name="hashes"):
    return [int(line.split()[1]) for line in open(name)]


def case_cut_files():
    """Refused, refused again when the job is resumed, and delivered as far as they go with the option."""
    wrong = []
    for name, (source, options, part) in CUT.items():
        cut(clip(source, options), name, part)
        for clean in (True, False):
            result = play.up(name, "out.nut", "--codec", "ffv1", "--segment", "10", clean=clean)
            wrong += result.code != 65 and [f"{name}: exit code {result.code}: {result.err[-400:]}"] or []
            wrong += os.path.exists("out.nut") and [f"{name}: published"] or []
        if wrong:
            continue
        if name in ("cut.apng", "cut.rm"):  # too short to open
            continue
        entry, result = bridged(name, "out.nut", "--segment", "10", clean=False)
        play.check("warning" in result.err, f"{name}: no warning")
        play.check(entry["damaged_places"], f"{name}: {entry}")
        play.check(10 < len(times_of()) < FRAMES, f"{name}: {len(times_of())} frames")
    play.check(not wrong, "\n".join(wrong))


def case_damaged_files():
    wrong = []
    for name, make in DAMAGED.items():
        make(name)
        result = play.up(name, "out.nut", "--codec", "ffv1")
        if result.code != 65:
            wrong.append(f"{name}: exit code {result.code}: {result.err[-400:]}")
            continue
        play.check("continue" in result.err, f"{name}: the message names no remedy: {result.err[-400:]}")
        entry, result = bridged(name)
        play.check(entry["damaged_frames"] > 0 or name.startswith("first"), f"{name}: {entry}")
        steps = {b - a for a, b in zip(times_of(), times_of()[1:])}
        if not name.startswith("first") and name not in ("pages.ogv", "middle.ts"):
            play.equal(f"{name}: frames", len(times_of()), FRAMES)
        play.check(max(steps) <= 2 * min(steps), f"{name}: gaps: {steps}")
    play.check(not wrong, "\n".join(wrong))


def noisy():
    """One damaged place in the middle; the output keeps every time."""
    clip("plain.mkv", X264)
    flipped("plain.mkv", "noisy.mkv", 22, 3)
    return "noisy.mkv"


def case_times_stay():
    bridged(noisy())
    found = times_of()
    play.up("plain.mkv", "whole.nut", "--codec", "ffv1", "--framehash", "whole")
    play.equal("times", found, times_of("whole"))


def case_continue_gives_equal_frames():
    """Five runs, three ranks, a resume after the stop: the same hashes."""
    noisy()
    expected = None
    for run in range(5):
        bridged("noisy.mkv", "out.nut", "--segment", "10")
        expected = expected or read("hashes")
        play.equal(f"hashes of run {run}", read("hashes"), expected)
    bridged("noisy.mkv", "out.nut", "--segment", "10", ranks=3)
    play.equal("hashes of three ranks", read("hashes"), expected)
    play.refused(play.up("noisy.mkv", "out.nut", "--codec", "ffv1", "--segment", "10"), 65, "damaged")
    bridged("noisy.mkv", "out.nut", "--segment", "10", clean=False)
    play.equal("hashes after a stop", read("hashes"), expected)


def killed(output, *options):
    """Starts a job on a slow device and kills it once a segment behind the damage is finished."""
    play.remove(output, output + ".resr")
    job = subprocess.Popen([play.RESR, "-i", "noisy.mkv", "-o", output, "-m", "enlarge.safetensors", "--codec", "ffv1",
                            "--progress", "none", "--segment", "10", *options], stderr=subprocess.DEVNULL)
    play.wait_for("a segment behind the damage", lambda: play.journal(output).count(2) > 3, job)
    job.send_signal(signal.SIGKILL)
    job.wait()


def case_kill():
    """After a kill, continue gives the frames of an undisturbed run; stop still finds the damage."""
    noisy()
    slow = ["--on-error", "continue", "--backend", "simulate:0.6/8"]
    resume = ["--codec", "ffv1", "--segment", "10", "--backend", "simulate:0.01/8", "--framehash", "hashes"]
    play.done(play.up("noisy.mkv", "out.nut", "--on-error", "continue", *resume))
    expected = read("hashes")
    killed("out.nut", *slow)
    result = play.up("noisy.mkv", "out.nut", "--on-error", "continue", *resume, clean=False)
    play.done(result)
    play.check(re.search("[1-9][0-9]* frames are in finished segments", result.err), f"made anew: {result.err}")
    play.equal("hashes", read("hashes"), expected)
    killed("out.nut", *slow)
    result = play.up("noisy.mkv", "out.nut", *resume, clean=False)
    play.refused(result, 65, "damaged", "frames are in finished segments")


def case_images():
    """A damaged image of a list: refused, or the image before in its place."""
    os.makedirs("images", exist_ok=True)
    play.ffmpeg("-f lavfi -i testsrc2=s=64x48 -frames:v 3 -pix_fmt rgb24 images/%d.bmp")
    write("images/2.bmp", read("images/2.bmp")[:3000])
    play.refused(play.up("images", "made/"), 65, "2.bmp")
    play.done(play.up("images", "made/", "--on-error", "continue"))
    play.equal("images", sorted(os.listdir("made")), ["1.png", "2.png", "3.png"])
    play.equal("the image before", play.pixels("made/2.png"), play.pixels("made/1.png"))


def case_unknowable():
    """The list of what cannot be known is the program's; each format on it is delivered, and the report says so."""
    table = re.search(r"unknowable\[\]\[2\] = \{(.*?)\};", open(SOURCE).read(), re.S).group(1)
    play.equal("the list", re.findall(r'\{"([^"]+)"', table), UNKNOWABLE)
    page = open(os.path.join(play.HERE, "../../docs/files.md")).read()
    listed = re.search(r"^\| FFmpeg's name \|.*?\n\n", page, re.M | re.S).group(0)
    play.equal("the page's list", re.findall(r"^\| `([^`]+)`", listed, re.M) + ["flips"], UNKNOWABLE)
    mpeg2 = "-c:v mpeg2video -g 5 -bf 0"
    for name, source, options in (("c.ts", "u.ts", mpeg2), ("c.m2v", "u.m2v", mpeg2), ("c.y4m", "u.y4m", ""),
                                  ("c.h264", "u.h264", X264), ("c.m4v", "u.m4v", "-c:v mpeg4"),
                                  ("c.mp4", "u.mp4", f"{X264} -movflags frag_keyframe+empty_moov")):
        clip(source, options)
        if name == "c.mp4":
            cut_at = [m.start() - 4 for m in re.finditer(b"moof", read(source))][-1]
        elif name == "c.ts":
            cut_at = packets(source)[30][0]
        else:
            cut_at = packets(source)[25][0] - (6 if name == "c.y4m" else 0)
        write(name, read(source)[:cut_at])
        result = play.up(name, "out.nut", "--codec", "ffv1", "--report", "report.json")
        play.check(result.code in (0, 65), f"{name}: exit code {result.code}: {result.err[-300:]}")
        play.check(result.code == 65 or report()["end_unknown"], f"{name}: {result.err[-300:]}")


def case_live_matroska():
    """A recording without a length: cut inside a block it is refused, at the end of one nothing can be seen."""
    clip("full.mkv", f"{X264} -cluster_time_limit 400")
    live = subprocess.run(["ffmpeg", "-v", "error", "-i", "full.mkv", "-c", "copy", "-cluster_time_limit", "400", "-f",
                           "matroska", "-"], check=True, stdout=subprocess.PIPE).stdout
    cluster = [m.start() for m in re.finditer(b"\x1f\x43\xb6\x75", live)][3]
    write("live.mkv", live[:cluster + 60])
    play.refused(play.up("live.mkv", "out.nut", "--codec", "ffv1"), 65, "live.mkv", "damaged")
    write("live.mkv", live[:cluster])
    play.done(play.up("live.mkv", "out.nut", "--codec", "ffv1", "--report", "report.json"))
    play.check(report()["end_unknown"], "the report says that the end is known")


def case_option():
    clip("plain.mkv", X264)
    play.refused(play.up("plain.mkv", "out.nut", "--on-error", "maybe"), 64, "--on-error", "stop", "continue")
    play.done(play.up("plain.mkv", "out.mkv", "--on-error", "continue", "--report", "report.json"))
    play.equal("damage of a whole file", report()["damaged_frames"], 0)


play.main(globals())
