"""Output containers: what can be stored arrives unchanged, what cannot is refused before the work, with an ending that
holds it; times that run backward or jump; streams that appear late; rotation."""
import os
import re
import struct

import play
from play import ffmpeg

VIDEO = "-f lavfi -i testsrc2=s=32x24:r=25:d=0.4"
SOUND = "-f lavfi -i sine=440:r=48000:d=0.4"


def hashes(path, *streams):
    """Hashes of the packets of the sound and the subtitles, or of the streams given."""
    wanted = [word for stream in streams or ("0:a?", "0:s?") for word in ("-map", stream)]
    done = play.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, *wanted, "-c", "copy", "-f", "streamhash", "-"])
    return sorted(re.sub(r"^\d+,", "", line) for line in done.out.splitlines())


def packets(path, stream, entry="dts_time"):
    return [float(text) for text in play.probe(path, f"packet={entry}", stream) if text not in ("", "N/A")]


def codecs(path, kind):
    lines = play.probe(path, "stream=index,codec_name", kind)
    return [line.split(",")[1] for line in dict.fromkeys(lines)]  # streams of a programme are listed twice


def refused_at_once(result, output, *words):
    play.refused(result, 64, *words)
    play.check(result.seconds < 5, f"the refusal took {result.seconds:.1f} s")
    play.equal("left over", play.leftovers(output), [])


def pgs(path):
    """Two bitmap subtitles: a white box of 8x8."""
    def segment(at, kind, body):
        return b"PG" + struct.pack(">IIBH", int(at * 90000), 0, kind, len(body)) + body
    out = b""
    for start, end in ((.1, .2), (.25, .3)):
        box = b"".join(b"\1" * 8 + b"\0\0" for _ in range(8))
        window = struct.pack(">BBHHHH", 1, 0, 8, 8, 8, 8)
        out += segment(start, 0x16, struct.pack(">HHBHBBBB", 32, 24, 16, 0, 128, 0, 0, 1) +
                       struct.pack(">HBBHH", 0, 0, 0, 8, 8))
        out += segment(start, 0x17, window) + segment(start, 0x14, bytes([0, 0, 1, 235, 128, 128, 255]))
        out += segment(start, 0x15, struct.pack(">HBB", 0, 0, 0xC0) + struct.pack(">I", len(box) + 4)[1:] +
                       struct.pack(">HH", 8, 8) + box) + segment(start, 0x80, b"")
        out += segment(end, 0x16, struct.pack(">HHBHBBBB", 32, 24, 16, 1, 0, 0, 0, 0))
        out += segment(end, 0x17, window) + segment(end, 0x80, b"")
    with open(path, "wb") as file:
        file.write(out)


def renumber(source, target):
    """Continuity counters of a transport stream that was joined, as if one multiplexer had written it."""
    data, counters = bytearray(open(source, "rb").read()), {}
    for i in range(0, len(data) - 187, 188):
        pid = (data[i + 1] & 31) << 8 | data[i + 2]
        if pid == 0x1FFF:
            continue
        if data[i + 3] >> 4 & 1:
            counters[pid] = (counters.get(pid, -1) + 1) & 15
        data[i + 3] = data[i + 3] & 0xF0 | counters.get(pid, 0)
    with open(target, "wb") as file:
        file.write(data)


def join(target, *parts):
    with open("joined.raw", "wb") as file:
        for part in parts:
            file.write(open(part, "rb").read())
    renumber("joined.raw", target)


ffmpeg(f"{VIDEO} {SOUND} -c:v libx264 -bf 2 -pix_fmt yuv420p -c:a aac base.mp4")
with open("s.srt", "w") as subtitles:
    subtitles.write("1\n00:00:00,100 --> 00:00:00,200\nhello\n\n2\n00:00:00,250 --> 00:00:00,300\nworld\n")
pgs("s.sup")

# Source, the command that makes it, and its expected form in each container: "=" works, else the ending that is named.
TABLE = [
    # source          .mkv    .mp4    .mov    .webm   .avi    .ts
    ("aac.mp4", "-i base.mp4 -c copy", "= = = .mkv = ="),
    ("pcm.mkv", "-i base.mp4 -c:v copy -c:a pcm_s24le", "= .mkv = .mkv = .mkv"),
    ("flac.mkv", "-i base.mp4 -c:v copy -c:a flac -ar 48000", "= = .mkv .mkv = .mkv"),
    ("opus.mkv", "-i base.mp4 -c:v copy -c:a libopus", "= = .mkv = .mkv ="),
    ("vorbis.mkv", "-i base.mp4 -c:v copy -c:a libvorbis", "= = .mkv = = .mkv"),
    ("mp3.mkv", "-i base.mp4 -c:v copy -c:a libmp3lame", "= = = .mkv = ="),
    ("ac3.mkv", "-i base.mp4 -c:v copy -c:a ac3", "= = = .mkv = ="),
    ("dca.mkv", "-i base.mp4 -c:v copy -c:a dca -strict -2 -ac 2", "= = = .mkv = ="),
    ("truehd.mkv", "-i base.mp4 -c:v copy -c:a truehd -strict -2 -ac 2", "= = .mkv .mkv .mkv .mkv"),
    ("wma.wmv", "-i base.mp4 -c:v wmv2 -c:a wmav2", "= .mkv .mkv .mkv = .mkv"),
    ("adpcm.avi", "-i base.mp4 -c:v mpeg4 -c:a adpcm_ms -ar 44100 -ac 2", "= .mkv .mkv .mkv = .mkv"),
    ("ima.avi", "-i base.mp4 -c:v mpeg4 -c:a adpcm_ima_wav -ar 44100 -ac 2", "= .mkv .mkv .mkv = .mkv"),
    ("alaw.avi", "-i base.mp4 -c:v mpeg4 -c:a pcm_alaw -ar 8000", "= .mkv = .mkv = .mkv"),
    ("adts.ts", "-i base.mp4 -c copy", "= = = .mkv = ="),
    ("srt.mkv", "-i base.mp4 -i s.srt -map 0 -map 1 -c copy -c:s srt", "= .mkv .mkv .mkv .mkv .mkv"),
    ("ass.mkv", "-i base.mp4 -i s.srt -map 0 -map 1 -c copy -c:s ass", "= .mkv .mkv .mkv .mkv .mkv"),
    ("movtext.mp4", "-i base.mp4 -i s.srt -map 0 -map 1 -c copy -c:s mov_text", ".mp4 = = .mp4 .mp4 .mp4"),
    ("pgs.mkv", "-i base.mp4 -i s.sup -map 0 -map 1 -c copy", "= .mkv .mkv .mkv .mkv .mkv"),
    ("dvd.mkv", "-i base.mp4 -i s.sup -map 0 -map 1 -c copy -c:s dvdsub", "= = .mkv .mkv .mkv .mkv"),
]
ENDINGS = ["mkv", "mp4", "mov", "webm", "avi", "ts"]


def named_codecs(path):
    lines = play.probe(path, "stream=index,codec_type,codec_name", "")
    lines = [line.split(",") for line in dict.fromkeys(lines)]
    return sorted(f"{kind} {name}" for _, name, kind in lines if kind in ("audio", "subtitle"))


def case_codec_by_container():
    """Each source is played in Matroska and in one other container; the campaign plays all."""
    everything = bool(os.environ.get("RESR_CAMPAIGN"))
    for row, (source, recipe, expected) in enumerate(TABLE):
        ffmpeg(f"{recipe} {source}")
        names, content, count = named_codecs(source), hashes(source), play.frames(source)
        for column, (ending, answer) in enumerate(zip(ENDINGS, expected.split())):
            if not everything and column not in (0, (1, 2, 1, 3, 1, 4, 1, 5)[row % 8]):
                continue
            output = f"o_{source.replace('.', '_')}.{ending}"
            result = play.up(source, output)
            try:
                if answer == "=":
                    play.done(result)
                    play.equal("frames", play.frames(output), count)
                    play.equal("codecs", named_codecs(output), names)
                    if source != "adts.ts" and (source, ending) != ("aac.mp4", "ts"):  # the framing changes
                        play.equal("packets", hashes(output), content)
                else:
                    refused_at_once(result, output, "stream #", "cannot be stored", f"ends in {answer}", "-map -0:")
            except AssertionError as error:
                raise AssertionError(f"{source} to .{ending}: {error}") from error
            play.remove(output)


def case_endings():
    """The ending chooses the encoder, or is refused with what helps."""
    for ending, answer in (("webm", "vp9"), ("gif", "gif"), ("apng", "apng"), ("avi", "h264"), ("flv", "h264"),
                           ("ts", "h264"), ("mpg", "h264"), ("nut", "h264"), ("ogv", None), ("xyz", None),
                           ("h265", None)):
        result = play.up("v.mkv" if os.path.exists("v.mkv") else make_silent(), f"o.{ending}")
        if answer:
            play.done(result)
            play.equal(ending, codecs(f"o.{ending}", "v:0"), [answer])
            play.equal("frames", play.frames(f"o.{ending}"), 10)
        else:
            refused_at_once(result, f"o.{ending}", f"o.{ending}")
    refused_at_once(play.up("base.mp4", "o"), "o", "ending")
    refused_at_once(play.up("base.mp4", "o.webm", "--codec", "libx264"), "o.webm", "libvpx-vp9", ".mkv")
    refused_at_once(play.up("v.mkv", "o.ts", "--codec", "libvpx-vp9"), "o.ts", ".mkv")
    refused_at_once(play.up("v.mkv", "o.gif", "--codec", "libx264"), "o.gif", "--codec gif")


def make_silent():
    ffmpeg("-i base.mp4 -an -c copy v.mkv")
    return "v.mkv"


def case_refusals_in_a_list():
    """In a list a refusal leaves nothing either, and the other lines are done."""
    ffmpeg("-i base.mp4 -i s.sup -map 0 -map 1 -c copy pgs_list.mkv")
    with open("list.tsv", "w") as lines:
        lines.write("-i pgs_list.mkv -o l1.mp4\n-i base.mp4 -o l2.mp4\n")
    result = play.run([play.RESR, "--jobs", "list.tsv", "-m", "enlarge.safetensors", "--threads", "1",
                       "--progress", "none"])
    play.equal(f"exit code ({result.err[-500:]})", result.code, 64)
    play.equal("left over", play.leftovers("l1.mp4"), [])
    play.equal("frames", play.frames("l2.mp4"), 10)


def case_refusal_leaves_the_name():
    """A refused job does not hold the output's name."""
    ffmpeg("-i base.mp4 -c:v copy -c:a pcm_s16le name.mkv")
    refused_at_once(play.up("name.mkv", "name.mp4"), "name.mp4", "pcm_s16le")
    play.done(play.up("base.mp4", "name.mp4", clean=False))


def case_tags_chapters_attachments():
    with open("ch.txt", "w") as text:
        text.write(";FFMETADATA1\ntitle=My film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=200\ntitle=One\n"
                   "[CHAPTER]\nTIMEBASE=1/1000\nSTART=200\nEND=400\ntitle=Two\n")
    with open("f.ttf", "wb") as font:
        font.write(os.urandom(5000))
    ffmpeg("-i base.mp4 -i base.mp4 -i ch.txt -map 0:v -map 0:a -map 1:a -map_metadata 2 -map_chapters 2 -c copy "
           "-metadata:s:a:0 language=jpn -metadata:s:a:1 title=Commentary -disposition:a:0 0 "
           "-disposition:a:1 default+comment -attach f.ttf -metadata:s:t mimetype=application/x-truetype-font ch.mkv")
    ffmpeg("-i ch.mkv -map 0 -map -0:t -c copy noatt.mkv")
    for source, output in (("ch.mkv", "o.mkv"), ("noatt.mkv", "o.mp4")):
        play.done(play.up(source, output))
        play.equal("chapters", play.probe(output, "chapter_tags=title", ""), ["One", "Two"])
        play.equal("title", play.probe(output, "format_tags=title", ""), ["My film"])
        play.equal("language", play.probe(output, "stream_tags=language", "a:0"), ["jpn"])
        play.equal("default", play.probe(output, "stream_disposition=default,comment", "a"), ["0,0", "1,1"])
    play.done(play.up("ch.mkv", "o.mkv"))
    play.equal("font", play.probe("o.mkv", "stream=codec_type", "t"), ["attachment"])
    refused_at_once(play.up("ch.mkv", "o2.mp4"), "o2.mp4", "stream #3", "attachment", ".mkv", "-map -0:3")


def case_cover_art():
    ffmpeg("-f lavfi -i testsrc2=s=16x16 -frames:v 1 c.jpg")
    ffmpeg("-i base.mp4 -i c.jpg -map 0 -map 1 -c copy -disposition:v:1 attached_pic cover.mp4")
    ffmpeg("-i c.jpg -i base.mp4 -map 0 -map 1 -c copy -disposition:v:0 attached_pic cover1st.mp4")
    ffmpeg("-i base.mp4 -c copy -attach c.jpg -metadata:s:t mimetype=image/jpeg "
           "-metadata:s:t filename=cover.jpg cover.mkv")
    for source in ("cover.mp4", "cover1st.mp4", "cover.mkv"):
        for ending in ("mp4", "mkv"):
            result = play.up(source, f"oc.{ending}")
            play.done(result)
            play.equal("warnings", result.err, "")
            play.equal("film", play.probe(f"oc.{ending}", "stream=width,height", "V"), ["64,48"])
            every = play.probe(f"oc.{ending}", "stream=width,height:stream_disposition=attached_pic", "v")
            play.check("16,16,1" in every, f"{source} to {ending}: {every}")
            play.equal("cover", hashes(f"oc.{ending}", "0:v:1"), hashes("cover.mp4", "0:v:1"))


def case_data_streams():
    ffmpeg("-i base.mp4 -c copy -timecode 01:00:00:00 tmcd.mov")
    with open("d.bin", "wb") as data:
        data.write(os.urandom(400))
    ffmpeg("-i base.mp4 -f data -i d.bin -map 0 -map 1 -c copy -f mpegts data.ts")
    for source in ("tmcd.mov", "data.ts"):
        for ending in ("mov", "mkv"):
            result = play.up(source, f"od.{ending}")
            play.done(result)
            play.equal("said once", result.err.count("data streams are left out"), 1)


def case_stream_without_parameters():
    """Sound that was found, but whose rate nothing tells: left out, with a warning."""
    ffmpeg(f"{VIDEO} {SOUND} -c:v libx264 -bf 0 -c:a mp2 -f mpegts whole.ts")
    data = open("whole.ts", "rb").read()
    kept = [data[i:i + 188] for i in range(0, len(data), 188)
            if (data[i + 1] & 31) << 8 | data[i + 2] != 0x101]
    with open("nosound.ts", "wb") as file:
        file.write(b"".join(kept))
    for ending in ("mkv", "mp4"):
        result = play.up("nosound.ts", f"op.{ending}")
        play.done(result)
        play.check("stream #1" in result.err and "not copied" in result.err, result.err)
        play.equal("frames", play.frames(f"op.{ending}"), 10)


def late_stream(path, before):
    """A stream whose table changes in the middle: `before` sounds, then one more."""
    sounds = " ".join("-f lavfi -i sine=duration={t}" for _ in range(before))
    maps = " ".join(f"-map {i}" for i in range(before + 1))
    more = " ".join(f"-map {i}" for i in range(before + 2))
    common = "-c:v libx264 -g 5 -bf 0 -c:a mp2 -b:a 32k -ar 16000 -mpegts_flags +resend_headers -muxrate 5M -f mpegts"
    clip = "-f lavfi -i testsrc=size=32x24:rate=5:duration={t}"
    ffmpeg(f"{clip} {sounds} {maps} {common} late_a.ts", t=12)
    ffmpeg(f"{clip} {sounds} -f lavfi -i sine=duration=4 {more} -output_ts_offset 12 {common} late_b.ts", t=4)
    ffmpeg(f"{clip} {sounds} {maps} -output_ts_offset 16 {common} late_c.ts", t=4)
    join(path, "late_a.ts", "late_b.ts", "late_c.ts")


def case_late_streams():
    """A stream that starts in the middle has no place in a header that is written: dropped, said once."""
    for before, endings in ((0, ("mkv", "mp4")), (1, ("mkv",)), (16, ("mkv",))):
        late_stream("late.ts", before)
        for ending in endings:
            result = play.up("late.ts", f"late.{ending}", "--backend", "simulate:0.0001/8", "--codec", "mpeg4")
            play.done(result)
            play.equal("said once", result.err.count("starts after the others"), 1)
            play.equal("frames", play.frames(f"late.{ending}"), 100)
            play.equal("sounds", len(codecs(f"late.{ending}", "a")), before)


def case_codec_changes():
    """The sound's codec changes on the same stream: no crash, and nothing of the wrong codec in the output."""
    ffmpeg(f"{VIDEO} {SOUND} -c:v libx264 -bf 0 -c:a mp2 -f mpegts c1.ts")
    ffmpeg(f"{VIDEO} {SOUND} -c:v libx264 -bf 0 -c:a ac3 -output_ts_offset 0.4 -f mpegts c2.ts")
    join("change.ts", *["c1.ts"] * 4, *["c2.ts"] * 4)
    result = play.up("change.ts", "change.mkv")
    play.done(result)
    play.equal("sound", codecs("change.mkv", "a"), ["mp2"])
    play.equal("frames", play.frames("change.mkv"), 80)


def rising(name, values, strict=True):
    for before, after in zip(values, values[1:]):
        play.check(after > before or (not strict and after == before), f"{name}: {before} then {after}")


def set_block_times(path, track, change):
    """Rewrites the relative times of a Matroska file's blocks of `track`: change(n, time)."""
    data, n = bytearray(open(path, "rb").read()), 0

    def number(at, marked):
        length = 9 - data[at].bit_length()
        value = int.from_bytes(data[at:at + length], "big")
        return at + length, value if marked else value & ~(1 << 7 * length)

    def walk(at, end):
        nonlocal n
        while at < end:
            at, ident = number(at, True)
            at, size = number(at, False)
            if ident in (0x18538067, 0x1F43B675, 0xA0):  # Segment, Cluster, BlockGroup
                walk(at, min(end, at + size))
            elif ident in (0xA3, 0xA1) and data[at] == 0x80 | track:
                old = struct.unpack(">h", data[at + 1:at + 3])[0]
                data[at + 1:at + 3] = struct.pack(">h", change(n, old))
                n += 1
            at += size
    walk(0, len(data))
    with open(path, "wb") as file:
        file.write(data)


def case_sound_runs_backward():
    """Sound with its times out of order, in a container whose clock does not jump: the next tick, with a count."""
    ffmpeg(f"{VIDEO} -f lavfi -i sine=440:r=48000:d=0.4 -c:v ffv1 -c:a pcm_s16le odd.mkv")
    set_block_times("odd.mkv", 2, lambda n, at: at - 80 if 5 <= n <= 7 else at)
    times = packets("odd.mkv", "a:0")
    play.check(any(b < a for a, b in zip(times, times[1:])), f"the input is in order: {times}")
    for ending in ("mkv", "mov", "avi"):
        result = play.up("odd.mkv", f"oo.{ending}", "--codec", "mpeg4")
        play.done(result)
        play.check("stream #1 (audio, pcm_s16le): packets without a timestamp" in result.err and "backward: 3" in result.err, result.err)
        after = packets(f"oo.{ending}", "a:0")
        rising(ending, after, strict=False)
        play.equal("last time", round(after[-1], 2), round(times[-1], 2))
        play.equal("packets", hashes(f"oo.{ending}", "0:a"), hashes("odd.mkv", "0:a"))


def case_encoders_that_leave_out_frames():
    """Theora's encoder returns empty packets, which containers drop: refused before the work, never recommended."""
    ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25 -frames:v 9 -c:v ffv1 nine.mkv")
    for output in ("o.mkv", "o.ogv"):
        play.refused(play.up("nine.mkv", output, "--codec", "libtheora"), 64, "drops frames")
        play.equal("left over", play.leftovers(output), [])
    play.refused(play.up("nine.mkv", "o.ogv"), 64, "--codec libvpx")
    for codec, output in (("libvpx", "o.ogv"), ("mpeg4", "o.avi"), ("flv", "o.flv"), ("wmv2", "o.wmv"), ("zmbv", "o.mkv"),
                          ("libxvid", "o.mkv")):
        play.done(play.up("nine.mkv", output, "--codec", codec))
        play.equal(f"{codec}: frames", play.frames(output), 9)


def case_packet_that_a_muxer_refuses():
    """One sound packet in the middle that no header allows: left out with a warning, not the end of the job."""
    ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25:d=3 -f lavfi -i sine=440:r=48000:d=3 -c:v libx264 -bf 0 -c:a aac "
           "-pes_payload_size 0 -f mpegts whole.ts")
    data = bytearray(open("whole.ts", "rb").read())
    at = data.index(b"\xff\xf1", len(data) * 2 // 3)
    while data[at + 2] >> 2 & 15 != 3 or (at % 188) > 170:  # 48 kHz, its header within one packet
        at = data.index(b"\xff\xf1", at + 1)
    data[at + 1] &= 0xFE  # a checksum follows,
    data[at + 6] |= 1     # and two blocks in one frame: not implemented
    with open("refused.ts", "wb") as file:
        file.write(data)
    for ending in ("mp4", "mkv"):
        result = play.up("refused.ts", f"refused.{ending}")
        play.done(result)
        play.check("that the container refused: 1" in result.err, result.err)
        play.equal("frames", play.frames(f"refused.{ending}"), 75)
        lost = len(packets("whole.ts", "a:0")) - len(packets(f"refused.{ending}", "a:0"))
        play.check(1 <= lost <= 3, f"{lost} sound packets are missing")


def click_clip(path, offset, seconds=0.8, sound=0.8):
    """The picture turns white and the sound starts at the same moment, 0.4 s after the start."""
    ffmpeg(f"-f lavfi -i color=black:s=32x24:r=25:d={seconds},drawbox=c=white:t=fill:enable='gte(t\\,0.4)' "
           f"-f lavfi -i aevalsrc='gte(t\\,0.4)*sin(2000*t):s=48000:d={sound}' -c:v libx264 -bf 2 -pix_fmt yuv420p "
           f"-c:a mp2 -output_ts_offset {offset} -f mpegts {path}")


def events(path):
    """Times at which the picture turns white, and at which the sound starts."""
    white, last = [], 0
    luma = play.pixels(path, "gray")
    shown = play.times(path)
    size = len(luma) // len(shown)
    for i, at in enumerate(shown):
        bright = luma[i * size + size // 2] > 128
        if bright and not last:
            white.append(at)
        last = bright
    out = play.run(["ffmpeg", "-v", "info", "-nostdin", "-i", path, "-map", "0:a", "-af",
                    "silencedetect=n=-30dB:d=0.1", "-f", "null", "-"]).err
    return white, [float(text) for text in re.findall(r"silence_end: ([0-9.]+)", out)]


def case_joined_transport_streams():
    """Recordings that were joined: one rising time line, and sound in step with the picture at each part."""
    for name, parts in (("back", ((0, .8), (0, .8))), ("ahead", ((0, .8), (5000, .8), (0, 1.0))),
                        ("wrap", ((95442.5, .8), (0, .8))), ("short", ((10, 1.1), (10, .5), (9, .8)))):
        for i, (offset, sound) in enumerate(parts):
            click_clip(f"part{i}.ts", offset, sound=sound)
        join("join.ts", *(f"part{i}.ts" for i in range(len(parts))))
        result = play.up("join.ts", f"join_{name}.mkv")
        play.done(result)
        shown = play.times(f"join_{name}.mkv")
        play.equal("frames", len(shown), 20 * len(parts))
        rising(name, shown)
        play.check(shown[-1] - shown[0] < 0.8 * len(parts) + 0.5, f"{name}: the times span {shown[0]} to {shown[-1]}")
        rising(name, packets(f"join_{name}.mkv", "a:0"), strict=False)
        play.equal("sound", hashes(f"join_{name}.mkv", "0:a"), hashes("join.ts", "0:a"))
        white = [at for at, _ in zip(events(f"join_{name}.mkv")[0], parts)]
        play.equal(f"{name}: bright parts", len(white), len(parts))
        # Where the sound starts, by the packets: a loud packet is not silence.
        starts = loud_times(f"join_{name}.mkv")
        play.equal(f"{name}: loud parts", len(starts), len(parts))
        for picture, sound in zip(white, starts):
            play.check(abs(picture - sound) <= 0.07, f"{name}: picture at {picture}, sound at {sound}")


def loud_times(path):
    """Times of the sound's frames that are loud after a silent one."""
    done = play.run(["ffprobe", "-v", "error", "-f", "lavfi", "-i",
                     f"amovie={path},astats=metadata=1:reset=1", "-show_entries",
                     "frame=pts_time:frame_tags=lavfi.astats.Overall.Peak_level", "-of", "csv=p=0"])
    out, before = [], True
    for line in done.out.splitlines():
        at, _, level = line.strip().rstrip(",").partition(",")
        loud = level not in ("", "-inf") and float(level) > -20
        if loud and not before:
            out.append(float(at))
        before = loud
    return out


def case_joined_and_resumed():
    """A joined recording's job that was stopped ends with the frames and times of one that was not."""
    for i in range(2):
        click_clip(f"part{i}.ts", 0)
    join("join.ts", "part0.ts", "part1.ts")
    slow = ["--segment", "8", "--checkpoint", "always", "--batch", "2", "--encode", "root"]
    play.done(play.up("join.ts", "whole.mkv", *slow, "--framehash", "whole.txt", "--backend", "simulate:0.001/1"))
    play.remove("resumed.mkv", "resumed.mkv.resr")
    job = play.start("join.ts", "resumed.mkv", *slow, "--backend", "simulate:0.5/1")
    play.wait_for("two segments", lambda: play.journal("resumed.mkv").count(2) > 1, job)
    job.kill()
    job.communicate()
    resumed = play.up("join.ts", "resumed.mkv", *slow, "--framehash", "resumed.txt", "--backend", "simulate:0.001/1",
                      clean=False)
    play.done(resumed)
    play.check("are in finished segments" in resumed.err, f"nothing was resumed: {resumed.err}")
    play.equal("times", play.times("resumed.mkv"), play.times("whole.mkv"))
    play.equal("frames", open("resumed.txt").read(), open("whole.txt").read())


def case_closed_gap_is_said():
    """A clock that jumps and a picture that stands for long look the same in a transport stream: a warning says so."""
    ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25:d=46 -vf select='not(mod(n\\,375))' -vsync vfr -c:v libx264 -g 1 slow.ts")
    result = play.up("slow.ts", "slow.mkv")
    play.done(result)
    play.equal("frames", play.frames("slow.mkv"), 4)
    play.check("joined on without a gap" in result.err, result.err)


def ogg_crc(page):
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04c11db7 if crc & 1 << 31 else crc << 1) & 0xFFFFFFFF
    return crc


def case_times_beyond_reckoning():
    """Granule positions of Ogg near 2^62: sums of times do not overflow, which UBSan would see."""
    ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25:d=1 -c:v libtheora clip.ogv")
    data = bytearray(open("clip.ogv", "rb").read())
    at = page = 0
    while at < len(data):
        end = at + 27 + data[at + 26] + sum(data[at + 27:at + 27 + data[at + 26]])
        if page > 2:
            data[at + 13] |= 0x40
            data[at + 22:at + 26] = bytes(4)
            data[at + 22:at + 26] = ogg_crc(data[at:end]).to_bytes(4, "little")
        at, page = end, page + 1
    with open("far.ogv", "wb") as file:
        file.write(data)
    result = play.up("far.ogv", "far.mkv")
    play.check(result.code in (0, 65), f"exit code {result.code}: {result.err}")
    if result.code == 0:
        play.equal("frames", play.frames("far.mkv"), play.frames("far.ogv"))


def case_sound_gap_is_kept():
    """Sound that pauses is no jump of the clock."""
    ffmpeg("-f lavfi -i color=gray:s=32x24:r=5:d=26 -f lavfi -i sine=d=26 -c:v libx264 -g 10 -bf 0 -c:a mp2 "
           "-bsf:a noise=drop='between(pts*tb\\,2\\,24)' -f mpegts gap.ts")
    play.done(play.up("gap.ts", "gap.mkv", "--backend", "simulate:0.0001/8"))
    shown, sound = play.times("gap.mkv"), packets("gap.mkv", "a:0")
    play.equal("frames", len(shown), 130)
    play.check(abs((sound[-1] - sound[0]) - (packets("gap.ts", "a:0")[-1] - packets("gap.ts", "a:0")[0])) < 0.01,
               f"sound from {sound[0]} to {sound[-1]}")


def upright(path):
    """The first picture as a player shows it, 2x2 mean colours."""
    return play.pixels(path, "rgb24", "-frames:v", "1", "-vf", "scale=2:2:flags=area")


def case_rotation():
    """Shown upright from every container and as images, whatever the source's pixel format."""
    quarters = "color=red:s=16x12:r=25:d=0.2[a];color=green:s=16x12[b];color=blue:s=16x12[c];color=white:s=16x12[d];" \
        "[a][b]hstack[t];[c][d]hstack[u];[t][u]vstack=shortest=1"
    tables = {0: "rgbw", 90: "brwg", 180: "wbgr", 270: "gwrb"}
    del tables[0]
    for pix_fmt, codec, turns in (("yuv420p", "libx264 -qp 1", (90, 180, 270)), ("yuv422p10le", "libx264 -qp 1", (90,)),
                                  ("yuv444p", "libx264 -qp 1", (270,))):
        ffmpeg(f"-f lavfi -i {quarters} -frames:v 3 -pix_fmt {pix_fmt} -c:v {codec} -aspect 2:1 flat.mp4")
        for turn in turns:
            ffmpeg(f"-i flat.mp4 -c copy -metadata:s:v:0 rotate={turn} rot.mp4")
            want = upright("rot.mp4")
            sizes = "64,48" if turn == 180 else "48,64"
            for ending in ("mp4", "mov", "mkv", "avi", "ts", "webm"):
                if ending != "mkv" and (pix_fmt, turn) != ("yuv420p", 90):
                    continue
                play.done(play.up("rot.mp4", f"up.{ending}"))
                got = upright(f"up.{ending}")
                worst = max(abs(a - b) for a, b in zip(got, want))
                play.check(worst <= 12, f"{pix_fmt} {turn} in {ending}: {list(got)}, expected {list(want)}")
                stored = play.probe(f"up.{ending}", "stream=width,height")[0]
                play.equal(ending, stored, "64,48" if ending in ("mp4", "mov") else sizes)
            if (pix_fmt, turn) == ("yuv420p", 90):
                os.makedirs("fr", exist_ok=True)
                play.done(play.up("rot.mp4", "fr/%03d.png", "--overwrite"))
                play.equal("image", play.probe("fr/001.png", "stream=width,height")[0], sizes)
    sar = play.probe("up.mkv", "stream=sample_aspect_ratio")
    original = play.probe("flat.mp4", "stream=sample_aspect_ratio")
    play.equal("pixel shape turned", sar[0], ":".join(reversed(original[0].split(":"))))


def case_odd_angle():
    ffmpeg("-i base.mp4 -an -c copy angle.mp4")
    data = bytearray(open("angle.mp4", "rb").read())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of the first track
    data[at:at + 20] = struct.pack(">iiiii", 46341, 46341, 0, -46341, 46341)
    with open("angle.mp4", "wb") as file:
        file.write(data)
    result = play.up("angle.mp4", "angle.mkv")
    play.done(result)
    play.check("45 degrees" in result.err, result.err)


def case_long_subtitle_does_not_count_as_frames():
    """A subtitle without an end makes the file long; the progress counts the video's frames."""
    ffmpeg("-i base.mp4 -i s.sup -map 0 -map 1 -c copy -c:s dvdsub long.mkv")
    result = play.run([play.RESR, "-i", "long.mkv", "-o", "long_o.mkv", "-m", "enlarge.safetensors", "--dry-run"])
    numbers = [int(text) for text in re.findall(r"(\d+) frames", result.out + result.err)]
    play.check(not numbers or max(numbers) < 100, f"{numbers}: {result.out}")


play.main(globals())
