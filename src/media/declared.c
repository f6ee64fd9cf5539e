#include "media/declared.h"

#include <libavutil/avstring.h>
#include <libavutil/intfloat.h>
#include <libavutil/intreadwrite.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Names of demuxers as in AVInputFormat.name; what is listed nowhere here declares nothing that is
 * compared. */
static const char by_index[] = "mov,mp4,m4a,3gp,3g2,mj2";
static const char by_frames[] = "avi";
static const char by_frames_or_time[] = "ivf";
static const char by_stream_time[] = "mxf,rm";
static const char by_file_time[] = "flv,live_flv";

/* Formats in which a cut at the end of a frame, or frames that are missing, cannot be seen: nothing
 * in the file says how long it is. docs/files.md names them; tests/evil/test_frames.py plays each, and
 * fails where this table and its own differ. */
/* clang-format off */
static const char *const unknowable[][2] = {
    {"mpegts",          "MPEG transport stream: no length, a continuity counter of 4 bits"},
    {"mpeg",            "MPEG program stream: no length"},
    {"yuv4mpegpipe",    "YUV4MPEG2: no length"},
    {"h264",            "raw H.264: no length"},
    {"hevc",            "raw HEVC: no length"},
    {"mpegvideo",       "raw MPEG-1 and MPEG-2: no length"},
    {"m4v",             "raw MPEG-4: no length"},
    {"vc1",             "raw VC-1: no length"},
    {"obu",             "raw AV1: no length"},
    {"dv",              "raw DV: no length"},
    {"mp4 (fragments)", "fragmented MP4: a length of each fragment, not of the file"},
    {"matroska (live)", "Matroska of unknown size, as written to a pipe: no length"},
    {"flips",           "changed bytes in formats without a check value"},
};
/* clang-format on */

static bool is_one_of(const AVFormatContext *input, const char *names)
{
    return av_match_name(input->iformat->name, names) > 0;
}

/* `count` bytes at `offset` (negative: from the end); false if the file does not have them. */
static bool read_at(FILE *file, int64_t offset, void *out, size_t count)
{
    return fseeko(file, (off_t)offset, offset < 0 ? SEEK_END : SEEK_SET) == 0 &&
           fread(out, 1, count, file) == count;
}

/* What a file's size or last bytes say of its end. */
typedef enum End { END_WHOLE, END_CUT, END_NOT_DECLARED } End;

/* RIFF chunks one behind another (AVI, OpenDML): does the last end behind the file? */
static End find_riff_end(FILE *file, int64_t bytes)
{
    uint8_t head[12];
    int64_t at = 0;
    while (at < bytes && read_at(file, at, head, sizeof head) && memcmp(head, "RIFF", 4) == 0)
        at += 8 + (int64_t)AV_RL32(head + 4);
    return at > bytes ? END_CUT : END_WHOLE;
}

/* An EBML number of up to 8 bytes: its value without the length mark; -1 for "unknown". */
static int64_t read_ebml(const uint8_t *in, int *length)
{
    *length = 1;
    while (*length <= 8 && !(in[0] >> (8 - *length) & 1))
        ++*length;
    if (*length > 8)
        return -1;
    uint64_t value = in[0] & ((1u << (8 - *length)) - 1);
    for (int i = 1; i < *length; i++)
        value = value << 8 | in[i];
    return value == (UINT64_C(1) << 7 * *length) - 1 ? -1 : (int64_t)value;
}

/* Matroska's only segment has a size, unless it was written to a pipe. */
static End find_segment_end(FILE *file, int64_t bytes)
{
    uint8_t head[64] = {0};
    int length;
    if (!read_at(file, 0, head, 16) || AV_RB32(head) != 0x1A45DFA3)
        return END_NOT_DECLARED;
    int64_t at = read_ebml(head + 4, &length);
    at += 4 + length;
    if (at < 4 || at > bytes || !read_at(file, at, head, 12) || AV_RB32(head) != 0x18538067)
        return END_NOT_DECLARED;
    int64_t size = read_ebml(head + 4, &length);
    if (size < 0)
        return END_NOT_DECLARED;
    return size > bytes - at - 4 - length ? END_CUT : END_WHOLE;
}

/* ASF's file properties have the file's size, unless it was broadcast. */
static End find_asf_end(FILE *file, int64_t bytes)
{
    static const uint8_t properties[16] = {0xA1, 0xDC, 0xAB, 0x8C, 0x47, 0xA9, 0xCF, 0x11,
                                           0x8E, 0xE4, 0x00, 0xC0, 0x0C, 0x20, 0x53, 0x65};
    uint8_t object[92];
    int64_t at = 30;
    for (int i = 0; i < 64 && read_at(file, at, object, 24); i++) {
        if (memcmp(object, properties, sizeof properties) == 0 &&
            read_at(file, at, object, sizeof object) && !(object[88] & 1))
            return AV_RL64(object + 40) > (uint64_t)bytes ? END_CUT : END_WHOLE;
        uint64_t size = AV_RL64(object + 16);
        if (size < 24 || size > (uint64_t)(bytes - at))
            break;
        at += (int64_t)size;
    }
    return END_NOT_DECLARED;
}

/* FLV's script tag "onMetaData" has the file's size as a number of AMF0 ("Adobe Flash Video File
 * Format Specification" 10.1, annex E.5); recorders that do not know it write 0. */
static End find_flv_end(FILE *file, int64_t bytes)
{
    static const uint8_t key[] = {0, 8, 'f', 'i', 'l', 'e', 's', 'i', 'z', 'e', 0};
    enum { TAGS_AT = 13, SCRIPT_TAG = 18, KEY_BYTES = sizeof key, NUMBER_BYTES = 8 };
    uint8_t head[4096] = {0};
    size_t count = bytes < (int64_t)sizeof head ? (size_t)bytes : sizeof head;
    if (!read_at(file, 0, head, count) || head[TAGS_AT] != SCRIPT_TAG)
        return END_NOT_DECLARED;
    const uint8_t *at = memmem(head, count, key, KEY_BYTES);
    if (!at || at + KEY_BYTES + NUMBER_BYTES > head + count)
        return END_NOT_DECLARED;
    double declared = av_int2double(AV_RB64(at + KEY_BYTES));
    return declared > 0 && declared > (double)bytes ? END_CUT : END_WHOLE;
}

/* The last page of an Ogg file is whole and has the mark "end of stream". */
static End find_ogg_end(FILE *file, int64_t bytes)
{
    enum { PAGE_BYTES = 27 + 255 + 255 * 255 };
    uint8_t *tail = NULL;
    int64_t length = bytes < PAGE_BYTES ? bytes : PAGE_BYTES;
    bool whole = false;
    if (resr_alloc(&tail, 1, PAGE_BYTES) < 0)
        return END_NOT_DECLARED;
    bool known = read_at(file, bytes - length, tail, (size_t)length);
    for (int64_t at = length - 27; known && at >= 0; at--) {
        if (memcmp(tail + at, "OggS", 4) != 0 || tail[at + 4] != 0)
            continue;
        int64_t end = at + 27 + tail[at + 26];
        for (int i = 0; i < tail[at + 26] && at + 27 + i < length; i++)
            end += tail[at + 27 + i];
        whole = end <= length && tail[at + 5] & 4;
        break;
    }
    free(tail);
    return !known ? END_NOT_DECLARED : whole ? END_WHOLE : END_CUT;
}

/* Skips GIF's sub-blocks; false where the file ends in one. */
static bool skip_blocks(FILE *file)
{
    int length;
    while ((length = fgetc(file)) > 0)
        if (fseeko(file, length, SEEK_CUR) != 0)
            return false;
    return length == 0;
}

/* Skips a block of GIF behind its first byte. */
static bool skip_block(FILE *file, int block)
{
    uint8_t image[9];
    if (block == 0x21)
        return fgetc(file) != EOF && skip_blocks(file);
    if (block != 0x2C || fread(image, 1, sizeof image, file) != sizeof image)
        return false;
    int table = image[8] & 0x80 ? 3 << ((image[8] & 7) + 1) : 0;
    return fseeko(file, table + 1, SEEK_CUR) == 0 && skip_blocks(file);
}

/* GIF's blocks end with a trailer. */
static End find_gif_end(FILE *file, int64_t bytes)
{
    uint8_t head[13];
    int block = -1;
    (void)bytes;
    if (!read_at(file, 0, head, sizeof head))
        return END_CUT;
    int table = head[10] & 0x80 ? 3 << ((head[10] & 7) + 1) : 0;
    bool good = fseeko(file, table, SEEK_CUR) == 0;
    while (good && (block = fgetc(file)) != 0x3B)
        good = block == 0 || skip_block(file, block);
    return good ? END_WHOLE : END_CUT;
}

/* PNG's chunks end with IEND. */
static End find_png_end(FILE *file, int64_t bytes)
{
    uint8_t head[8];
    int64_t at = 8;
    while (read_at(file, at, head, sizeof head)) {
        at += 12 + (int64_t)AV_RB32(head);
        if (memcmp(head + 4, "IEND", 4) == 0)
            return at > bytes ? END_CUT : END_WHOLE;
    }
    return END_CUT;
}

static const struct {
    const char *names;
    End (*find)(FILE *file, int64_t bytes);
    const char *defect;
} by_size[] = {
    {"matroska,webm", find_segment_end, "the file is cut off: it is shorter than its segment"},
    {"asf", find_asf_end, "the file is cut off: it is shorter than its header says"},
    {by_file_time, find_flv_end, "the file is cut off: it is shorter than its header says"},
    {"ogg", find_ogg_end, "the file is cut off: its last page is not the end of a stream"},
    {"apng", find_png_end, "the file is cut off: its last chunk is missing"},
    {"gif", find_gif_end, "the file is cut off: its trailer is missing"},
    {by_frames, find_riff_end, NULL}, /* a short file makes the header's count of frames hold */
};

/* What the file's size and last bytes say. */
static End find_end(const AVFormatContext *input, const char *path, const char **defect)
{
    size_t i = 0, n = sizeof by_size / sizeof *by_size;
    while (i < n && !is_one_of(input, by_size[i].names))
        i++;
    if (i == n)
        return END_NOT_DECLARED;
    FILE *file = fopen(path, "rbe");
    int64_t bytes = file && fseeko(file, 0, SEEK_END) == 0 ? (int64_t)ftello(file) : -1;
    End end = bytes < 0 ? END_NOT_DECLARED : by_size[i].find(file, bytes);
    if (file)
        fclose(file);
    *defect = end == END_CUT ? by_size[i].defect : NULL;
    return end;
}

static bool is_unknowable(const char *name)
{
    for (size_t i = 0; i < sizeof unknowable / sizeof *unknowable; i++)
        if (strcmp(unknowable[i][0], name) == 0)
            return true;
    return false;
}

/* Another stream that has packets behind the end of the file, by the index; or -1. */
static int find_cut_stream(const AVFormatContext *input, int video)
{
    int64_t bytes = is_one_of(input, by_index) ? avio_size(input->pb) : -1;
    for (int i = 0; bytes >= 0 && i < (int)input->nb_streams; i++) {
        AVStream *stream = input->streams[i];
        enum AVMediaType type = stream->codecpar->codec_type;
        int entries = avformat_index_get_entries_count(stream);
        if (i == video || (type != AVMEDIA_TYPE_AUDIO && type != AVMEDIA_TYPE_SUBTITLE))
            continue;
        for (int k = 0; k < entries; k++) {
            const AVIndexEntry *entry = avformat_index_get_entry(stream, k);
            if (entry->pos > bytes - entry->size)
                return i;
        }
    }
    return -1;
}

static double seconds_of(int64_t time, AVRational base)
{
    return time == AV_NOPTS_VALUE || time <= 0 ? 0 : (double)time * av_q2d(base);
}

void resr_declared_read(ResrDeclared *out, const AVFormatContext *input, int stream,
                        const char *path)
{
    AVStream *video = input->streams[stream];
    int entries = avformat_index_get_entries_count(video);
    const AVIndexEntry *last = entries > 0 ? avformat_index_get_entry(video, entries - 1) : NULL;
    *out = (ResrDeclared){.last_dts = AV_NOPTS_VALUE, .cut_stream = find_cut_stream(input, stream)};
    End end = find_end(input, path, &out->defect);
    out->unknown = is_unknowable(input->iformat->name) ||
                   (is_one_of(input, by_index) && video->nb_frames <= 0) ||
                   (is_one_of(input, "matroska,webm") && end == END_NOT_DECLARED);
    out->stream_of_bits =
        input->iformat->flags & AVFMT_NOTIMESTAMPS || is_one_of(input, "mpegts,mpeg");
    if (is_one_of(input, by_index) && video->nb_frames > 0 && last) {
        out->packets = entries;
        out->last_dts = last->timestamp;
    } else if (is_one_of(input, by_frames)) {
        /* A header may count what was never written, an index has changes of the palette, too. */
        bool header = end == END_CUT ? video->nb_frames > entries : video->nb_frames < entries;
        out->packets = header && video->nb_frames > 0 ? video->nb_frames : entries;
        out->counts_all = true;
    } else if (is_one_of(input, by_frames_or_time)) {
        out->packets = video->duration > 0 ? video->duration : 0;
        out->end_seconds = seconds_of(video->duration, video->time_base);
        out->either = true;
    } else if (is_one_of(input, by_stream_time)) {
        out->slack_seconds = is_one_of(input, "rm") ? 2 : 0; /* its header rounds up */
        out->end_seconds = seconds_of(video->duration, video->time_base);
        if (out->end_seconds > 0 && video->start_time != AV_NOPTS_VALUE)
            out->end_seconds += (double)video->start_time * av_q2d(video->time_base);
    } else if (is_one_of(input, by_file_time)) {
        out->end_seconds = seconds_of(input->duration, AV_TIME_BASE_Q);
        out->every_stream = true;
        out->slack_seconds = 0.1;
    }
}

void resr_extent_add(ResrExtent *extent, const AVStream *of, const AVPacket *packet, bool video)
{
    int64_t time = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
    double end = 0;
    if (time != AV_NOPTS_VALUE)
        end = ((double)time + (double)packet->duration) * av_q2d(of->time_base);
    if (end > extent->every_end_seconds)
        extent->every_end_seconds = end;
    if (!video)
        return;
    if (extent->packets >= 0)
        extent->packets++;
    if (packet->dts != AV_NOPTS_VALUE && packet->dts > extent->last_dts)
        extent->last_dts = packet->dts;
    if (end > extent->end_seconds)
        extent->end_seconds = end;
}

const char *resr_declared_missing(const ResrDeclared *declared, const ResrExtent *extent,
                                  double frame_seconds, int64_t *missing)
{
    static const char cut[] = "the file is cut off";
    double end = declared->every_stream ? extent->every_end_seconds : extent->end_seconds;
    bool counted = extent->packets >= 0 && declared->packets > 0;
    bool few = counted && extent->packets < declared->packets;
    double slack = 2.5 * frame_seconds + declared->slack_seconds;
    bool early = declared->end_seconds > 0 && end < declared->end_seconds - slack;
    *missing = few ? declared->packets - extent->packets : 0;
    if (early && !declared->every_stream && !few && frame_seconds > 0)
        *missing = (int64_t)((declared->end_seconds - end) / frame_seconds + 0.5);
    if (declared->either)
        return (few || !counted) && early ? cut : declared->defect;
    if (few || early)
        return cut;
    if (!counted && declared->last_dts != AV_NOPTS_VALUE && extent->last_dts < declared->last_dts)
        return cut;
    *missing = 0;
    return declared->defect;
}
