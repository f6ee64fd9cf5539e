#!/bin/sh
# jobs/install-deps.sh build|test|slurm...: installs the Debian packages that building (and testing) needs
# and that are missing, with apt-get as root or through sudo. Where nothing is missing nothing is
# done and no network is used. Debian 12 and Ubuntu 24.04; elsewhere it names the packages.
set -eu

build="gcc libc6-dev make cmake ninja-build pkg-config openmpi-bin libopenmpi-dev libavformat-dev
libavcodec-dev libavutil-dev libzimg-dev libpng-dev libjpeg-dev libtiff-dev libwebp-dev liblcms2-dev libpopt-dev libjansson-dev libzip-dev
libxxhash-dev libhdf5-dev ffmpeg python3-venv ca-certificates curl"
test="libcmocka-dev python3-h5py python3-pil libtiff-tools jq valgrind clang-format shellcheck git procps"
# The daemons of the tests under real Slurm, which run them themselves, and what makes hosts of network namespaces.
slurm="munge slurmctld slurmd slurm-client iproute2"

wanted=""
for group in "$@"; do
    case $group in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    slurm) wanted="$wanted $slurm" ;;
    *)
        echo "install-deps.sh: '$group' is not a group; use build, test or slurm" >&2
        exit 64
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    echo "install-deps.sh: this is no Debian or Ubuntu; make sure that these are installed: $wanted" >&2
    exit 0
fi

missing=""
for package in $wanted; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null; then
    as_root="sudo"
else
    echo "install-deps.sh: packages are missing, and this is neither root nor is sudo there. Run:" >&2
    echo "    apt-get install$missing" >&2
    exit 77
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
