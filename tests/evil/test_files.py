"""Where files are made: planted names, file systems that lack hard links, atomic renames or locks, names
that are taken while the work is done, and job folders that must not be left behind."""
import errno
import os
import shutil
import signal

import play

play.ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25 -frames:v 12 -c:v ffv1 clip.mkv")
play.ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25 -frames:v 2 -pix_fmt rgb24 -start_number 1 pic%d.png")
play.ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25 -frames:v 96 -c:v ffv1 long.mkv")
SLOW = ("--backend", "simulate:0.4/8", "--segment", "8", "--checkpoint", "always")
PATIENT = ("--deadline", "100000")  # under a fast clock no rank counts as hung


def shim(**values):
    """The environment of a run under the shim; asan=... lets a sanitizer's library come second."""
    return {"LD_PRELOAD": play.SHIM, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
            **{"SHIM_" + name.upper(): str(value) for name, value in values.items()}}


def says(process, words):
    """Reads a background run's messages up to the line with these words."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return
    raise AssertionError(f"'{words}' is missing in: {''.join(lines)}")


def lease(output):
    """The text of a job's lease; empty while there is none."""
    try:
        with open(output + ".resr/lock.lease", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def host_number():
    """The number of this machine in the names of unfinished files (base/publish.c)."""
    number = 2166136261
    for byte in f"{os.uname().nodename}/{os.stat('/proc/self/ns/pid').st_ino}".encode():
        number = (number ^ byte) * 16777619 & 0xffffffff
    return number


def planted(link, names, command):
    """Runs a command whose process id is in `names`, already linked to another file."""
    play.remove("precious.txt", *[entry for entry in os.listdir(".") if ".tmp" in entry])
    with open("precious.txt", "w", encoding="ascii") as file:
        file.write("precious")
    plant = "".join(f"ln {link} precious.txt {name.replace('PID', f'$$.{host_number()}')}; " for name in names)
    result = play.run(["sh", "-c", plant + 'exec "$@"', "sh", *command])
    play.done(result)
    with open("precious.txt", encoding="ascii") as file:
        play.equal("the victim's file", file.read(), "precious")


def case_planted_links():
    options = ["-m", "enlarge.safetensors", "--progress", "none", "--threads", "1", "--overwrite"]
    for link in ("-s", ""):
        planted(link, [".o.mkv.PID.tmp.mkv", ".h.txt.PID.tmp.txt", ".r.json.PID.tmp.json", ".t.json.PID.tmp.json"],
                [play.RESR, "-i", "clip.mkv", "-o", "o.mkv", "--checkpoint", "off", "--framehash", "h.txt",
                 "--report", "r.json", "--trace", "t.json", *options])
        planted(link, [".x1.png.PID.tmp.png", ".x2.png.PID.tmp.png"],
                [play.RESR, "-i", "pic%d.png", "-o", "x%d.png", *options])
        for name in ("o.mkv", "h.txt", "r.json", "t.json", "x1.png", "x2.png"):
            play.check(not os.path.islink(name) and os.stat(name).st_nlink == 1, f"{name} is a link")
            os.unlink(name)


def case_planted_links_in_the_job_folder():
    """A folder that came out of an archive: its journal or its lock is a link to another file."""
    play.remove("o.mkv", "o.mkv.resr", "kept")
    process = play.start("long.mkv", "o.mkv", *SLOW)
    play.wait_for_frames("o.mkv", process)
    process.kill()
    process.communicate()
    os.rename("o.mkv.resr", "kept")
    for name in ("journal", "lock"):
        play.remove("o.mkv.resr")
        shutil.copytree("kept", "o.mkv.resr")
        os.chmod("o.mkv.resr", 0o700)
        with open("precious.txt", "w", encoding="ascii") as file:
            file.write("precious")
        os.unlink("o.mkv.resr/" + name)
        os.symlink(os.path.abspath("precious.txt"), "o.mkv.resr/" + name)
        result = play.up("long.mkv", "o.mkv", *SLOW, clean=False)
        play.check(result.code in (74, 77), f"{name}: exit {result.code}: {result.err}")
        with open("precious.txt", encoding="ascii") as file:
            play.equal("the victim's file", file.read(), "precious")


def case_planted_journal_of_a_list():
    for link in (os.symlink, os.link):
        with open("precious.txt", "w", encoding="ascii") as file:
            file.write("precious")
        with open("list", "w", encoding="ascii") as file:
            file.write("-i clip.mkv -o l1.mkv\n")
        play.remove("list.journal", "l1.mkv")
        link("precious.txt", "list.journal")
        result = play.run([play.RESR, "--jobs", "list", "-m", "enlarge.safetensors", "--threads", "1"])
        play.refused(result, 77, "list.journal")
        with open("precious.txt", encoding="ascii") as file:
            play.equal("the victim's file", file.read(), "precious")
        os.unlink("list.journal")


def case_no_atomic_rename_and_no_links():
    for error, link in ((errno.EINVAL, errno.EXDEV), (errno.ENOSYS, errno.EPERM), (errno.EINVAL, errno.EOPNOTSUPP)):
        env = shim(no_replace=error, no_link=link)
        play.done(play.up("clip.mkv", "o.mkv", "--checkpoint", "always", env=env))
        play.equal("left over", play.leftovers("o.mkv"), ["o.mkv"])
    play.refused(play.up("clip.mkv", "o.mkv", clean=False, env=env), 73, "exists already")
    play.done(play.up("clip.mkv", "o.mkv", "--checkpoint", "off", env=env))
    play.remove("x1.png", "x2.png")
    play.done(play.up("pic%d.png", "x%d.png", env=env))
    play.done(play.up("clip.mkv", "o.mkv", env=shim(no_replace=errno.EINVAL)))


def case_a_name_is_taken_meanwhile():
    for more in ({}, {"no_replace": errno.EINVAL}, {"no_replace": errno.EINVAL, "no_link": errno.EXDEV}):
        for source, output in (("clip.mkv", "o.mkv"), ("pic%d.png", "y%d.png")):
            name = output.replace("%d", "2")
            play.remove("y1.png", "y2.png")
            play.refused(play.up(source, output, env=shim(appear=name, **more)), 73, name)
            with open(name, "rb") as file:
                play.equal("the other's file", file.read(), b"theirs")
    play.remove("y1.png", "y2.png")
    play.done(play.up(source, output, "--overwrite", env=shim(appear=name, **more)))


def case_files_cannot_be_moved():
    """The way to publish the output is tried out before the work."""
    env = shim(no_replace=errno.EINVAL, no_link=errno.EXDEV, no_move=errno.EXDEV)
    play.done(play.up("clip.mkv", "o.mkv", env=env))  # then it is made beside its final name
    play.equal("left over", play.leftovers("o.mkv"), ["o.mkv"])
    result = play.up("clip.mkv", "o.mkv", "--keep-frames", env=env)
    play.refused(result, 74, "--keep-frames", "--job-dir")
    play.equal("left over", play.leftovers("o.mkv"), [])


def case_no_locks():
    for error in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
        result = play.up("clip.mkv", "o.mkv", "--checkpoint", "always",
                         env={"HDF5_USE_FILE_LOCKING": "TRUE", **shim(no_flock=error)})
        play.done(result)
        play.check("has no locks" in result.err, result.err)
        play.equal("left over", play.leftovers("o.mkv"), ["o.mkv"])
    with open("list", "w", encoding="ascii") as file:
        file.write("-i clip.mkv -o l1.mkv\n-i clip.mkv -o l2.mkv\n")
    play.done(play.run([play.RESR, "--jobs", "list", "-m", "enlarge.safetensors", "--threads", "1", "--progress",
                        "none"], env=shim(no_flock=error)))
    play.equal("frames", [play.frames("l1.mkv"), play.frames("l2.mkv")], [12, 12])
    play.check(not os.path.exists("list.journal.lease"), "the list's lease is left over")


def case_lease_keeps_others_out():
    env = shim(no_flock=errno.ENOLCK)
    play.remove("o.mkv", "o.mkv.resr")
    first = play.start("long.mkv", "o.mkv", *SLOW, "--backend", "simulate:4/8", env=env)
    play.wait_for_frames("o.mkv", first)
    text = lease("o.mkv")
    play.wait_for("a renewed lease", lambda: lease("o.mkv") not in ("", text), first)
    play.check(play.freeze(first), "the first process ended early")
    second = play.start("long.mkv", "o.mkv", *SLOW, env=shim(no_flock=errno.ENOLCK, speed=0.05))  # no lease is too old for it
    says(second, "has no locks")
    says(second, "waiting for it")
    play.check(f" {first.pid} " in lease("o.mkv"), "the lease changed hands")
    second.send_signal(signal.SIGTERM)
    _, message = second.communicate(timeout=60)
    play.equal(f"exit code of a wait that was stopped ({message})", second.returncode, 75)
    first.kill()
    first.communicate()
    again = play.up("long.mkv", "o.mkv", *SLOW, clean=False, env=env)
    play.done(again)
    play.check("takes over" in again.err and "in finished segments" in again.err, again.err)
    play.equal("frames", play.frames("o.mkv"), 96)


def case_lease_of_another_host():
    play.remove("o.mkv", "o.mkv.resr")
    process = play.start("long.mkv", "o.mkv", *SLOW)
    play.wait_for_frames("o.mkv", process)
    process.kill()
    process.communicate()
    with open("o.mkv.resr/lock.lease", "w", encoding="ascii") as file:
        file.write("elsewhere 1/2 3 4.5 0\n")
    result = play.up("long.mkv", "o.mkv", *SLOW, *PATIENT, clean=False, env=shim(speed=20))  # with flock(), too
    play.done(result)
    play.check(result.seconds > 30 / 20, f"the lease was not waited for: {result.seconds} s")
    play.equal("left over", play.leftovers("o.mkv"), ["o.mkv"])


def case_owner_that_stood_still():
    """A process that was stopped while another took its job over writes nothing more."""
    env = shim(no_flock=errno.ENOLCK)
    play.remove("o.mkv", "o.mkv.resr")
    first = play.start("long.mkv", "o.mkv", *SLOW, env=env)
    play.wait_for_frames("o.mkv", first)
    play.check(play.freeze(first), "the first process ended early")
    second = play.start("long.mkv", "o.mkv", *SLOW, *PATIENT, env=shim(no_flock=errno.ENOLCK, speed=25))
    play.wait_for("a lease of the second process", lambda: f" {second.pid} " in lease("o.mkv"), second)
    first.send_signal(signal.SIGCONT)
    _, message = first.communicate(timeout=60)
    play.equal(f"exit code of the first ({message})", first.returncode, 74)
    play.check("taken over" in message, message)
    _, message = second.communicate(timeout=60)
    play.equal(f"exit code of the second ({message})", second.returncode, 0)
    play.equal("frames", play.frames("o.mkv"), 96)
    play.equal("left over", play.leftovers("o.mkv"), ["o.mkv"])


def case_dangling_links():
    os.symlink("nowhere", "o2.mkv")
    result = play.up("clip.mkv", "o2.mkv", clean=False)
    play.refused(result, 73, "o2.mkv", "--overwrite")
    play.equal("left over", play.leftovers("o2.mkv"), ["o2.mkv"])
    play.done(play.up("clip.mkv", "o2.mkv", "--overwrite", clean=False))
    play.check(not os.path.islink("o2.mkv") and not os.path.exists("nowhere"), "the link was followed")


def case_a_job_without_frames_blocks_no_name():
    """The folder of a job that finished no frame gives way; one with frames is kept."""
    play.remove("o.mkv", "o.mkv.resr")
    process = play.start("long.mkv", "o.mkv", "--backend", "simulate:2/1")
    play.wait_for("a manifest", lambda: os.path.exists("o.mkv.resr/manifest.json"), process)
    process.kill()
    process.communicate()
    play.done(play.up("clip.mkv", "o.mkv", clean=False))
    play.remove("o.mkv", "o.mkv.resr")
    process = play.start("long.mkv", "o.mkv", *SLOW)
    play.wait_for_frames("o.mkv", process)
    process.kill()
    process.communicate()
    play.refused(play.up("clip.mkv", "o.mkv", clean=False), 78, "another job")


def case_failed_write_leaves_no_folder():
    env = shim(no_replace=errno.EIO, appear="never")
    result = play.up("clip.mkv", "o.mkv", env=env)
    play.refused(result, 74, "o.mkv")
    play.equal("left over", play.leftovers("o.mkv"), [])


play.main(globals())
