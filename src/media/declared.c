/* How it works. A cut file usually decodes without an error up to the cut, so the length that a
 * file declares is compared with the data that was read. The declaration depends on the format:
 *
 *   number of packets   MOV/MP4 index, AVI header or index, IVF header
 *   end time            MXF, RealMedia, FLV header
 *   size of the file    Matroska segment, ASF and FLV header, AVI's RIFF chunks
 *   mark at the end     Ogg, GIF, APNG
 *
 * resr_declared_read() collects this when the file is opened, resr_extent_add() counts the packets,
 * and resr_declared_missing() compares at the end, with a tolerance of 2.5 frames for times. For
 * formats that declare nothing, `unknown` is set, and the job report says that a cut cannot be
 * detected.
 */

#include "media/declared.h"

#include <libavutil/avstring.h>
#include <libavutil/intfloat.h>
#include <libavutil/intreadwrite.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "media/avio.h"

/* Names of demuxers as in AVInputFormat.name. Other formats declare no length that is compared. */
static const char by_index[] = "mov,mp4,m4a,3gp,3g2,mj2";
static const char by_frames[] = "avi";
static const char by_frames_or_time[] = "ivf";
static const char by_stream_time[] = "mxf,rm";
static const char by_file_time[] = "flv,live_flv";

/* Formats in which a cut at the end of a frame, or missing frames, cannot be detected, because the
 * file does not declare its length. docs/files.md lists these formats; tests/evil/test_frames.py
 * tests each, and fails if this table and the test's differ. */
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

/* Reads `count` bytes at `offset`; false if the file ends before. */
static bool read_at(AVIOContext *file, int64_t offset, void *out, size_t count)
{
    return avio_seek(file, offset, SEEK_SET) >= 0 && avio_read(file, out, (int)count) == (int)count;
}

/* The next byte; -1 at the end of the file. */
static int read_byte(AVIOContext *file)
{
    uint8_t byte;
    return avio_read(file, &byte, 1) == 1 ? byte : -1;
}

/* Result of checking a file's size or last bytes. */
typedef enum End { END_WHOLE, END_CUT, END_GAP, END_NOT_DECLARED } End;

/* RIFF chunks follow each other (AVI, OpenDML); in a cut file the last one ends behind the file's
 * end. */
static End find_riff_end(AVIOContext *file, int64_t bytes)
{
    uint8_t head[12];
    int64_t at = 0;
    while (at < bytes && read_at(file, at, head, sizeof head) && memcmp(head, "RIFF", 4) == 0)
        at += 8 + (int64_t)AV_RL32(head + 4);
    return at > bytes ? END_CUT : END_WHOLE;
}

/* An EBML number of up to 8 bytes, without the length mark; -1 for "unknown". */
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

/* Matroska's segment declares its size, unless it was written to a pipe. */
static End find_segment_end(AVIOContext *file, int64_t bytes)
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

/* ASF's file properties declare the file's size, unless the file was broadcast. */
static End find_asf_end(AVIOContext *file, int64_t bytes)
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

/* FLV's script tag "onMetaData" has the file's size as an AMF0 number ("Adobe Flash Video File
 * Format Specification" 10.1, annex E.5); 0 from recorders that do not know it. */
static End find_flv_end(AVIOContext *file, int64_t bytes)
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

/* The pages of an Ogg file follow each other (RFC 3533, section 6): the page numbers of each
 * logical stream have no gap, and the last page of the file ends a stream. Up to 1 MiB
 * between pages is skipped. */
static End find_ogg_end(AVIOContext *file, int64_t bytes)
{
    enum { HEAD_BYTES = 27, MAX_STREAMS = 64, FLAGS = 5, ENDS_STREAM = 4, STARTS_STREAM = 2 };
    enum { MAX_BETWEEN_BYTES = 1 << 20 };
    struct {
        uint32_t serial, number;
    } streams[MAX_STREAMS];
    uint8_t head[HEAD_BYTES + 255];
    int count = 0, between = 0;
    int64_t at = 0;
    bool ended = false;
    while (at + HEAD_BYTES <= bytes && read_at(file, at, head, HEAD_BYTES)) {
        if (memcmp(head, "OggS", 4) != 0) {
            if (++between > MAX_BETWEEN_BYTES)
                return END_GAP;
            at++;
            continue;
        }
        if (avio_read(file, head + HEAD_BYTES, head[26]) != head[26])
            return END_CUT;
        uint32_t serial = AV_RL32(head + 14), number = AV_RL32(head + 18);
        int i = 0;
        while (i < count && streams[i].serial != serial)
            i++;
        if (i < count && number != streams[i].number + 1 && !(head[FLAGS] & STARTS_STREAM))
            return END_GAP;
        if (i < MAX_STREAMS) {
            streams[i].serial = serial;
            streams[i].number = number;
            count += i == count;
        }
        ended = head[FLAGS] & ENDS_STREAM;
        at += HEAD_BYTES + head[26];
        for (int k = 0; k < head[26]; k++)
            at += head[HEAD_BYTES + k];
    }
    return ended && at <= bytes ? END_WHOLE : END_CUT;
}

/* Skips GIF's sub-blocks; false if the file ends first. */
static bool skip_blocks(AVIOContext *file)
{
    int length;
    while ((length = read_byte(file)) > 0)
        if (avio_skip(file, length) < 0)
            return false;
    return length == 0;
}

/* Skips a block of GIF after its first byte. */
static bool skip_block(AVIOContext *file, int block)
{
    uint8_t image[9];
    if (block == 0x21)
        return read_byte(file) >= 0 && skip_blocks(file);
    if (block != 0x2C || avio_read(file, image, sizeof image) != sizeof image)
        return false;
    int table = image[8] & 0x80 ? 3 << ((image[8] & 7) + 1) : 0;
    return avio_skip(file, table + 1) >= 0 && skip_blocks(file);
}

/* GIF's blocks end with a trailer. */
static End find_gif_end(AVIOContext *file, int64_t bytes)
{
    uint8_t head[13];
    int block = -1;
    (void)bytes;
    if (!read_at(file, 0, head, sizeof head))
        return END_CUT;
    int table = head[10] & 0x80 ? 3 << ((head[10] & 7) + 1) : 0;
    bool good = avio_skip(file, table) >= 0;
    while (good && (block = read_byte(file)) != 0x3B)
        good = block == 0 || skip_block(file, block);
    return good ? END_WHOLE : END_CUT;
}

/* PNG's chunks end with IEND. */
static End find_png_end(AVIOContext *file, int64_t bytes)
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
    End (*find)(AVIOContext *file, int64_t bytes);
    const char *defect;
} by_size[] = {
    {"matroska,webm", find_segment_end, "the file is cut off: it is shorter than its segment"},
    {"asf", find_asf_end, "the file is cut off: it is shorter than its header says"},
    {by_file_time, find_flv_end, "the file is cut off: it is shorter than its header says"},
    {"ogg", find_ogg_end, "the file is cut off: its last page is not the end of a stream"},
    {"apng", find_png_end, "the file is cut off: its last chunk is missing"},
    {"gif", find_gif_end, "the file is cut off: its trailer is missing"},
    {by_frames, find_riff_end,
     NULL}, /* a shorter file changes only the reading of the header's number of frames */
};

/* Checks the file's size or last bytes. */
static int find_end(End *end, const char **defect, const AVFormatContext *input, const char *path,
                    const atomic_bool *stop)
{
    size_t i = 0, n = sizeof by_size / sizeof *by_size;
    while (i < n && !is_one_of(input, by_size[i].names))
        i++;
    *end = END_NOT_DECLARED;
    *defect = NULL;
    if (i == n)
        return 0;
    AVIOContext *file;
    int ret = resr_avio_open(&file, path, stop);
    if (ret < 0)
        return ret;
    *end = by_size[i].find(file, avio_size(file));
    *defect = *end == END_CUT   ? by_size[i].defect
              : *end == END_GAP ? "the file is damaged: pages are missing"
                                : NULL;
    return resr_avio_end(&file, path, 0);
}

static bool is_unknowable(const char *name)
{
    for (size_t i = 0; i < sizeof unknowable / sizeof *unknowable; i++)
        if (strcmp(unknowable[i][0], name) == 0)
            return true;
    return false;
}

/* Index of another stream whose index lists packets behind the end of the file; -1: none. */
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

int resr_declared_read(ResrDeclared *out, const AVFormatContext *input, int stream,
                       const char *path, const atomic_bool *stop)
{
    End end;
    AVStream *video = input->streams[stream];
    int entries = avformat_index_get_entries_count(video);
    const AVIndexEntry *last = entries > 0 ? avformat_index_get_entry(video, entries - 1) : NULL;
    *out = (ResrDeclared){.last_dts = AV_NOPTS_VALUE, .cut_stream = find_cut_stream(input, stream)};
    int ret = find_end(&end, &out->defect, input, path, stop);
    if (ret < 0)
        return ret;
    out->unknown = is_unknowable(input->iformat->name) ||
                   (is_one_of(input, by_index) && video->nb_frames <= 0) ||
                   (is_one_of(input, "matroska,webm") && end == END_NOT_DECLARED);
    out->stream_of_bits =
        input->iformat->flags & AVFMT_NOTIMESTAMPS || is_one_of(input, "mpegts,mpeg");
    if (is_one_of(input, by_index) && video->nb_frames > 0 && last) {
        out->packets = entries;
        out->last_dts = last->timestamp;
    } else if (is_one_of(input, by_frames)) {
        /* Headers may count frames that were never written; indices count changes of the palette,
         * too. */
        bool header = end == END_CUT ? video->nb_frames > entries : video->nb_frames < entries;
        out->packets = header && video->nb_frames > 0 ? video->nb_frames : entries;
        out->counts_all = true;
    } else if (is_one_of(input, by_frames_or_time)) {
        out->packets = video->duration > 0 ? video->duration : 0;
        out->end_seconds = seconds_of(video->duration, video->time_base);
        out->either = true;
    } else if (is_one_of(input, by_stream_time)) {
        out->slack_seconds = is_one_of(input, "rm") ? 2 : 0; /* the header rounds up */
        out->end_seconds = seconds_of(video->duration, video->time_base);
        if (out->end_seconds > 0 && video->start_time != AV_NOPTS_VALUE)
            out->end_seconds += (double)video->start_time * av_q2d(video->time_base);
    } else if (is_one_of(input, by_file_time)) {
        out->end_seconds = seconds_of(input->duration, AV_TIME_BASE_Q);
        out->every_stream = true;
        out->slack_seconds = 0.1;
    }
    return 0;
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
    if (declared->either) {
        bool without_gaps = counted && extent->last_dts == extent->packets - 1;
        return (few || !counted) && (early || without_gaps) ? cut : declared->defect;
    }
    if (few || early)
        return cut;
    if (!counted && declared->last_dts != AV_NOPTS_VALUE && extent->last_dts < declared->last_dts)
        return cut;
    *missing = 0;
    return declared->defect;
}
