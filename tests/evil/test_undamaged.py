"""Undamaged odd files end with exit code 0, with every frame at its time: what looks like damage and is none."""
import os
import struct

import play

VIDEO = "-f lavfi -i testsrc2=s=64x48:r={rate} -frames:v {n}"
SINE = "-f lavfi -i sine=440:r=48000:d={seconds}"


def made(name, options, n=12, rate="25", first="", seconds=None):
    """Makes a clip: `options` stand behind the picture (and the sound, where `seconds` says how long it is)."""
    sound = SINE.format(seconds=seconds) if seconds else ""
    play.ffmpeg(f"{first} -f lavfi -i testsrc2=s=64x48:r={rate} {sound} -frames:v {n} {options} {name}")


def chunks(data):
    """Begin and end of an AVI file's list of chunks ("movi")."""
    at = data.index(b"movi")
    return at + 4, at - 4 + 4 + struct.unpack("<I", data[at - 4:at])[0]


def rebuild_avi(source, target, change, index=False, count=None):
    """Copies an AVI file with `change` applied to the list of its video chunks."""
    data = open(source, "rb").read()
    at, end = chunks(data)
    found = []
    header = data[:at - 12]
    while at < end:
        size = struct.unpack("<I", data[at + 4:at + 8])[0]
        if data[at:at + 4] == b"00dc":
            found.append(data[at + 8:at + 8 + size])
        at += 8 + size + (size & 1)
    found = change(found)
    body, entries = b"movi", b""
    for chunk in found:
        entries += b"00dc" + struct.pack("<III", 16, len(body), len(chunk))
        body += b"00dc" + struct.pack("<I", len(chunk)) + chunk + b"\0" * (len(chunk) & 1)
    tail = b"LIST" + struct.pack("<I", len(body)) + body
    if index:
        tail += b"idx1" + struct.pack("<I", len(entries)) + entries
    header = header[:4] + struct.pack("<I", len(header) - 8 + len(tail)) + header[8:]
    if count is not None:
        length = header.index(b"strh") + 8 + 32
        header = header[:length] + struct.pack("<I", count) + header[length + 4:]
    open(target, "wb").write(header + tail)


def packed(found):
    """DivX "packed bitstream": P and B in one chunk, then an empty N-VOP."""
    def bits(chunk):
        at = chunk.index(b"\0\0\1\xb6") + 4
        return "".join(f"{x:08b}" for x in chunk[at:at + 8])

    def empty(chunk):
        text, k = bits(chunk), 2
        while text[k] == "1":
            k += 1
        out = "010" + "1" + text[k + 2:k + 7] + "1" + "0" + "0"
        out += "1" * (-len(out) % 8)
        return b"\0\0\1\xb6" + int(out, 2).to_bytes(len(out) // 8, "big")

    at = found[0].index(b"\0\0\1\xb6")
    found[0] = found[0][:at] + b"\0\0\1\xb2DivX503b1393p" + found[0][at:]
    out, k = [], 0
    while k < len(found):
        if k + 1 < len(found) and bits(found[k + 1])[:2] == "10":
            out += [found[k] + found[k + 1], empty(found[k])]
            k += 2
        else:
            out.append(found[k])
            k += 1
    return out


def holes(found):
    """Dropped frames: empty chunks in the middle and at the end."""
    return found[:4] + [b""] + found[4:9] + [b"", b""] + found[9:] + [b""]


def empty_sample(name):
    """MOV with a sample of no bytes in the middle: a dropped frame."""
    made(name, "-c:v mjpeg")
    data = bytearray(open(name, "rb").read())
    at = data.index(b"stsz") + 16 + 4 * 5
    before, size = struct.unpack(">II", data[at:at + 8])
    data[at:at + 8] = struct.pack(">II", before + size, 0)
    open(name, "wb").write(data)


def divx(name, index):
    made("divx.avi", "-c:v mpeg4 -vtag DX50 -bf 1 -q:v 2 -g 100 -mpv_flags +strict_gop", 11)
    rebuild_avi("divx.avi", name, packed, index)


def empty_chunks(name, codec, **how):
    made("full.avi", f"-c:v {codec}")
    rebuild_avi("full.avi", name, holes, **how)


def joined(name, *parts):
    with open(name, "wb") as out:
        for part in parts:
            out.write(open(part, "rb").read())


def twice(name, options):
    made("part.ts", options, 10)
    joined(name, "part.ts", "part.ts")


def from_the_middle(name, skip, options):
    """A recording that starts between keyframes."""
    made("whole." + name, options, 25)
    data = open("whole." + name, "rb").read()
    open(name, "wb").write(data[skip(data):])


def cover(name):
    play.ffmpeg("-f lavfi -i testsrc2=s=32x32 -frames:v 1 cover.png")
    made("plain.mp4", "-c:v libx264 -bf 2 -pix_fmt yuv420p")
    play.ffmpeg(f"-i plain.mp4 -i cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic {name}")


def trimmed(name, start):
    made("long.mp4", "-c:v libx264 -g 10 -bf 3 -pix_fmt yuv420p -c:a aac", 40, seconds=1.6)
    play.ffmpeg(f"-ss {start} -i long.mp4 -t 0.6 -c copy {name}")


def remuxed(name, options, source="plain.mp4"):
    made(source, "-c:v libx264 -bf 2 -pix_fmt yuv420p -c:a aac", seconds=0.5)
    play.ffmpeg(f"-i {source} {options} -c copy {name}")


def piped(name, options):
    remuxed("source.mkv", "")
    data = play.subprocess.run(["ffmpeg", "-v", "error", "-i", "source.mkv", "-c", "copy", *options.split(), "-"],
                               stdout=play.subprocess.PIPE, check=True).stdout
    open(name, "wb").write(data)


def bits_after(name, count):
    """Bytes behind the end of the file proper."""
    remuxed(name, "")
    open(name, "ab").write(b"\0" * count)


X264 = "-c:v libx264 -bf 2 -pix_fmt yuv420p"
VFR = "-vf setpts='if(lt(N\\,6)\\,N\\,6+(N-6)*4)/25/TB' -vsync passthrough"
LAST_LONG = "-vf setpts='if(lt(N\\,11)\\,N\\,99)/25/TB' -vsync passthrough"
# name of the file: how it is made
FILES = {
    "n1.mp4": lambda f: made(f, X264, 1),
    "n2.mp4": lambda f: made(f, X264, 2),
    "n3.mkv": lambda f: made(f, X264, 3),
    "n1.avi": lambda f: made(f, "-c:v mpeg4", 1),
    "n1.ts": lambda f: made(f, "-c:v mpeg2video", 1),
    "n1.gif": lambda f: made(f, "", 1),
    "vfr.mp4": lambda f: made(f, f"{VFR} {X264}"),
    "vfr.mkv": lambda f: made(f, f"{VFR} {X264}"),
    "vfr.webm": lambda f: made(f, f"{VFR} -c:v libvpx -auto-alt-ref 1 -lag-in-frames 8"),
    "vfr.flv": lambda f: made(f, f"{VFR} -c:v flv1"),
    "last_long.mkv": lambda f: made(f, f"{LAST_LONG} {X264}"),
    "last_long.mp4": lambda f: made(f, f"{LAST_LONG} {X264}"),
    "last_long.flv": lambda f: made(f, f"{LAST_LONG} -c:v flv1"),
    "long_last.mkv": lambda f: (made("l.mp4", f"{LAST_LONG} {X264}"), play.ffmpeg(f"-i l.mp4 -c copy {f}")),
    "odd_rate.mp4": lambda f: made(f, X264, rate="23333/1936"),
    "slow.mp4": lambda f: made(f, X264, 4, rate="1/3"),
    "fast.mkv": lambda f: made(f, X264, rate="1000"),
    "ntsc.mov": lambda f: made(f, "-c:v prores_ks -profile:v 0", rate="24000/1001"),
    "sound_late.mkv": lambda f: play.ffmpeg(f"-f lavfi -i testsrc2=s=64x48:r=24000/1001:d=0.5 -itsoffset 0.244 -f lavfi "
                                            f"-i sine=440:d=0.5 -map 0 -map 1 {X264} -c:a aac {f}"),
    "picture_late.mp4": lambda f: (made("n.mp4", X264), play.ffmpeg(
        f"-itsoffset 0.3 -i n.mp4 -f lavfi -i sine=440:d=0.8 -map 0:v -map 1:a -c:v copy -c:a aac {f}")),
    "sound_longer.mp4": lambda f: made(f, f"{X264} -c:a aac", seconds=2),
    "sound_longer.mkv": lambda f: made(f, f"{X264} -c:a aac", seconds=2),
    "sound_longer.flv": lambda f: made(f, "-c:v flv1 -c:a aac", seconds=2),
    "sound_longer.avi": lambda f: made(f, "-c:v mpeg4 -c:a mp2", seconds=2),
    "sound_longer.wmv": lambda f: made(f, "-c:v wmv2 -c:a wmav2", seconds=2),
    "sound_longer.ogv": lambda f: made(f, "-c:v libtheora -c:a libvorbis", seconds=2),
    "sound_shorter.flv": lambda f: made(f, "-c:v flv1 -c:a aac", 25, seconds=0.3),
    "edit.mp4": lambda f: trimmed(f, 0.5),
    "edit.mov": lambda f: trimmed(f, 0.36),
    "edit.mkv": lambda f: trimmed(f, 0.5),
    "empty_sample.mov": empty_sample,
    "xvid.avi": lambda f: made(f, "-c:v mpeg4 -vtag XVID -bf 2 -q:v 2"),
    "packed.avi": lambda f: divx(f, False),
    "packed_index.avi": lambda f: divx(f, True),
    "h264.avi": lambda f: made(f, "-c:v libx264 -bf 3 -pix_fmt yuv420p"),
    "holes.avi": lambda f: empty_chunks(f, "mpeg4"),
    "holes_index.avi": lambda f: empty_chunks(f, "mjpeg", index=True),
    "holes_count.avi": lambda f: empty_chunks(f, "mpeg4", index=True, count=99),
    "mjpeg.avi": lambda f: made(f, "-c:v mjpeg -q:v 2"),
    "huffyuv.avi": lambda f: made(f, "-c:v huffyuv -pix_fmt yuv422p"),
    "rgb.avi": lambda f: made(f, "-c:v rawvideo -pix_fmt bgr24", 3),
    "dv.avi": lambda f: made(f, "-s 720x576 -c:v dvvideo -pix_fmt yuv420p", 2),
    "raw.h264": lambda f: made(f, X264),
    "raw.hevc": lambda f: made(f, "-c:v libx265 -x265-params log-level=none"),
    "raw.m4v": lambda f: made(f, "-c:v mpeg4 -bf 2"),
    "raw.m2v": lambda f: made(f, "-c:v mpeg2video -bf 2"),
    "raw.mjpeg": lambda f: made(f, "-c:v mjpeg"),
    "raw.dv": lambda f: made(f, "-s 720x576 -c:v dvvideo -pix_fmt yuv420p", 2),
    "wrap.ts": lambda f: made(f, "-c:v mpeg2video -c:a mp2 -output_ts_offset 95443.5 -muxdelay 0", 25, seconds=1),
    "twice.ts": lambda f: twice(f, X264),
    "twice_mpeg2.ts": lambda f: twice(f, "-c:v mpeg2video -g 5"),
    "middle.ts": lambda f: from_the_middle(f, lambda d: 188 * (len(d) // 188 // 3), "-c:v mpeg2video -g 10 -bf 2 "
                                           "-f mpegts -mpegts_flags +resend_headers"),
    "middle_h264.ts": lambda f: from_the_middle(f, lambda d: 188 * (len(d) // 188 // 3), f"{X264} -g 10 -f mpegts "
                                                "-mpegts_flags +resend_headers"),
    "middle.m2v": lambda f: from_the_middle(f, lambda d: len(d) // 3, "-c:v mpeg2video -g 10 -bf 2"),
    "dvd.vob": lambda f: made(f, "-vf scale=96:64 -aspect 16:9 -c:v mpeg2video -bf 2 -q:v 3 -f vob", 6, "30000/1001"),
    "interlaced.mpg": lambda f: made(f, "-vf tinterlace=interleave_top,setfield=tff -c:v mpeg2video -flags +ildct+ilme "
                                     "-q:v 3", 10, "50"),
    "telecine.mpg": lambda f: made(f, "-vf telecine -c:v mpeg2video -flags +ildct+ilme -q:v 3", 15, "24000/1001"),
    "blu_ray.m2ts": lambda f: made(f, f"{X264} -c:a mp2 -mpegts_m2ts_mode 1 -f mpegts", 30, seconds=1.2),
    "cover.mp4": cover,
    "live.mkv": lambda f: piped(f, "-f matroska"),
    "fragments.mp4": lambda f: piped(f, "-f mp4 -movflags frag_keyframe+empty_moov"),
    "hybrid.mp4": lambda f: remuxed(f, "-movflags frag_keyframe"),
    "trailing.mp4": lambda f: bits_after(f, 1000),
    "trailing.mkv": lambda f: bits_after(f, 1000),
    "trailing.flv": lambda f: bits_after(f, 7),
    "timecode.mov": lambda f: remuxed(f, "-timecode 01:00:00:00"),
    "phone.3gp": lambda f: made(f, "-c:v h263 -s 128x96"),
    "plain.webm": lambda f: made(f, "-c:v libvpx-vp9 -row-mt 1 -deadline realtime -cpu-used 8"),
    "av1.mkv": lambda f: made(f, "-c:v libaom-av1 -cpu-used 8 -usage realtime", 6),
    "plain.ivf": lambda f: made(f, "-c:v libvpx"),
    "vfr.ivf": lambda f: made(f, f"{VFR} -c:v libvpx"),
    "plain.ogv": lambda f: made(f, "-c:v libtheora"),
    "plain.wmv": lambda f: made(f, "-c:v wmv2 -c:a wmav2", seconds=0.5),
    "msmpeg4.wmv": lambda f: made(f, "-c:v msmpeg4"),
    "h264.flv": lambda f: made(f, f"{X264} -c:a aac", seconds=0.5),
    "no_duration.flv": lambda f: made(f, "-c:v flv1 -flvflags no_duration_filesize"),
    "plain.mxf": lambda f: made(f, "-c:v mpeg2video"),
    "plain.nut": lambda f: made(f, "-c:v ffv1"),
    "plain.y4m": lambda f: made(f, "-pix_fmt yuv420p", 3),
    "plain.rm": lambda f: made(f, "-c:v rv20"),
    "plain.gif": lambda f: made(f, ""),
    "plain.apng": lambda f: made(f, "-f apng", 4),
    "ffv1.mkv": lambda f: made(f, "-c:v ffv1 -level 3 -slicecrc 1"),
    "open_gop.mkv": lambda f: made(f, "-c:v libx265 -x265-params log-level=none:keyint=6:min-keyint=6:open-gop=1", 20),
    "fields.ts": lambda f: made(f, "-vf tinterlace=interleave_top,setfield=tff -c:v libx264 -flags +ildct+ilme "
                                "-pix_fmt yuv420p", 16, "50"),
    "data.ts": lambda f: remuxed(f, "-map 0 -f mpegts -mpegts_flags +resend_headers"),
}
# Recordings from the middle start with pictures that cannot be decoded; joined parts get new times; files without
# times get them from the frame rate.
STARTS_LATE = {"middle.ts", "middle_h264.ts", "middle.m2v"}
NEW_TIMES = {"twice.ts", "twice_mpeg2.ts", "packed.avi", "packed_index.avi"}


def shown(path):
    """Times of the frames that FFmpeg shows, in units of the stream's time base; None: without a time."""
    lines = play.probe(path, "frame=best_effort_timestamp")
    return [int(text) if text.lstrip("-").isdigit() else None for text in (line.split(",")[0] for line in lines)]


def differ(name, make):
    """What is wrong with one file, or None."""
    make(name)
    output = "out.nut" if name.endswith((".wmv", "cover.mp4")) else "out.mkv"
    result = play.up(name, output, "--codec", "ffv1", "--framehash", "hashes")
    if result.code != 0:
        return f"exit code {result.code}: {result.err.strip()[-300:]}"
    expected, found = shown(name), [int(line.split()[1]) for line in open("hashes")]
    if len(expected) != len(found) or not found:
        return f"{len(found)} frames, expected {len(expected)}: {result.err.strip()[-300:]}"
    steps = [b - a for a, b in zip(found, found[1:])]
    if min(steps, default=1) <= 0:
        return f"times that do not rise: {found}"
    if name not in NEW_TIMES and any(a not in (None, b) for a, b in zip(expected, found)):
        return f"times {found}, expected {expected}"
    if (name in STARTS_LATE) != ("before the first decodable picture" in result.err):
        return f"skipped frames: {result.err.strip()[-300:]}"
    if "damaged" in result.err:
        return f"called damaged: {result.err.strip()[-300:]}"
    return None


def case_all():
    play.check(len(FILES) >= 60, "at least 60 files are played")
    share = int(os.environ.get("RESR_TEST_SHARE", "1"))
    wanted = os.environ.get("ONLY", "").split() or list(FILES)[::share]
    wrong = {name: text for name in wanted if (text := differ(name, FILES[name]))}
    play.check(not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items()))


play.main(globals())
