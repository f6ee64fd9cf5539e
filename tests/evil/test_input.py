"""What may be an input, and what it may reach: formats that name other files, names, pipes, waits that a signal ends."""
import json
import os
import shutil
import signal
import struct
import subprocess
import time

import play
from play import RESR, WORK, done, equal, ffmpeg, frames, leftovers, pixels, refused, remove, run, up

CLIP = "-f lavfi -i testsrc2=s=64x48:r=25 -frames:v 5 -c:v libx264 -pix_fmt yuv420p"


def up_all(pairs, *options):
    """Upscales many inputs in one launch."""
    def quoted(path):
        return '"' + path.replace('"', '\\"') + '"'
    remove("list", "list.journal", *(output for _, output in pairs))
    with open("list", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"-i {quoted(source)} -o {quoted(output)}\n" for source, output in pairs)
    return run([RESR, "--jobs", "list", "-m", "enlarge.safetensors", "--threads", "1", "--progress", "none", *options])


def make_private():
    """Files of another user, whose picture is red, and one beside the inputs."""
    os.makedirs("other", exist_ok=True)
    red = "-f lavfi -i color=red:s=64x48:r=25:d=0.2 -c:v libx264 -pix_fmt yuv420p"
    ffmpeg(f"{red} other/private.ts")
    ffmpeg(f"{red} -movflags frag_keyframe+empty_moov+default_base_moof other/frag.mp4")
    ffmpeg("-f lavfi -i color=red:s=64x48 -frames:v 1 other/red.png")
    os.makedirs("in", exist_ok=True)
    shutil.copy("other/private.ts", "in/sibling.ts")


def hls(target, tags=""):
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n{tags}#EXTINF:2.0,\n{target}\n#EXT-X-ENDLIST\n"


def dash(base):
    return f"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"
profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1"
bandwidth="1000" codecs="avc1.42c00a" width="64" height="48"><BaseURL>{base}</BaseURL></Representation></AdaptationSet>
</Period></MPD>"""


def playlists():
    other = os.path.join(WORK, "other")
    imf = '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2013"><ContentTitle>x</ContentTitle></CompositionPlaylist>'
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 50040 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    return [
        ("hls_url.mp4", hls(f"file://{other}/private.ts"), "hls"),
        ("hls_absolute.mp4", hls(f"{other}/private.ts"), "hls"),
        ("hls_parent.mp4", hls("../other/private.ts"), "hls"),
        ("hls_sibling.m3u8", hls("sibling.ts"), "hls"),
        ("hls_key.mkv", hls("sibling.ts", '#EXT-X-KEY:METHOD=AES-128,URI="../other/private.ts"\n'), "hls"),
        ("hls_master.ts", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhls_sibling.m3u8\n", "hls"),
        ("hls_live.mp4", hls("sibling.ts").replace("#EXT-X-ENDLIST\n", ""), "hls"),
        ("hls_http.mp4", hls("http://127.0.0.1:9/x.ts"), "hls"),
        ("dash_url.mp4", dash(f"file://{other}/frag.mp4"), "dash"),
        ("dash_absolute.mp4", dash(f"{other}/frag.mp4"), "dash"),
        ("dash_parent.mpd", dash("../other/frag.mp4"), "dash"),
        ("concat_sibling.mp4", "ffconcat version 1.0\nfile sibling.ts\n", "concat"),
        ("concat_absolute.png", f"ffconcat version 1.0\nfile {other}/private.ts\n", "concat"),
        ("concat_itself.mkv", "ffconcat version 1.0\nfile concat_itself.mkv\n", "concat"),
        ("stream.sdp", sdp, "sdp"),
        ("composition.xml", imf, None),  # experimental in FFmpeg: not recognised
        ("subtitles.idx", "# VobSub index file, v7 (do not modify this line!)\nsize: 64x48\n", "vobsub"),
    ]


def case_formats_that_name_other_files():
    """Each is refused by its name; nothing of the named file arrives."""
    make_private()
    cases = playlists()
    for name, text, _ in cases:
        with open(f"in/{name}", "w", encoding="ascii") as file:
            file.write(text)
    result = up_all([(f"in/{name}", f"out{i}.mkv") for i, (name, _, _) in enumerate(cases)])
    lines = [json.loads(line) for line in result.out.splitlines()]
    equal("lines", len(lines), len(cases))
    for i, ((name, _, format_name), line) in enumerate(zip(cases, lines)):
        equal(f"{name}: {line['error']}", line["status"], 65)
        for word in (name, f"format {format_name}", "one file") if format_name else (name,):
            play.check(word in line["error"], f"'{word}' is missing in: {line['error']}")
        equal(name, leftovers(f"out{i}.mkv"), [])
    refused(up("in/hls_url.mp4", "out.mkv"), 65, "format hls")


def box_end(data, at):
    return at + struct.unpack(">I", data[at:at + 4])[0]


def find_boxes(data, path):
    """Offsets of the boxes along a path such as moov/trak, outermost first."""
    at, end, offsets = 0, len(data), []
    for kind in path.split("/"):
        while data[at + 4:at + 8] != kind.encode():
            at = box_end(data, at)
            play.check(at < end, f"{kind} is not in the file")
        offsets.append(at)
        end, at = box_end(data, at), at + 8
    return offsets


def with_data_reference(source, output, name, nested):
    """Copies a MOV whose moov is at its end; its video's data reference becomes an alias of another file."""
    with open(source, "rb") as file:
        data = file.read()
    offsets = find_boxes(data, "moov/trak/mdia/minf/dinf/dref")
    path = name.encode() + b"\0" * (len(name) & 1)
    levels = struct.pack(">HH", 1, name.count("/") if nested else 0) if nested else struct.pack(">HH", 0, 0)
    alias = (b"alis" + bytes(4) + bytes(10) + b"\1" + b"v".ljust(27, b"\0") + bytes(12) +
             b"\1" + b"f".ljust(63, b"\0") + bytes(16) + levels + bytes(16) +
             struct.pack(">HH", 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0))
    dref = offsets[-1]
    old = data[dref + 16:box_end(data, dref)]
    new = struct.pack(">I", len(alias) + 4) + alias
    sizes = {at: struct.unpack(">I", data[at:at + 4])[0] + len(new) - len(old) for at in offsets}
    out = bytearray(data)
    for at, size in sizes.items():
        out[at:at + 4] = struct.pack(">I", size)
    out[dref + 16:dref + 16 + len(old)] = new
    with open(output, "wb") as file:
        file.write(out)


def case_data_references_of_mov():
    ffmpeg(f"{CLIP} base.mov")
    make_private()
    for name, nested in ((os.path.join(WORK, "other/private.ts"), False), ("x/sibling.ts", True)):
        with_data_reference("base.mov", "in/reference.mov", name, nested)
        refused(up("in/reference.mov", "out.mkv"), 65, "format mov", "names other files")


def block(kind, body):
    return kind + struct.pack("<I", len(body) + 8) + body


def case_parts_beside_the_input():
    """MLV looks for further parts x.m00 ...: not for nothing does it fail, and a part that exists is not left out silently."""
    header = b"v2.0".ljust(8, b"\0") + struct.pack("<QHHIHHIIII", 1, 0, 1, 0, 3, 0, 1, 0, 25000, 1000)
    with open("a.mlv", "wb") as file:
        file.write(block(b"MLVI", header) + block(b"RAWI", struct.pack("<QHH", 0, 64, 48) + bytes(160)) + block(b"VIDF", bytes(40)))
    refused(up("a.mlv", "out.mkv"), 65, "a.mlv: contains no decodable picture")
    shutil.copy("a.mlv", "a.m00")
    refused(up("a.mlv", "out.mkv"), 65, "format mlv", "names other files")


def case_pictures_show_no_other_file():
    """A name that looks like a pattern, a script or an ending that is wrong."""
    make_private()
    ffmpeg("-f lavfi -i color=blue:s=64x48 -frames:v 1 -update 1 blue.png")
    ffmpeg("-f lavfi -i color=blue:s=64x48 -frames:v 1 -update 1 blue.jpg")
    ffmpeg("-f lavfi -i color=blue:s=64x48 -frames:v 1 -update 1 blue.tga")
    shutil.copy("other/red.png", "a1.png")
    shutil.copy("other/red.png", "b1.tga")
    cases = [("blue.png", "a%d.png"), ("blue.png", "a[1].png"), ("blue.png", "a*.png"), ("blue.png", "a?.png"),
             ("blue.tga", "b%d.tga"), ("blue.png", "lies.jpg"), ("blue.jpg", "lies.png"), ("blue.jpg", "lies.tiff"),
             ("blue.png", "lies.bmp"), ("blue.png", "none"), ("blue.png", "pipe:0.png"), ("blue.png", "concat:a1.png")]
    for source, name in cases:
        shutil.copy(source, name)
    done(up_all([(name, f"out{i}.png") for i, (_, name) in enumerate(cases)]))
    for i, (_, name) in enumerate(cases):
        red, _, blue = pixels(f"out{i}.png")[:3]
        play.check(blue > 240 and red < 16, f"{name}: the picture is not the file's own")
    with open("drawing.svg", "w", encoding="ascii") as file:
        file.write('<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="48">'
                   f'<image width="64" height="48" xlink:href="file://{WORK}/other/red.png"/></svg>')
    result = up("drawing.svg", "out.png")
    if result.code == 0:
        red, green, _ = pixels("out.png")[:3]
        play.check(not red > green + 100, "the drawing shows another file")
    else:
        refused(result, 65, "drawing.svg")


def case_formats_known_by_their_ending():
    """Neither the program's own opening nor the hidden name loses a format."""
    picture = "-f lavfi -i testsrc2=s=64x48 -frames:v 1 -update 1"
    endings = "tga pcx sgi xwd pam dpx qoi bmp jp2".split()
    for ending in endings:
        ffmpeg(f"{picture} p.{ending}")
    done(up_all([(f"p.{ending}", f"out_{ending}.png") for ending in endings]))
    for ending in endings[:-1]:  # jp2 is in another colour space
        equal(ending, pixels(f"out_{ending}.png")[:3 * 64], b"".join(p + p for p in rows(f"p.{ending}"))[:3 * 64])
    videos = {"h264": "libx264 -bf 0", "m4v": "mpeg4", "mjpeg": "mjpeg",
              "m2v": "mpeg2video", "h263": "h263 -s 128x96", "y4m": "wrapped_avframe", "ivf": "libvpx", "nut": "ffv1"}
    for ending, codec in videos.items():
        ffmpeg(f"-f lavfi -i testsrc2=s=64x48:r=25 -frames:v 3 -pix_fmt yuv420p -c:v {codec} v.{ending}")
    done(up_all([(f"v.{ending}", f"out_{ending}.mkv") for ending in videos], "--preset", "ultrafast"))
    for ending in videos:
        equal(ending, frames(f"out_{ending}.mkv"), 3)


def rows(path):
    data = pixels(path)
    return [data[i:i + 3] for i in range(0, len(data), 3)]


def case_what_is_no_file():
    """Nothing waits for a writer; what cannot be an input is named."""
    os.makedirs("pipes", exist_ok=True)
    ffmpeg("-f lavfi -i testsrc2=s=64x48 -frames:v 1 -update 1 pipes/a1.png")
    os.mkfifo("pipes/a2.png")
    os.mkfifo("pipe.mp4")
    os.mkfifo("weights.safetensors")
    os.makedirs("folder.mp4/empty.png", exist_ok=True)
    ffmpeg(f"{CLIP} base.mp4")
    with open("list", "w", encoding="ascii") as file:
        file.write("-i pipe.mp4 -o x.mkv\n-i base.mp4 -o y.mkv\n")
    for source, code, words in (("pipe.mp4", 65, "is a pipe"), ("pipes", 65, "a2.png: is a pipe"),
                                ("pipes/a%d.png", 65, "a2.png: is a pipe"), ("/dev/zero", 65, "is a device"),
                                ("/dev/stdin", 65, "is a device"), ("folder.mp4", 65, "is a folder"),
                                ("missing.mp4", 66, "no such file"), ("-", 66, "standard input"), ("base.mp4/x", 66, "not a directory")):
        refused(up(source, "out.mkv", timeout=20), code, words)
        equal(source, leftovers("out.mkv"), [])
    refused(up("base.mp4", "out.mkv", model="weights.safetensors", timeout=20), 65, "weights.safetensors: is a pipe")
    result = run([RESR, "--jobs", "list", "-m", "enlarge.safetensors", "--threads", "1"], timeout=30)
    refused(result, 65, "pipe.mp4: is a pipe")
    equal("second line of the list", frames("y.mkv"), 5)


NAMES = ["a b.mp4", "50%d.mp4", "100%.mp4", "%03d.mp4", "it's \"q\".mp4", "S01:E02.mp4", "file:x.mp4", "http:__h.mp4", "-dash.mp4",
         "é日本.mp4", "a#b?c&d.mp4", "new\nline.mp4", "tab\t.mp4", os.fsdecode(b"latin\xe9.mp4"), "back\\slash.mp4", "[x]*.mp4"]


def case_names():
    """Any bytes but a zero, for inputs, outputs, job folders and reports."""
    ffmpeg(f"{CLIP} base.mp4")
    for name in NAMES:
        remove(name)
        os.link("base.mp4", name)
    done(up_all([(name, f"{name}.mkv") for name in NAMES if "\n" not in name]))
    for name in ("-dash.mp4", "new\nline.mp4", os.fsdecode(b"latin\xe9.mp4")):
        done(up(name, f"{name}.mkv"))
    for name in NAMES:
        equal(name, frames(f"./{name}.mkv"), 5)
    for name in ("c:d.mp4", "-out%d.mkv", os.fsdecode(b"\xff:%s.mov")):
        done(up("base.mp4", name, "--job-dir", f"j:k%d{name}", "--checkpoint", "always", "--framehash", f"h:{name}"))
        equal(name, frames(f"./{name}"), 5)
        play.check(os.path.exists(f"h:{name}"), "the hashes are missing")
    done(up("base.mp4", "c:d.mp4", "--checkpoint", "off", "--overwrite"))


def case_names_of_images_and_in_lists():
    folder = "d 50% ü'\"[x]:"
    os.makedirs(folder, exist_ok=True)
    ffmpeg("-f lavfi -i testsrc2=s=64x48 -frames:v 2 a%d.png")
    for name in ("50%d.png", "x:y.png", "-z.png"):
        shutil.copy("a1.png", f"{folder}/{name}")
    done(up(folder, "images/"))
    equal("images", sorted(os.listdir("images")), ["-z.png", "50%d.png", "x:y.png"])
    for i in (1, 2):
        shutil.copy(f"a{i}.png", f"{folder}/f{i}.png")
    os.makedirs("out%d", exist_ok=True)
    done(up(f"{folder}/f%d.png", "out%d/n%02d.png"))
    equal("images of the pattern", sorted(os.listdir("out%d")), ["n01.png", "n02.png"])
    ffmpeg(f"{CLIP} base.mp4")
    done(up_all([("base.mp4", "100%.mp4")]))
    os.remove("100%.mp4")  # a name with a '%' is a file's all the same: the list makes it again
    done(run([RESR, "--jobs", "list", "-m", "enlarge.safetensors", "--threads", "1"]))
    equal("100%.mp4", frames("100%.mp4"), 5)


def element(number, content):
    """An EBML element with a length of 4 bytes."""
    return bytes.fromhex(number) + struct.pack(">I", 0x10000000 | len(content)) + content


def tracks(count):
    """A Matroska file of subtitle tracks, without packets."""
    entries = b"".join(element("ae", element("d7", struct.pack(">H", i + 1)) + element("73c5", struct.pack(">H", i + 1)) +
                               element("83", b"\x11") + element("86", b"S_TEXT/UTF8")) for i in range(count))
    return (element("1a45dfa3", element("4282", b"matroska")) +
            element("18538067", element("1549a966", element("2ad7b1", b"\x0f\x42\x40")) + element("1654ae6b", entries) +
                                element("1f43b675", element("e7", b"\0"))))


def case_many_streams():
    """Attachments and tracks up to 1,000 are kept; a file with more is refused by their number."""
    with open("font.ttf", "wb") as file:
        file.write(bytes(100))
    ffmpeg(f"{CLIP} base.mp4")
    attach = " ".join("-attach font.ttf" for _ in range(72))
    ffmpeg(f"-i base.mp4 -map 0 -c copy {attach} -metadata:s:t mimetype=font/ttf many.mkv")
    done(up("many.mkv", "out.mkv"))
    equal("streams", len(play.probe("out.mkv", "stream=index", "")), 73)
    for count, words in ((1000, "holds no video stream"), (1001, "1001 streams, more than 1000"), (20000, "more than 1000")):
        with open("many.mkv", "wb") as file:
            file.write(tracks(count))
        refused(up("many.mkv", "out.mkv"), 65, words)


def case_sizes_beyond_the_limits():
    header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 65535, 65535, 1, 24, 0, 0, 0, 0, 0, 0)
    with open("huge.bmp", "wb") as file:
        file.write(header + bytes(1000))
    with open("huge.y4m", "wb") as file:
        file.write(b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000))
    refused(up("huge.bmp", "out.png"), 65, "65535 x 65535")
    refused(up("huge.y4m", "out.mkv"), 65, "60000 x 60000")


def start(source, output, *options, env):
    return subprocess.Popen([RESR, "-i", source, "-o", output, "-m", "enlarge.safetensors", "--threads", "1", *options],
                            env={**os.environ, **env}, stderr=subprocess.PIPE)


def stop(process, stalled, limit=9):
    """SIGTERM ends a process that waits within the promised time, as one that can be resumed. False: it did not wait."""
    begin = time.monotonic()
    while not stalled() and process.poll() is None and time.monotonic() < begin + 60:
        time.sleep(0.05)
    if not stalled() and process.poll() == 0:
        process.communicate()
        return False
    equal("state before the signal", (stalled(), process.poll()), (True, None))
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"not ended {limit} s after SIGTERM") from None
    equal(f"exit code ({err.decode()})", process.returncode, 75)
    equal("output", os.path.exists("out.mkv"), False)
    return True


def stops(source, opening, at):
    remove("out.mkv", "out.mkv.resr", "stalled")
    shim = {"LD_PRELOAD": os.environ["SHIM"], "SHIM_STALL": source, "SHIM_STALL_OPEN": str(opening), "SHIM_STALL_AT": str(at)}
    return stop(start(source, "out.mkv", "--segment", "8", env=shim), lambda: os.path.exists("stalled"))


def case_a_signal_ends_waits_for_the_file():
    """Each time that it is opened, which is at least for its frames, for the plan and for the sound, and while frames are read."""
    picture = "-f lavfi -i testsrc2=s=128x96:r=25:d=2"
    ffmpeg(f"{picture} -pix_fmt yuv420p clip.y4m")
    ffmpeg(f"{picture} -f lavfi -i sine=d=2 -c:v rawvideo -pix_fmt yuv420p -c:a pcm_s16le clip.nut")
    opening = 1
    while stops("clip.nut", opening, 0):
        opening += 1
    play.check(opening > 3, f"it was opened {opening - 1} times only")
    ffmpeg("-i clip.nut -c copy clip.mkv")
    of_mkv = 1
    while stops("clip.mkv", of_mkv, 0):
        of_mkv += 1
    play.check(of_mkv > opening, "the end of a Matroska file is looked at through another opening")
    play.check(any(stops("clip.y4m", i, 700000) for i in range(1, opening)), "no opening read the frames")
    result = up("clip.y4m", "out.mkv", "--segment", "8", clean=False)
    done(result)
    play.check("at frame" in result.err, f"nothing was kept of the first attempt: {result.err}")
    equal("frames", frames("out.mkv"), 50)


def case_a_list_that_is_a_pipe():
    """A pipe that nothing has opened for writing does not hold the program back from a signal; one with lines is a list."""
    ffmpeg(f"{CLIP} listed.mp4")
    remove("pipe", "listed.mkv")
    os.mkfifo("pipe")
    command = [RESR, "--jobs", "pipe", "-m", "enlarge.safetensors", "--threads", "1", "--progress", "none"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    fds = f"/proc/{process.pid}/fd"
    while not any(os.path.realpath(os.path.join(fds, fd)) == os.path.realpath("pipe") for fd in os.listdir(fds)):
        equal("running", process.poll(), None)
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=30)
    equal("exit code after SIGTERM", process.returncode, 75)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with open("pipe", "w", encoding="ascii") as pipe:
        pipe.write("-i listed.mp4 -o listed.mkv\n")
    process.communicate(timeout=60)
    equal("exit code", process.returncode, 0)
    equal("frames", frames("listed.mkv"), 5)


def case_interrupted_calls_are_repeated():
    ffmpeg("-f lavfi -i testsrc2=s=128x96:r=25:d=2 -f lavfi -i sine=d=2 -c:v rawvideo -pix_fmt yuv420p -c:a pcm_s16le clip.nut")
    done(up("clip.nut", "out.mkv", env={"LD_PRELOAD": os.environ["SHIM"], "SHIM_EINTR": "clip.nut"}))
    equal("frames", frames("out.mkv"), 50)


def case_a_failing_disk_is_no_damage():
    """One read fails, the same place can be read afterwards: never bridged, and not called damage."""
    for name in ("clip.mkv", "clip.mp4", "clip.ts", "clip.mpg"):
        ffmpeg(f"-f lavfi -i testsrc2=s=320x240:r=25:d=4 -f lavfi -i sine=d=4 -c:v mpeg2video -q:v 1 -g 10 -c:a mp2 {name}")
        for mode in ("stop", "continue"):
            env = {"LD_PRELOAD": os.environ["SHIM"], "SHIM_EIO": name, "SHIM_EIO_AT": str(os.path.getsize(name) * 7 // 10)}
            result = up(name, "out.mkv", "--codec", "mpeg4", "--on-error", mode, env=env)
            refused(result, 74, name, "cannot be read")
            equal(f"{name}, {mode}: output", os.path.exists("out.mkv"), False)


if __name__ == "__main__":
    play.main(globals())
