"""Pixel formats through the whole program: what real containers and codecs hold of palettes, depth, byte order,
alpha and subsampling comes out as it went in, or is refused by name, or is named in one warning.
"""
import array
import re
import struct

import play

SIDE = 32  # of a flat band: 8 chroma samples at least
HEIGHT = 64
PURE = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]  # exact with any number of bits
MIXED = [(0xc0, 0x40, 0x20), (0x20, 0xc0, 0x40), (0x40, 0x20, 0xc0), (0xb0, 0xb0, 0xb0)]  # YUV that is in RGB's range
WIDTH = SIDE * len(PURE)


def bands(colours, pix_fmt="gbrp"):
    """ffmpeg's source of flat vertical bands."""
    return "".join(f"color=0x{r:02x}{g:02x}{b:02x}:s={SIDE}x{HEIGHT}:r=25:d=0.12,format=gbrp[{i}];"
                   for i, (r, g, b) in enumerate(colours)) + "[0][1][2][3]hstack=4,format=" + pix_fmt


FFMPEG = ["ffmpeg", "-v", "fatal", "-y", "-nostdin"]

# Formats that raw video in NUT has a tag for and that the program refuses.
REFUSED = {"xyz12le", "xyz12be"}
# Formats that raw video in NUT has no tag for: FFmpeg writes them, and reads something else.
UNTAGGED = re.compile(r"(ayuv64|gbra?pf32|grayf32|nv24|nv42|p[0-9]{3}|x2(rgb|bgr)10|ya16|yuv440p1|yuvj)")


def clip(path, options, source=bands(MIXED)):
    play.ffmpeg("-f lavfi -i {source} -frames:v 3 " + options + " {path}", source=source, path=path)


def stream(path, entry="pix_fmt"):
    return play.probe(path, "stream=" + entry)[0]


def depth_of(name):
    """Bits of a sample, of the fewest where they differ."""
    few = re.match(r"(?:rgb|bgr)(8|444|555|565|4_byte)", name)
    if few:
        return {"444": 4, "555": 5, "565": 5}.get(few.group(1), 2)
    found = re.match(r"(?:yuva?j?\d{3}p|gray|gbra?p|ya)(\d+)", name)
    return 16 if "48" in name or "64" in name else int(found.group(1)) if found else 8


def is_yuv(name):
    return name.startswith(("yuv", "yuy", "nv", "uyvy", "yvyu"))


def common_format(name):
    if name.startswith(("gray", "mono", "ya8")):
        return "ya16le"
    return "yuva444p16le" if is_yuv(name) else "rgba64le"


def read_all(names, ending):
    """The first picture of each file in a format of 16 bits that loses nothing of it."""
    command = list(FFMPEG)
    for name in names:
        command += ["-i", name + ending]
    for i, name in enumerate(names):
        command += ["-map", f"{i}:V:0", "-frames:v", "1", "-sws_flags",
                    "neighbor+accurate_rnd+full_chroma_int+full_chroma_inp", "-pix_fmt", common_format(name),
                    "-f", "rawvideo", f"{name}{ending}.raw"]
    play.equal("ffmpeg", play.run(command).code, 0)
    samples = {}
    for name in names:
        with open(f"{name}{ending}.raw", "rb") as raw:
            samples[name] = array.array("H", raw.read())
    return samples


def sample(samples, name, width, height, x, y):
    """Components of one pixel: interleaved, or, of YUV, in planes."""
    if common_format(name) == "yuva444p16le":
        return [samples[(c * height + y) * width + x] for c in range(4)]
    count = 2 if common_format(name) == "ya16le" else 4
    return samples[(y * width + x) * count:][:count]


def case_every_format_in_nut():
    listed = play.run(["ffmpeg", "-hide_banner", "-pix_fmts"]).out
    names = [name for name in re.findall(r"^IO... (\S+)", listed, re.M) if not UNTAGGED.match(name)]
    play.check(len(names) > 120, f"only {len(names)} formats")
    command = FFMPEG + ["-f", "lavfi", "-i", bands(MIXED), "-f", "lavfi", "-i", bands(PURE)]
    for name in names:
        command += ["-map", "0" if is_yuv(name) else "1", "-frames:v", "1", "-pix_fmt", name, "-c:v", "rawvideo",
                    name + ".nut"]
    play.equal("ffmpeg", play.run(command).code, 0)
    with open("jobs", "w") as jobs:
        jobs.writelines(f"-i {name}.nut -o {name}.mkv\n" for name in names)
    result = play.run([play.RESR, "--jobs", "jobs", "-m", "enlarge.safetensors", "--codec", "ffv1", "--checkpoint",
                       "off", "--progress", "none", "--threads", "1"], timeout=300)
    played = [name for name in names if name not in REFUSED]
    for name in REFUSED:
        play.check(f"{name}.nut: pixel format {name} is not supported" in result.err, f"{name} is not refused by name")
    play.check(f"{len(played)} videos done, {len(REFUSED)} failed" in result.err, result.err[-600:])
    before, after = read_all(played, ".nut"), read_all(played, ".mkv")
    wrong = []
    for name in played:
        level = max(65535 / ((1 << depth_of(name)) - 1), 64)  # ffmpeg's own conversion has 15 bits
        for band in range(4):
            for x, y in ((14, 20), (15, 33), (17, 40)):
                x += band * SIDE
                old = sample(before[name], name, WIDTH, HEIGHT, x, y)
                new = sample(after[name], name, 2 * WIDTH, 2 * HEIGHT, 2 * x, 2 * y + 1)
                if max(abs(a - b) for a, b in zip(old, new)) > 1.02 * level:
                    wrong.append((name, band, list(old), list(new)))
    play.check(not wrong, f"{sorted({entry[0] for entry in wrong})}: {wrong[:3]}")


def write_indexed(path, alphas, frames=3):
    """Raw video with a palette: three vertical bars of red, green and blue with these alphas."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    palette = b"".join(struct.pack("<I", alpha << 24 | r << 16 | g << 8 | b)
                       for alpha, (r, g, b) in zip(alphas, colours)) + bytes((0, 0, 0, 255)) * 253
    with open(path, "wb") as raw:
        raw.write((bytes(x // 8 for x in range(24)) * 16 + palette) * frames)


def bars(path, alphas):
    """The middle of each bar has its colour and alpha, within the loss of the codec."""
    data = play.pixels(path, "rgba")
    for i, expected in enumerate(((255, 0, 0, alphas[0]), (0, 255, 0, alphas[1]), (0, 0, 255, alphas[2]))):
        pixel = data[(15 * 48 + 16 * i + 7) * 4:][:4]
        play.check(all(abs(a - b) <= 4 for a, b in zip(pixel, expected)),
                   f"{path}: bar {i} is {tuple(pixel)}, expected {expected}")


def case_palettes():
    write_indexed("solid.raw", (255, 255, 255))
    write_indexed("clear.raw", (255, 128, 0))
    raw = "-f rawvideo -pix_fmt pal8 -s 24x16 -r 25 -i {raw} "
    table = [  # input, how it is made, output, its options, alpha is kept
        ("p.bmp", "-frames:v 1", "o.png", [], False),
        ("p.pcx", "-frames:v 1", "o.png", [], False),
        ("p.tiff", "-frames:v 1", "o.png", [], False),
        ("p.png", "-frames:v 1", "o.png", [], True),
        ("p.avi", "-c:v rawvideo", "o.mp4", ["--crf", "1"], False),
        ("p.nut", "-c:v rawvideo", "o.mkv", ["--codec", "ffv1"], False),
        ("z.avi", "-c:v zmbv", "o.mov", ["--codec", "qtrle"], False),
        ("q.mkv", "-c:v zmbv", "o.mkv", ["--codec", "libx264rgb", "--crf", "0"], False),
        ("r.mov", "-c:v rawvideo", "o.mkv", ["--codec", "ffv1"], False),
        ("p.mov", "-c:v png", "o.mkv", ["--codec", "ffv1"], True),
        ("g.gif", "-c:v gif", "o.mkv", ["--codec", "ffv1"], False),
        ("a.apng", "-c:v apng -f apng", "o.mov", ["--codec", "png"], True),
    ]
    for source, made, output, options, alpha in table:
        for kind, alphas in (("solid.raw", (255, 255, 255)), ("clear.raw", (255, 128, 0))):
            if kind == "clear.raw" and not alpha:
                continue
            play.ffmpeg(raw + made + " {source}", raw=kind, source=source)
            play.done(play.up(source, output, *options))
            bars(output, alphas)
            has_alpha = stream(output) in ("rgba", "bgra", "gbrap")
            if source not in ("g.gif", "a.apng"):  # these are always decoded with alpha
                play.equal(f"{source}, {kind}: alpha in {stream(output)}", has_alpha, kind == "clear.raw")


def case_palette_then_transparency():
    """Opaque frames fit a video that has alpha; transparency that turns up later is an error, not a loss."""
    write_indexed("solid.raw", (255, 255, 255), 1)
    write_indexed("clear.raw", (255, 128, 0), 1)
    for name in ("solid", "clear"):
        play.ffmpeg("-f rawvideo -pix_fmt pal8 -s 24x16 -i {n}.raw -frames:v 1 {n}.tga.png", n=name)
    for order, code in ((("clear", "solid"), 0), (("solid", "clear"), 65)):
        play.remove("joined.mkv")
        with open("list.ffconcat", "w") as entries:
            entries.write("".join(f"file {name}.tga.png\nduration 0.04\n" for name in order))
        play.ffmpeg("-f concat -safe 0 -i list.ffconcat -c copy joined.mkv")
        result = play.up("joined.mkv", "o.mkv", "--codec", "ffv1")
        if code == 0:
            play.done(result)
            play.equal("format", stream("o.mkv"), "bgra")
            data = play.pixels("o.mkv", "rgba")
            play.equal("alpha of frame 1", set(data[48 * 32 * 4 + 3::4]), {255})
        else:
            play.refused(result, code, "frame 1", "gbrap")


def case_targa_of_grey_and_alpha():
    pixels = [(x * 30, 255 - x * 20) for x in range(8)]
    rows = b"".join(bytes(pair) for pair in pixels) * 4
    packed = b"".join(bytes([7]) + rows[16 * y:16 * y + 16] for y in range(4))
    for kind, data in ((3, rows), (11, packed)):
        with open("grey.tga", "wb") as picture:
            picture.write(struct.pack("<BBBHHBHHHHBB", 0, 0, kind, 0, 0, 0, 0, 0, 8, 4, 16, 0x28) + data)
        play.done(play.up("grey.tga", "o.png"))
        got = play.pixels("o.png", "rgba")
        for x, (grey, alpha) in enumerate(pixels):
            pixel = got[(3 * 16 + 2 * x) * 4:][:4]
            play.equal(f"grey of pixel {x}", tuple(pixel[:3]), (grey, grey, grey))
            play.check(abs(pixel[3] - alpha) <= 6, f"alpha of pixel {x}: {pixel[3]}, expected about {alpha}")


def case_alpha_of_videos():
    """Left half opaque, right half not: seen in the output's own alpha, whatever its codec."""
    source = f"color=red:s=64x48:r=25:d=0.12,format=rgba,geq=r=255:g=0:b=0:a='if(lt(X,32),255,60)'"
    table = [  # input, encoder's options, output, codec, pixel format
        ("a.mov", "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le", "o.mov", "prores_ks", "yuva444p12le"),
        ("a.webm", "-c:v libvpx-vp9 -pix_fmt yuva420p -auto-alt-ref 0", "o.webm", "libvpx-vp9", "yuva420p"),
        ("b.webm", "-c:v libvpx -pix_fmt yuva420p -auto-alt-ref 0", "o.mkv", "libvpx", "yuva420p"),
        ("a.webm", "", "o.mkv", "ffv1", "yuva420p"),
        ("q.mov", "-c:v qtrle -pix_fmt argb", "o.mov", "qtrle", "argb"),
        ("q.mov", "", "o.mkv", "ffv1", "bgra"),
        ("q.mov", "", "o.avi", "huffyuv", "bgra"),
        ("u.avi", "-c:v utvideo -pix_fmt gbrap", "o.avi", "utvideo", "gbrap"),
        ("r.mov", "-c:v png -pix_fmt rgba64be", "o.mov", "png", "rgba64be"),
        ("y.mkv", "-c:v ffv1 -pix_fmt ya8", "o.mkv", "ffv1", "ya8"),
    ]
    for source_name, made, output, codec, pix_fmt in table:
        if made:
            clip(source_name, made, source)
        result = play.up(source_name, output, "--codec", codec)
        play.done(result)
        play.check("transparency" not in result.err, f"{output}: a warning without a loss: {result.err}")
        decoder = {"libvpx-vp9": ["-c:v", "libvpx-vp9"], "libvpx": ["-c:v", "libvpx"]}.get(codec, [])
        data = play.run(["ffmpeg", "-v", "error", *decoder, "-i", output, "-frames:v", "1", "-vf",
                         "alphaextract,format=gray,crop=1:1:20:48,signalstats,metadata=print:file=-", "-f", "null",
                         "-"]).out
        right = play.run(["ffmpeg", "-v", "error", *decoder, "-i", output, "-frames:v", "1", "-vf",
                          "alphaextract,format=gray,crop=1:1:100:48,signalstats,metadata=print:file=-", "-f", "null",
                          "-"]).out
        for text, expected in ((data, 255), (right, 60)):
            found = re.search(r"YAVG=([\d.]+)", text)
            play.check(found and abs(float(found.group(1)) - expected) < 4,
                       f"{source_name} to {output} with {codec}: alpha {found and found.group(1)}, not {expected}")
        if not decoder:
            play.equal(f"{output}, {codec}", stream(output), pix_fmt)


def case_formats_kept():
    """(input's format, codec, output) gives this format, and a warning with these words or none."""
    table = [
        ("bgr0", "ffv1", "o.mkv", "bgr0", ()),
        ("gbrp10le", "ffv1", "o.mkv", "gbrp10le", ()),
        ("gbrp16le", "ffv1", "o.mkv", "gbrp16le", ()),
        ("yuv420p12le", "ffv1", "o.mkv", "yuv420p12le", ()),
        ("yuv422p16le", "ffv1", "o.mkv", "yuv422p16le", ()),
        ("gray16le", "ffv1", "o.mkv", "gray16le", ()),
        ("bgr0", "huffyuv", "o.avi", "bgr0", ()),
        ("bgr0", "libx264rgb", "o.mp4", "gbrp", ()),
        ("bgr0", "libx265", "o.mp4", "gbrp", ()),
        ("bgr0", "libx264", "o.mp4", "yuv444p", ("RGB (becomes YUV)", "--codec libx264rgb")),
        ("gbrp10le", "qtrle", "o.mov", "rgb24", ("10 bits (become 8)", "--codec")),
        ("gbrp16le", "libx264", "o.mp4", "yuv444p10le", ("16 bits (become 10), RGB (becomes YUV)", "ffv1", ".mkv")),
        ("yuv420p", "libx264", "o.mp4", "yuv420p", ()),
        ("yuv420p", "mpeg4", "o.mkv", "yuv420p", ()),
        ("yuv420p", "huffyuv", "o.avi", "yuv422p", ()),
        ("yuv420p12le", "libx264", "o.mp4", "yuv420p10le", ("12 bits (become 10)", "--codec libx265")),
        ("yuv444p", "mpeg4", "o.mp4", "yuv420p", ("chroma 4:4:4 (becomes 4:2:0)", "--codec libx264")),
        ("yuv422p10le", "libsvtav1", "o.mkv", "yuv420p10le", ("chroma 4:2:2 (becomes 4:2:0)", "--codec")),
        ("yuv411p", "libx264", "o.mp4", "yuv422p", ()),
        ("yuv420p", "qtrle", "o.mov", "rgb24", ("YUV (becomes RGB)", "--codec")),
        ("yuv420p", "mjpeg", "o.mkv", "yuvj420p", ("limited range (becomes full range)",)),
        ("gray", "mpeg4", "o.mp4", "yuv420p", ()),
        ("bgra", "libx264", "o.mp4", "yuv444p", ("transparency, RGB (becomes YUV)", "--codec ffv1 and an .mkv")),
        ("yuva420p", "libvpx-vp9", "o.mp4", "yuv420p", ("transparency", "--codec ffv1 and an .mkv")),
        ("bgr0", "gif", "o.gif", "bgra", ("8 bits (become 2)",)),
        ("bgra", "hap", "o.mov", "rgb0", ("transparency", "--codec ffv1 and an .mkv")),
        ("bgr0", "rawvideo", "o.avi", "rgba", ()),  # planar RGB has no tag there
        ("bgr0", "rawvideo", "o.nut", "gbrp", ()),
        ("yuv420p", "amv", "o.avi", None, ("limited range (becomes full range)",)),
    ]
    for source in sorted({row[0] for row in table}):
        clip(source + ".mkv", "-pix_fmt " + source + " -c:v ffv1")
    for source, codec, output, expected, words in table:
        result = play.up(source + ".mkv", output, "--codec", codec)
        play.done(result)
        if expected:
            play.equal(f"{source} by {codec} to {output}", stream(output), expected)
        warnings = [line for line in result.err.splitlines() if "does not keep" in line]
        play.equal(f"{source} by {codec}: warnings {warnings}", len(warnings), 1 if words else 0)
        for word in words:
            play.check(word in warnings[0], f"'{word}' is missing in: {warnings[0]}")
        old, new = play.pixels(source + ".mkv"), play.pixels(output)
        for band in range(4):
            a = old[(30 * WIDTH + band * SIDE + 15) * 3:][:3]
            b = new[(60 * 2 * WIDTH + 2 * (band * SIDE + 15)) * 3:][:3]
            play.check(max(abs(x - y) for x, y in zip(a, b)) <= (40 if codec == "gif" else 12),
                       f"{source} by {codec}: {tuple(a)} is {tuple(b)}")


def case_every_rank_encodes_alike():
    """Ranks that encode do not know the container; they take rank 0's choice."""
    clip("rgb.mkv", "-pix_fmt bgr0 -c:v ffv1")
    options = ("--codec", "rawvideo", "--segment", "1")
    play.done(play.up("rgb.mkv", "one.avi", *options))
    play.done(play.up("rgb.mkv", "two.avi", *options, "--encode", "ranks", "--batch", "1", ranks=2))
    play.check(play.pixels("one.avi", "rgba") == play.pixels("two.avi", "rgba"), "two ranks encode other pixels")


def case_pix_fmt():
    """--pix-fmt names any format that the encoder takes, packed ones too; then nothing is warned of."""
    clip("rgb.mkv", "-pix_fmt bgr0 -c:v ffv1")
    for name, codec, output, expected in (("bgra", "ffv1", "o.mkv", "bgra"), ("nv12", "libx264", "o.mp4", "yuv420p"),
                                          ("rgb24", "libx264rgb", "o.mp4", "gbrp"),
                                          ("rgb48be", "png", "o.mov", "rgb48be"),
                                          ("rgb555be", "qtrle", "o.mov", "rgb555le"),
                                          ("gray", "ffv1", "o.mkv", "gray"), ("ya8", "ffv1", "o.mkv", "ya8"),
                                          ("yuyv422", "rawvideo", "o.avi", "yuyv422"),
                                          ("yuvj444p", "libx264", "o.mp4", "yuvj444p")):
        result = play.up("rgb.mkv", output, "--codec", codec, "--pix-fmt", name)
        play.done(result)
        play.check("does not keep" not in result.err, result.err)
        play.equal(f"{name} by {codec}", stream(output), expected)
        luma = play.pixels(output, "gray")[60 * 2 * WIDTH + 30]
        play.check(85 <= luma <= 115, f"{name} by {codec}: 0xc04020 has luma {luma}")
    for name, codec, output, word in (("pal8", "png", "o.mov", "'pal8'"),
                                      ("xyz12le", "libopenjpeg", "o.mov", "xyz12le"),
                                      ("nonsense", "ffv1", "o.mkv", "nonsense"),
                                      ("yuv420p", "qtrle", "o.mov", "yuv420p"),
                                      ("yuva420p", "libvpx-vp9", "o.mp4", ".webm")):
        play.refused(play.up("rgb.mkv", output, "--codec", codec, "--pix-fmt", name), 64, "--pix-fmt", word)
        play.equal("left over", play.leftovers(output), [])


def case_refused_formats():
    """Formats that only an input can have are refused by their names before any work."""
    with open("zeros.raw", "wb") as raw:
        raw.write(bytes(64 * 64 * 16))
    play.ffmpeg("-f rawvideo -pix_fmt uyyvyy411 -s 64x64 -i zeros.raw -frames:v 1 -c copy uyyvyy411.nut")
    play.ffmpeg("-f rawvideo -pix_fmt bayer_rggb16le -s 64x64 -i zeros.raw -frames:v 1 -c copy bayer_rggb16le.nut")
    clip("gbrpf32le.pfm", "-frames:v 1 -pix_fmt gbrpf32le")
    clip("xyz12le.mxf", "-c:v libopenjpeg -pix_fmt xyz12le -profile:v cinema2k -format j2k", "testsrc2=s=128x128:r=25")
    for path in ("uyyvyy411.nut", "bayer_rggb16le.nut", "gbrpf32le.pfm", "xyz12le.mxf"):
        output = "o.png" if path.endswith(".pfm") else "o.mkv"
        play.refused(play.up(path, output), 65, path, path.split(".")[0])
        play.equal("left over", play.leftovers(output), [])


play.main(globals())
