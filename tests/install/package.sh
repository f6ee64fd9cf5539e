#!/bin/sh
# Builds the .deb from $BUILD, installs it with apt in a clean Debian root, fetches weights with the installed script,
# upscales 16 frames of the quickstart's clip on two ranks, and removes the package. As root; needs debootstrap, a
# package mirror, and the clip of jobs/fetch-clips.sh.
# shellcheck disable=SC2154 # $work is lib.sh's
project=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/../mpi/lib.sh"
skip() {
    echo "skipped: $*"
    exit 77
}
[ "$(id -u)" = 0 ] || skip "root is needed"
for tool in debootstrap dpkg-shlibdeps cpack; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
sh "$project/jobs/fetch-clips.sh" || skip "the clip is not available"

cpack --config "$BUILD/CPackConfig.cmake" -G DEB -B "$work/pack" >pack.log 2>&1 || fail "cpack: $(cat pack.log)"
package=$(ls pack/realesrgan-mpi_*.deb)
dpkg-deb -f "$package" Depends | grep -q libavcodec || fail "no dependencies: $(dpkg-deb -f "$package")"

# The root: the release and the mirror of this machine.
root=$work/root
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" 'Component: main' |
    sort -u | head -n 1)
debootstrap --variant=minbase --include=ca-certificates "$codename" "$root" "$mirror" >debootstrap.log 2>&1 ||
    skip "debootstrap: $(tail -n 3 debootstrap.log)"
cp -r /etc/apt/sources.list.d /etc/apt/apt.conf.d "$root/etc/apt/"
[ ! -f /etc/apt/sources.list ] || cp /etc/apt/sources.list "$root/etc/apt/"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp -r /etc/ssl/certs/. "$root/etc/ssl/certs/"
[ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
unmount() {
    for folder in sys dev proc; do
        umount -R "$root/$folder" 2>/dev/null || umount -Rl "$root/$folder" 2>/dev/null || :
    done
    for folder in sys dev proc; do # never remove the machine's own files
        ! mountpoint -q "$root/$folder" || exit 1
    done
    rm -rf "$work"
}
trap unmount EXIT
for folder in proc dev sys; do
    mount --rbind "/$folder" "$root/$folder"
    mount --make-rslave "$root/$folder"
done

# inside COMMAND: a shell in the root, with this machine's settings of the network.
inside() {
    # shellcheck disable=SC2046 # words
    env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        $(env | grep -E '^(PIP_|SSL_CERT|REQUESTS_CA|https?_proxy|no_proxy)') \
        chroot "$root" sh -c "$1" >inside.log 2>&1 || fail "$1: $(tail -n 20 inside.log)"
}

cp "$package" "$root/tmp/realesrgan-mpi.deb"
cp "$project/models/clips/carphone_pristine.mp4" "$root/tmp/in.mp4"
inside "apt-get update && apt-get install -y /tmp/realesrgan-mpi.deb"
inside "dpkg -L realesrgan-mpi" && grep -v '^/\.$' inside.log >installed
inside "realesrgan-mpi --version"
inside "realesrgan-mpi --list-models | sed -n 's/.*fetch it with: \(.* RealESRGAN_x4plus\)$/\1/p'"
command=$(cat inside.log)
inside "$command"
inside "mpirun -n 2 --oversubscribe --bind-to none realesrgan-mpi -i /tmp/in.mp4 -o /tmp/out.mp4 -s 4 --frames 16"
[ "$(count_frames "$root/tmp/out.mp4")" = 16 ] || fail "$(count_frames "$root/tmp/out.mp4") frames"
size=$(ffprobe -v error -select_streams v:0 -show_entries stream=width,height -of csv=p=0 "$root/tmp/out.mp4")
[ "$size" = 704,576 ] || fail "the output is $size"
inside "apt-get purge -y realesrgan-mpi"
while read -r path; do
    [ ! -f "$root$path" ] || fail "$path remains after the package was removed"
    case $path in
    *realesrgan*) [ ! -e "$root$path" ] || fail "$path remains after the package was removed" ;;
    esac
done <installed
grep -q /usr/bin/realesrgan-mpi installed || fail "the package has no program: $(cat installed)"
echo "ok"
