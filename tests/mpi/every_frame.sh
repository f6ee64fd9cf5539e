#!/bin/sh
# Frames out = frames in, timestamps equal, sound identical: short clips around the batch size, with
# B-frames, with and without sound, MP4 and MKV.
. "$(dirname "$0")/lib.sh"
tiny_model

# Presentation times in microseconds, sorted: the two files may use different time bases.
present() {
    ffprobe -v error -select_streams v:0 -show_entries frame=pts_time -of csv=p=0 "$1" | tr -d ',' |
        awk '{ printf "%.0f\n", $1 * 1000 }' | sort -n
}

sound() {
    ffmpeg -v error -i "$1" -map 0:a -c copy -f framemd5 - | grep -v '^#' | awk -F, '{ print $5, $6 }'
}

for frames in 1 7 8 9 17; do
    for container in mp4 mkv; do
        for audio in silent sound; do
            if [ $audio = sound ]; then
                clip in.$container $frames -f lavfi -i "sine=frequency=440:sample_rate=48000:duration=0.9" \
                    -map 0:v -map 1:a -c:v libx264 -bf 3 -x264-params b-adapt=0 -c:a aac
            else
                clip in.$container $frames -c:v libx264 -bf 3 -x264-params b-adapt=0
            fi
            rm -f out.$container
            upscale 2 -i in.$container -o out.$container -m tiny.safetensors --threads 1 ||
                fail "$frames frames, $container, $audio"
            [ "$(count_frames out.$container)" = "$(count_frames in.$container)" ] ||
                fail "$frames $container $audio: $(count_frames out.$container) frames"
            [ "$(count_frames out.$container)" = "$frames" ] || fail "$frames $container: test clip"
            present in.$container >in.times
            present out.$container >out.times
            cmp -s in.times out.times || fail "$frames $container $audio: other timestamps"
            if [ $audio = sound ]; then
                sound in.$container >in.sound
                sound out.$container >out.sound
                [ -s in.sound ] || fail "the test clip has no sound"
                cmp -s in.sound out.sound || fail "$frames $container: other sound"
            fi
            echo "ok $frames frames, $container, $audio"
        done
    done
done

# More ranks than batches, MKV to MP4, and only the first frames.
clip in.mkv 17 -c:v libx264 -bf 3
upscale 5 -i in.mkv -o out2.mp4 -m tiny.safetensors --threads 1 || fail "mkv to mp4"
[ "$(count_frames out2.mp4)" = 17 ] || fail "mkv to mp4: $(count_frames out2.mp4) frames"
upscale 2 -i in.mkv -o out3.mp4 -m tiny.safetensors --threads 1 --frames 11 || fail "--frames"
[ "$(count_frames out3.mp4)" = 11 ] || fail "--frames 11: $(count_frames out3.mp4) frames"

# Images: one, a folder, a pattern.
ffmpeg -v error -i in.mkv -frames:v 3 -pix_fmt rgb24 img%02d.png
"$RESR" -i img01.png -o big.png -m tiny.safetensors --progress none || fail "image"
ffprobe -v error -show_entries stream=width,height -of csv=p=0 big.png | grep -q '^128,72' ||
    fail "image: wrong size"
mkdir folder && mv img*.png folder
upscale 2 -i folder -o many -m tiny.safetensors --threads 1 || fail "folder"
[ "$(ls many)" = "$(ls folder)" ] || fail "folder: other names: $(ls many)"
upscale 2 -i folder/img%02d.png -o p%02d.png -m tiny.safetensors --threads 1 || fail "pattern"
[ "$(ls p*.png | wc -l)" = 3 ] || fail "pattern: $(ls p*.png)"
echo "ok images"
