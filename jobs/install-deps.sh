#!/bin/sh
# jobs/install-deps.sh build|test|slurm...: installs the missing Debian packages of the named groups, with apt-get as
# root or through sudo. Uses no network if no package is missing. For Debian 12 and Ubuntu 24.04; on other systems it
# prints the names of the packages.
set -eu

build="gcc libc6-dev make cmake ninja-build pkg-config openmpi-bin libopenmpi-dev libavformat-dev
libavcodec-dev libavutil-dev libzimg-dev libpng-dev libjpeg-dev libtiff-dev libwebp-dev liblcms2-dev libpopt-dev libjansson-dev libzip-dev
libxxhash-dev libhdf5-dev ffmpeg python3-venv ca-certificates curl"
test="libcmocka-dev python3-h5py python3-pil libtiff-tools jq valgrind clang-format shellcheck git procps"
# Slurm's daemons, which its tests start themselves, and the tools for hosts in network namespaces.
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
    echo "install-deps.sh: not a Debian or Ubuntu system; install these packages or their equivalents: $wanted" >&2
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
    echo "install-deps.sh: packages are missing, and neither root nor sudo is available. As root, run:" >&2
    echo "    apt-get install$missing" >&2
    exit 77
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
