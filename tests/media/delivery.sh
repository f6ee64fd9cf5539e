#!/bin/sh
# A delivered file keeps everything of its source except the pixels: streams, chapters, metadata, times,
# colour tags, rotation; and its pixels have the right colours, sizes and formats.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../mpi/lib.sh"
. "$here/lib.sh"

# --- other streams, chapters and metadata
printf '1\n00:00:00,100 --> 00:00:00,500\nhello\n' >sub.srt
printf ';FFMETADATA1\ntitle=A film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=300\ntitle=one\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=300\nEND=680\ntitle=two\n' >meta.txt
echo "not really a font" >font.ttf
clip full.mkv 17 -f lavfi -i sine=440:duration=0.7 -f lavfi -i sine=880:duration=0.7 -i sub.srt -i meta.txt \
    -map 0:v -map 1:a -map 2:a -map 3:s -map_metadata 4 -map_chapters 4 -c:v libx264 -bf 2 -c:a flac \
    -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -metadata:s:s:0 language=fra \
    -disposition:a:1 default -attach font.ttf -metadata:s:t mimetype=application/x-truetype-font
up -i full.mkv -o full_x2.mkv
# shellcheck disable=SC2042 # the commas are ffprobe's
for entries in stream=codec_type,codec_name:stream_tags=language:stream_disposition=default; do
    same "streams, languages, dispositions" \
        "$(ffprobe -v error -show_entries $entries -of compact full.mkv)" \
        "$(ffprobe -v error -show_entries $entries -of compact full_x2.mkv)"
done
same "chapters" "$(ffprobe -v error -show_chapters -of compact full.mkv)" \
    "$(ffprobe -v error -show_chapters -of compact full_x2.mkv)"
same "title" "A film" \
    "$(ffprobe -v error -show_entries format_tags=title -of default=nw=1:nk=1 full_x2.mkv)"
for s in a:0 a:1 s:0; do
    same "packets of $s" "$(ffmpeg -v error -i full.mkv -map 0:$s -c copy -f framemd5 - | grep -v '^#')" \
        "$(ffmpeg -v error -i full_x2.mkv -map 0:$s -c copy -f framemd5 - | grep -v '^#')"
done
code=0
up -i full.mkv -o full_x2.mp4 2>/dev/null || code=$?
same "mp4 refuses streams that it cannot store" 64 $code
grep -q 'use an output that ends in .mkv' run.log || fail "$(cat run.log)"

# --- time
clip vfr.mkv 40 -vf "select='not(mod(n,3))+gt(mod(n,7),4)'" -vsync vfr -c:v libx264 -bf 2
up -i vfr.mkv -o vfr_x2.mkv
same "variable frame rate" "$(presentation_times vfr.mkv)" \
    "$(presentation_times vfr_x2.mkv)"
clip vfr.mp4 17 -vf "select='not(eq(n,1)+eq(n,2)+eq(n,9))'" -vsync vfr -c:v libx264 -bf 0
up -i vfr.mp4 -o vfr_x2.mp4 --codec mpeg4
# shellcheck disable=SC2042
same "durations" "$(stream vfr.mp4 packet=pts_time,duration_time)" \
    "$(stream vfr_x2.mp4 packet=pts_time,duration_time)"
clip equal.mkv 12 -c:v ffv1 -bsf:v 'setts=ts=if(eq(N\,5)\,PTS-40\,PTS)'
[ "$(presentation_times equal.mkv | sort -u | wc -l)" = 11 ] || fail "no two equal timestamps: $(presentation_times equal.mkv)"
up -i equal.mkv -o equal_x2.mkv
grep -q 'frame 5 has .* timestamp' run.log || fail "no warning of a timestamp: $(cat run.log)"
same "equal timestamps become rising ones" 12 "$(presentation_times equal_x2.mkv | sort -u | wc -l)"
clip long.mp4 100 -f lavfi -i sine=440:duration=4 -map 0:v -map 1:a -c:v libx264 -c:a aac
up -i long.mp4 -o cut.mp4 --frames 25
same "sound ends with --frames" 1 "$(ffprobe -v error -select_streams a -show_entries stream=duration \
    -of csv=p=0 cut.mp4 | awk '{ print ($1 > 0.9 && $1 < 1.15) }')"

# --- properties of the picture
tags=stream=pix_fmt,color_range,color_space,color_transfer,color_primaries,chroma_location,sample_aspect_ratio
hdr="-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc"
ffmpeg -v error -y -f lavfi -i testsrc2=size=64x36:rate=25,format=yuv420p10le -frames:v 9 -c:v libx265 $hdr \
    -x265-params "log-level=error:hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400" \
    hdr.mkv
up -i hdr.mkv -o hdr_x2.mkv --codec libx265
same "HDR tags" "$(stream hdr.mkv $tags)" "$(stream hdr_x2.mkv $tags)"
ffprobe -v error -show_streams hdr_x2.mkv | grep -q 'Mastering display' || fail "mastering display is lost"
ffprobe -v error -show_streams hdr_x2.mkv | grep -q 'max_content=1000' || fail "content light level is lost"
up -i hdr.mkv -o hdr264.mkv
same "10 bits stay with libx264" "pix_fmt=yuv420p10le" "$(stream hdr264.mkv stream=pix_fmt)"
for colours in bt709:tv smpte170m:tv bt470bg:pc bt2020nc:tv; do
    ffmpeg -v error -y -f lavfi -i testsrc2=size=64x36:rate=25,format=yuv420p -frames:v 3 -c:v libx264 \
        -colorspace ${colours%:*} -color_range ${colours#*:} col.mp4
    up -i col.mp4 -o col_x2.mp4 --overwrite
    same "tags $colours" "$(stream col.mp4 $tags)" "$(stream col_x2.mp4 $tags)"
done
ffmpeg -v error -y -f lavfi -i testsrc2=size=64x36:rate=25 -frames:v 3 -vf setsar=16/11 -pix_fmt yuv420p sar.mkv
up -i sar.mkv -o sar_x2.mkv
same "aspect ratio" "$(stream sar.mkv $tags)" "$(stream sar_x2.mkv $tags)"
ffmpeg -v error -y -i col.mp4 -c copy -metadata:s:v rotate=90 rot.mp4 2>/dev/null ||
    ffmpeg -v error -y -display_rotation 90 -i col.mp4 -c copy rot.mp4
rotation=$(ffprobe -v error -show_streams rot.mp4 | grep '^rotation=') || fail "ffmpeg stored no rotation"
up -i rot.mp4 -o rot_x2.mp4
same "rotation" "$rotation" "$(ffprobe -v error -show_streams rot_x2.mp4 | grep '^rotation=')"

# --- colours: solid frames, lossless on both sides; each plane's mean is within half a level
planes() {
    ffprobe -v error -f lavfi -i "movie=$1,signalstats" -show_entries \
        frame_tags=lavfi.signalstats.YAVG,lavfi.signalstats.UAVG,lavfi.signalstats.VAVG -of csv=p=0 | head -n 1
}
for format in yuv420p yuv422p yuv444p yuv420p10le; do
    for colours in bt709:tv smpte170m:tv smpte170m:pc bt2020nc:tv; do
        for colour in 0x4080c0 0xa05030 0x808080; do
            ffmpeg -v error -y -f lavfi -i "color=c=$colour:size=50x38:rate=25,format=$format" -frames:v 1 \
                -c:v ffv1 -colorspace ${colours%:*} -color_range ${colours#*:} solid.mkv
            up -i solid.mkv -o solid_x2.mkv --overwrite --codec ffv1
            planes solid.mkv >a.txt
            planes solid_x2.mkv >b.txt
            paste -d, a.txt b.txt | awk -F, '{ for (i = 1; i <= 3; i++) { d = $i - $(i + 3); if (d < 0) d = -d
                if (d > 0.5) exit 1 } }' || fail "$format $colours $colour: $(cat a.txt) became $(cat b.txt)"
        done
    done
    echo "ok colours in $format"
done

# --- odd sizes
for size in 63x35 1x1 17x2; do
    for format in yuv444p yuv420p; do
        ffmpeg -v error -y -f lavfi -i "testsrc2=size=64x64:rate=25,format=yuv444p,scale=$(echo $size | tr x :),format=$format" \
            -frames:v 2 -c:v ffv1 odd.mkv
        up -i odd.mkv -o odd_x2.mkv --overwrite --codec ffv1
        same "size $size $format" "$(echo $size | awk -Fx '{ print 2 * $1 "," 2 * $2 }')" \
            "$(ffprobe -v error -show_entries stream=width,height -of csv=p=0 odd_x2.mkv)"
    done
done
up -i odd.mkv -o odd3.mkv --codec ffv1 --outscale 1.5
same "--outscale 1.5" 25,3 "$(ffprobe -v error -show_entries stream=width,height -of csv=p=0 odd3.mkv)"

# --- images: the enlargement is exact
for format in rgb24 gray rgb48be gray16be; do
    ffmpeg -v error -y -f lavfi -i testsrc2=size=38x24:rate=1 -frames:v 1 -pix_fmt $format in.png
    up -i in.png -o out.png --overwrite
    same "png $format" "pix_fmt=$format" "$(stream out.png stream=pix_fmt)"
    ffmpeg -v error -y -i in.png -f rawvideo -pix_fmt gbrp16le in.raw
    ffmpeg -v error -y -i out.png -f rawvideo -pix_fmt gbrp16le out.raw
    python3 - 38 24 <<'PYTHON' || fail "png $format: the enlargement is not exact"
import array, sys
width, height = map(int, sys.argv[1:])
small, large = (array.array("H", open(f, "rb").read()) for f in ("in.raw", "out.raw"))
assert len(small) == 3 * width * height and len(large) == 4 * len(small)
for row in range(6 * height):
    for x in range(2 * width):
        assert large[row * 2 * width + x] == small[row // 2 * width + x // 2], (row, x)
PYTHON
    echo "ok png $format pixels"
done
ffmpeg -v error -y -f lavfi -i "testsrc2=size=38x24:rate=1,format=rgba,colorchannelmixer=aa=0.5" -frames:v 1 in.png
up -i in.png -o out.png --overwrite
same "png with alpha" "pix_fmt=rgba" "$(stream out.png stream=pix_fmt)"
same "alpha stays" "$(ffmpeg -v error -i in.png -vf alphaextract,scale=76:48:flags=neighbor -f md5 -)" \
    "$(ffmpeg -v error -i out.png -vf alphaextract -f md5 -)"
for ending in jpg webp bmp tiff; do
    up -i in.png -o out.$ending
    same "image .$ending" 76,48 "$(ffprobe -v error -show_entries stream=width,height -of csv=p=0 out.$ending)"
done
