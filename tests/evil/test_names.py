"""Names of any bytes, and what is printed of them: nothing that a terminal obeys, and JSON that is valid."""
import json
import os
import re
import shutil
import subprocess

import play

BAD = os.fsdecode(b"caf\xe9 \xff\xc3")             # no UTF-8
ESCAPE = "\x1b[31mred\x07\x9b2J\u202etxt\n\t\r"    # what terminals obey
READABLE = "Größe 日本 😀"
NAMES = (BAD, ESCAPE, READABLE, "-dash", "a:b%d#?&'\"[x]", os.fsdecode(b"\xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf"))
COMMANDS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # a line end stays one
SLOW = ("--backend", "simulate:0.4/8", "--segment", "8", "--checkpoint", "always")
play.ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25 -frames:v 48 -c:v ffv1 clip.mkv")
play.ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25 -frames:v 1 -pix_fmt rgb24 picture.png")


def run(*words, code=0, env=None):
    """What a run printed, as text that must be UTF-8 without commands to a terminal."""
    done = subprocess.run([play.RESR, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False, env={**os.environ, **(env or {})})
    text = (done.stderr + done.stdout).decode("utf-8")
    play.equal(f"exit code of {words} ({text})", done.returncode, code)
    found = COMMANDS.search(text)
    play.check(not found, f"a terminal obeys {found and found.group()!r} in {text!r}")
    return text


def path(name):
    return "./" + name if name.startswith("-") else name


def case_every_name():
    for name in NAMES:
        source, output, model = path(name + ".mkv"), path(name + ".out.mkv"), path(name + ".safetensors")
        play.remove("w")
        os.mkdir("w")
        shutil.copy("clip.mkv", "w/" + source)
        shutil.copy("enlarge.safetensors", "w/" + model)
        os.chdir("w")
        try:
            run("-i", source, "-o", output, "-m", model, "--job-dir", path(name + ".job"), "--report",
                path(name + ".json"), "--framehash", path(name + ".txt"), "--trace", path(name + ".trace"),
                "--checkpoint", "always", "--threads", "1")
            play.equal("frames", play.frames("file:" + output), 48)
            play.equal("files", len(os.listdir(".")), 6)
            with open(name + ".json", encoding="utf-8") as file:
                report = json.load(file)
            with open(name + ".trace", encoding="utf-8") as file:
                json.load(file)
            shown = os.fsencode(source).decode("utf-8", "replace")
            play.equal("path in the report", strip(report["input"]["path"]), strip(shown))
            text = run("-i", source, "-o", output, "-m", model, "--dry-run", "--threads", "1")
            if name == READABLE:
                play.check(source in text and READABLE in report["model"]["name"], text)
            if name not in (BAD, ESCAPE):
                continue
            run("-i", source, "-o", output, "-m", model, code=73)
            run("-i", path(name + ".none"), "-o", "new.mkv", "-m", model, code=66)
            run("-i", source, "-o", "new.mkv", "-m", path(name + ".none.pth"), code=66)
        finally:
            os.chdir("..")


def strip(text):
    """Without replacement characters: decoders differ in how many they put for a damaged sequence."""
    return text.replace("\ufffd", "")


def case_resume_knows_the_bytes():
    """Two models whose names differ in a byte that is not UTF-8 are two models."""
    for name in ("m\udce9.safetensors", "m\udcea.safetensors"):
        shutil.copy("enlarge.safetensors", name)
    process = subprocess.Popen([play.RESR, "-i", "clip.mkv", "-o", "r.mkv", "-m", "m\udce9.safetensors", "--threads",
                                "1", "--progress", "none", *SLOW], stderr=subprocess.DEVNULL)
    play.wait_for_frames("r.mkv", process)
    process.kill()
    process.wait()
    text = run("-i", "clip.mkv", "-o", "r.mkv", "-m", "m\udcea.safetensors", *SLOW, code=78)
    play.check("model_bytes" in text, text)
    with open("r.mkv.resr/status.json", encoding="utf-8") as file:
        json.load(file)
    run("-i", "clip.mkv", "-o", "r.mkv", "-m", "m\udce9.safetensors", *SLOW)


def case_lists():
    for name in (BAD, ESCAPE.replace("\n", "").replace("\r", "").replace("\t", "")):
        shutil.copy("clip.mkv", name + ".mkv")
        with open("list" + name, "wb") as file:
            file.write(b'-i "%s.mkv" -o "%s.out.mkv"\n-i "%s.none" -o x.mkv\n' % ((os.fsencode(name),) * 3))
        lines = run("--jobs", "list" + name, "-m", "enlarge.safetensors", "--progress", "none", "--threads", "1",
                    code=66).splitlines()
        results = [json.loads(line) for line in lines if line.startswith("{")]
        play.equal("results", [result["status"] for result in results], [0, 66])
        with open(f"list{name}.journal", encoding="utf-8") as file:
            for line in file:
                json.loads(line)


def case_pictures():
    os.mkdir("in")
    for name in (BAD, READABLE, "50%d"):
        shutil.copy("picture.png", f"in/{name}.png")
    run("-i", "in", "-o", "out", "-m", "enlarge.safetensors", "--threads", "1", "--report", "pictures.json")
    play.equal("names", sorted(os.listdir("out")), sorted(os.listdir("in")))


def case_escapes_inside_files():
    """A tensor's name with escape sequences is shown in the refusal."""
    header = json.dumps({"\x1b[31m\x07tensor": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    with open("escape.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header + bytes(4))
    run("-i", "clip.mkv", "-o", "e.mkv", "-m", "escape.safetensors", code=65)
    os.mkdir("models\x1b[31m")
    run("--list-models", "-m", "models\x1b[31m")


play.main(globals())
