"""An input that another process holds a lease on. A test of its own, since not every file system has leases."""
import fcntl
import os
import signal
import sys
import time

import play
from play import equal, ffmpeg, remove
from test_input import CLIP, start, stop


def need_leases():
    with open("lease", "wb"):
        pass
    try:
        with open("lease", "rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        print(f"skipped: {os.getcwd()} is on a file system without leases: {error}")
        sys.exit(play.SKIPPED)


def case_a_lease_of_another_process():
    """A file that its owner gives away late is opened then, and a signal ends the wait for it."""
    ffmpeg(f"{CLIP} base.mp4")
    remove("out.mkv")
    asked = []
    signal.signal(signal.SIGIO, lambda *_: asked.append(True))
    for released in (True, False):
        with open("base.mp4", "rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            process = start("base.mp4", "out.mkv", env={})
            if not released:
                equal("waits for the lease", stop(process, lambda: bool(asked)), True)
                continue
            while not asked and process.poll() is None:
                time.sleep(0.05)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            _, err = process.communicate(timeout=30)
            equal(f"exit code ({err.decode()})", process.returncode, 0)
            asked.clear()
            remove("out.mkv")


if __name__ == "__main__":
    need_leases()
    play.main(globals())
