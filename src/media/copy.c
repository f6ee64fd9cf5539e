/* How it works. The source is read a second time, independently of the decoder. Packets of the
 * copied streams wait in one queue, in the order of the file, until the muxer's video has reached
 * their time: resr_copy_next() returns the head of the queue if it is due.
 *
 * Clocks that jump (joined recordings): a ResrTimeline follows the video packets and knows the
 * offset of the whole file; each copied stream adopts a new offset with its own first packet behind
 * the jump, which may be earlier or later in the file than the video's. A sound packet that jumps
 * before the video makes find_head() read ahead, up to AHEAD_US of video, AHEAD_PACKETS or
 * AHEAD_BYTES, to learn whether the video jumps too. The decision is made once for each packet, at
 * the head of the queue (`head_decided`).
 *
 * Afterwards correct_times() makes the times writable: no time missing, dts rising, pts not before
 * dts. Packets changed by it are counted and reported once per stream. */

#include "media/copy.h"

#include <inttypes.h>
#include <libavutil/fifo.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "media/libav.h"
#include "media/timeline.h"

/* Limits of reading ahead: for the first packets of each stream, and for the jump of the video's
 * clock that follows a jump of the sound's. */
enum { FIRST_PACKETS = 2, PROBE_PACKETS = 500, AHEAD_PACKETS = 4000, AHEAD_US = 2000000 };

/* Duration of a packet without one, or with one that no container can store. */
enum { ENDLESS_SECONDS = 5 };

#define PROBE_BYTES (8 << 20)
#define AHEAD_BYTES (64 << 20)

/* A stream that the source's header lists. */
typedef struct Copied {
    bool taken, dropped; /* chosen at opening; its codec has changed afterwards */
    enum AVCodecID codec;
    AVStream *out;
    AVPacket *first[FIRST_PACKETS];
    int first_count;
    /* On the time line, in microseconds. */
    int64_t offset, next;
    int jumped; /* number of the time line's jump that `offset` includes */
    /* In the output's time base. */
    int64_t last_dts, next_dts;
    int64_t corrected; /* packets with corrected times */
    bool strict;       /* the container refuses two packets with the same time */
} Copied;

struct ResrCopy {
    const char *output;
    AVFormatContext *source;
    int video;
    Copied *streams;
    unsigned count; /* streams that the demuxer finds later have no entry */
    bool strict;    /* only the regular end of the source is not an error */
    ResrTimeline line;
    AVFifo *queue; /* AVPacket *: read, not yet due */
    int64_t queue_bytes;
    int64_t read_at; /* end of the time line when the head of the queue was read */
    bool head_decided, ended, warned_late;
};

/* Decoding time or, if unknown, presentation time. */
static int64_t time_of(const AVPacket *packet)
{
    return packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
}

static const char *kind_of(const AVCodecParameters *par)
{
    const char *kind = av_get_media_type_string(par->codec_type);
    return kind ? kind : "unknown";
}

/* Reason for which no container can store a stream; NULL: none. */
static const char *reason_unfit(const AVCodecParameters *par)
{
    if (par->codec_type == AVMEDIA_TYPE_DATA || par->codec_type == AVMEDIA_TYPE_UNKNOWN)
        return "data streams are left out";
    if (par->codec_id == AV_CODEC_ID_NONE && par->codec_type != AVMEDIA_TYPE_ATTACHMENT)
        return "its codec is unknown";
    if (par->codec_type == AVMEDIA_TYPE_AUDIO && par->sample_rate <= 0)
        return "its sample rate is unknown";
    if (par->codec_type == AVMEDIA_TYPE_VIDEO && (par->width <= 0 || par->height <= 0))
        return "its size is unknown";
    return NULL;
}

static int choose_streams(ResrCopy *copy, bool say)
{
    copy->count = copy->source->nb_streams;
    int ret = resr_alloc(&copy->streams, copy->count, sizeof *copy->streams);
    for (unsigned i = 0; i < copy->count && ret == 0; i++) {
        const AVCodecParameters *par = copy->source->streams[i]->codecpar;
        const char *reason = reason_unfit(par);
        if (reason && say && (int)i != copy->video)
            resr_log_warn("%s: stream #%u (%s, %s) is not copied: %s", copy->output, i,
                          kind_of(par), avcodec_get_name(par->codec_id), reason);
        copy->streams[i] = (Copied){.taken = !reason && (int)i != copy->video,
                                    .codec = par->codec_id,
                                    .next = AV_NOPTS_VALUE,
                                    .last_dts = AV_NOPTS_VALUE};
    }
    return ret;
}

void resr_copy_be_strict(ResrCopy *copy)
{
    copy->strict = true;
}

int resr_copy_open(ResrCopy **out, const char *input, const char *output, const atomic_bool *stop,
                   bool trial)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrCopy *copy = *out;
    copy->output = output;
    copy->video = -1;
    copy->queue = av_fifo_alloc2(64, sizeof(AVPacket *), AV_FIFO_FLAG_AUTO_GROW);
    if (!copy->queue)
        ret = resr_fail(RESR_ERR_INTERNAL, "out of memory: streams of %s", output);
    if (ret == 0)
        ret = resr_av_open_input(&copy->source, input, stop);
    if (ret == 0) {
        copy->video = resr_av_video_stream(copy->source);
        resr_timeline_start(&copy->line, copy->source, copy->video);
        if (copy->video >= 0 && !copy->line.jumps && !trial)
            copy->source->streams[copy->video]->discard = AVDISCARD_ALL;
        ret = choose_streams(copy, trial);
    }
    if (ret < 0) {
        resr_copy_close(copy);
        *out = NULL;
    }
    return ret;
}

const AVFormatContext *resr_copy_source(const ResrCopy *copy)
{
    return copy->source;
}

const AVStream *resr_copy_video(const ResrCopy *copy)
{
    return copy->video >= 0 ? copy->source->streams[copy->video] : NULL;
}

bool resr_copy_includes(const ResrCopy *copy, unsigned index)
{
    return index < copy->count && copy->streams[index].taken;
}

void resr_copy_map(ResrCopy *copy, unsigned index, AVStream *out, bool strict)
{
    copy->streams[index].out = out;
    copy->streams[index].strict = strict;
}

/* The copied stream of a packet, or NULL. Containers without a header (MPEG transport streams) may
 * add streams while they are read, and change a stream's codec; the output's header, already
 * written, can express neither. */
static Copied *stream_of(ResrCopy *copy, const AVPacket *packet)
{
    unsigned index = (unsigned)packet->stream_index;
    if (index >= copy->count) {
        if (!copy->warned_late)
            resr_log_warn("%s: stream #%u of the input starts after the others and is not copied; "
                          "to keep the stream, remux the input first: ffmpeg -analyzeduration 1G "
                          "-probesize 1G -i INPUT -map 0 -c copy WHOLE.mkv",
                          copy->output, index);
        copy->warned_late = true;
        return NULL;
    }
    Copied *stream = &copy->streams[index];
    enum AVCodecID codec = copy->source->streams[index]->codecpar->codec_id;
    if (stream->taken && !stream->dropped && codec != stream->codec) {
        resr_log_warn(
            "%s: stream #%u of the input changes from %s to %s and is copied up to that change",
            copy->output, index, avcodec_get_name(stream->codec), avcodec_get_name(codec));
        stream->dropped = true;
    }
    return stream->taken && !stream->dropped ? stream : NULL;
}

/* Handles the end of the source: regular, or for libav's reason `averror`. */
static int end_of_source(ResrCopy *copy, int averror)
{
    if (resr_av_was_interrupted(copy->source))
        return resr_av_read_failure(copy->source, averror, copy->output, "");
    copy->ended = true;
    if (averror == AVERROR_EOF || !copy->strict)
        return 0;
    return resr_av_read_failure(copy->source, averror, copy->output,
                                "the streams to copy cannot be read to their end");
}

/* Reads one packet; a packet of a copied stream joins the queue. The size of the packet is added to
 * *read_bytes in either case (NULL: not wanted). */
static int read_packet(ResrCopy *copy, int64_t *read_bytes)
{
    AVPacket *packet = av_packet_alloc();
    if (!packet)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: packets of %s", copy->output);
    int averror = av_read_frame(copy->source, packet);
    if (averror < 0) {
        av_packet_free(&packet);
        return end_of_source(copy, averror);
    }
    resr_timeline_sanitize(packet, copy->source->streams[packet->stream_index]->time_base);
    resr_timeline_follow(&copy->line, copy->source, packet);
    if (read_bytes)
        *read_bytes += packet->size;
    if (!stream_of(copy, packet)) {
        av_packet_free(&packet);
        return 0;
    }
    if (av_fifo_can_read(copy->queue) == 0)
        copy->read_at = copy->line.next;
    copy->queue_bytes += packet->size;
    if (av_fifo_write(copy->queue, &packet, 1) >= 0)
        return 0;
    av_packet_free(&packet);
    return resr_fail(RESR_ERR_INTERNAL, "out of memory: packets of %s", copy->output);
}

/* Retains the last packet of the queue if it is one of its stream's first. */
static int retain_first(ResrCopy *copy)
{
    AVPacket *packet;
    if (av_fifo_peek(copy->queue, &packet, 1, av_fifo_can_read(copy->queue) - 1) < 0)
        return 0;
    Copied *stream = &copy->streams[packet->stream_index];
    if (stream->first_count == FIRST_PACKETS)
        return 0;
    AVPacket *clone = av_packet_clone(packet);
    if (!clone)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: packets of %s", copy->output);
    stream->first[stream->first_count++] = clone;
    return 0;
}

static bool has_all_first(const ResrCopy *copy)
{
    for (unsigned i = 0; i < copy->count; i++)
        if (copy->streams[i].taken && copy->streams[i].first_count < FIRST_PACKETS &&
            copy->source->streams[i]->codecpar->codec_type != AVMEDIA_TYPE_ATTACHMENT)
            return false;
    return true;
}

int resr_copy_probe(ResrCopy *copy)
{
    int64_t bytes = 0;
    int ret = 0;
    for (int n = 0; n < PROBE_PACKETS && bytes < PROBE_BYTES && ret == 0; n++) {
        size_t queued = av_fifo_can_read(copy->queue);
        if (copy->ended || has_all_first(copy))
            break;
        ret = read_packet(copy, &bytes);
        if (ret == 0 && av_fifo_can_read(copy->queue) > queued)
            ret = retain_first(copy);
    }
    return ret;
}

int resr_copy_first(const ResrCopy *copy, unsigned index, AVPacket *const **packets)
{
    *packets = copy->streams[index].first;
    return copy->streams[index].first_count;
}

/* Moves a stream to the time line's new offset, at its first packet after the line's last jump.
 * False: this packet jumps but the video's clock has not; the caller reads ahead to see whether it
 * does. */
static bool follow_jump(ResrCopy *copy, Copied *stream, const AVPacket *packet, bool last_chance)
{
    const ResrTimeline *line = &copy->line;
    const AVStream *in = copy->source->streams[packet->stream_index];
    bool sound = in->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    bool behind =
        stream->jumped < line->jumped; /* the stream has not followed the line's last jump */
    bool passed = packet->pos >= 0 && packet->pos >= line->position;
    int64_t time = time_of(packet);
    if (!line->jumps || time == AV_NOPTS_VALUE)
        return true;
    time = av_rescale_q(time, in->time_base, AV_TIME_BASE_Q);
    int64_t change = line->offset - stream->offset;
    bool jump = sound && stream->next != AV_NOPTS_VALUE &&
                (time + stream->offset < stream->next - RESR_JUMP_BACK_US ||
                 (time + stream->offset > stream->next + RESR_JUMP_AHEAD_US &&
                  time + stream->offset > line->next + RESR_JUMP_AHEAD_US));
    if (behind && (jump || stream->next == AV_NOPTS_VALUE || (!sound && passed) ||
                   (passed && llabs(change) < RESR_JUMP_AHEAD_US))) {
        stream->offset = line->offset;
        stream->jumped = line->jumped;
        return true;
    }
    if (!jump)
        return true;
    if (!last_chance)
        return false;
    /* The sound jumps alone. A short step back is an overlap and stays; otherwise the sound has a
     * clock of its own and continues without a gap. */
    if (time + stream->offset > stream->next ||
        time + stream->offset < stream->next - RESR_JUMP_AHEAD_US / 10) {
        stream->offset = stream->next - time;
        stream->corrected++;
    }
    return true;
}

/* Converts a packet's times to the output stream's time base; times that a muxer refuses become the
 * next possible time. */
static void correct_times(Copied *stream, AVPacket *packet, AVRational base)
{
    int64_t given = time_of(packet);
    int64_t first =
        stream->last_dts == AV_NOPTS_VALUE ? INT64_MIN : stream->last_dts + stream->strict;
    bool odd = given == AV_NOPTS_VALUE || packet->pts == AV_NOPTS_VALUE;
    av_packet_rescale_ts(packet, base, stream->out->time_base);
    if (packet->duration < 0 || packet->duration > INT32_MAX) /* a subtitle "until the next one" */
        packet->duration =
            av_rescale_q(ENDLESS_SECONDS, (AVRational){1, 1}, stream->out->time_base);
    if (given == AV_NOPTS_VALUE)
        packet->dts = stream->last_dts == AV_NOPTS_VALUE ? 0 : stream->next_dts;
    else if (packet->dts == AV_NOPTS_VALUE)
        packet->dts = packet->pts;
    if (packet->pts == AV_NOPTS_VALUE)
        packet->pts = packet->dts;
    if (packet->pts < packet->dts) {
        odd = true;
        packet->dts = packet->pts;
    }
    if (packet->dts < first) {
        odd |= packet->dts < stream->last_dts; /* else rounding made two times equal */
        packet->dts = first;
        packet->pts = packet->pts > first ? packet->pts : first;
    }
    stream->corrected += odd && !(stream->out->disposition & AV_DISPOSITION_ATTACHED_PIC);
    stream->last_dts = packet->dts;
    stream->next_dts = packet->dts + (packet->duration > 0 ? packet->duration : 1);
}

/* The head of the queue, with its stream's offset decided; NULL if the source has ended. */
static int find_head(ResrCopy *copy, AVPacket **packet, Copied **stream)
{
    int ret = 0;
    *packet = NULL;
    while (ret == 0) {
        if (av_fifo_can_read(copy->queue) > 0) {
            if (av_fifo_peek(copy->queue, packet, 1, 0) < 0)
                return resr_fail(RESR_ERR_INTERNAL,
                                 "%s: the queue of copied packets cannot be read", copy->output);
            *stream = &copy->streams[(*packet)->stream_index];
            bool far = copy->queue_bytes > AHEAD_BYTES ||
                       av_fifo_can_read(copy->queue) > AHEAD_PACKETS ||
                       copy->line.next > copy->read_at + AHEAD_US;
            if (copy->head_decided || follow_jump(copy, *stream, *packet, far || copy->ended))
                return 0;
            *packet = NULL;
        }
        if (copy->ended)
            return 0;
        ret = read_packet(copy, NULL);
    }
    return ret;
}

int resr_copy_next(ResrCopy *copy, AVPacket **out, int64_t until)
{
    Copied *stream = NULL;
    AVPacket *packet;
    *out = NULL;
    do {
        int ret = find_head(copy, &packet, &stream);
        if (ret < 0 || !packet)
            return ret;
        AVRational base = copy->source->streams[packet->stream_index]->time_base;
        if (!copy->head_decided)
            resr_timeline_shift(packet, base, stream->offset);
        copy->head_decided = true;
        int64_t time = time_of(packet);
        if (time != AV_NOPTS_VALUE)
            time = av_rescale_q(time, base, AV_TIME_BASE_Q);
        if (stream->out && time != AV_NOPTS_VALUE && until != INT64_MAX && time >= until)
            return 0;
        av_fifo_drain2(copy->queue, 1);
        copy->queue_bytes -= packet->size;
        copy->head_decided = false;
        copy->read_at = copy->line.next;
        if (time != AV_NOPTS_VALUE)
            stream->next = time + av_rescale_q(packet->duration, base, AV_TIME_BASE_Q);
        if (!stream->out)
            av_packet_free(&packet);
        else
            correct_times(stream, packet, base);
    } while (!packet);
    packet->stream_index = stream->out->index;
    packet->pos = -1;
    *out = packet;
    return 0;
}

void resr_copy_report(const ResrCopy *copy)
{
    for (unsigned i = 0; i < copy->count; i++) {
        const AVCodecParameters *par = copy->source->streams[i]->codecpar;
        if (copy->streams[i].corrected > 0)
            resr_log_warn("%s: stream #%u (%s, %s): packets without a timestamp or with one that "
                          "ran backward: %" PRId64 "; each got the next possible timestamp",
                          copy->output, i, kind_of(par), avcodec_get_name(par->codec_id),
                          copy->streams[i].corrected);
    }
}

void resr_copy_close(ResrCopy *copy)
{
    AVPacket *packet;
    if (!copy)
        return;
    while (copy->queue && av_fifo_read(copy->queue, &packet, 1) >= 0)
        av_packet_free(&packet);
    av_fifo_freep2(&copy->queue);
    for (unsigned i = 0; copy->streams && i < copy->count; i++)
        for (int k = 0; k < FIRST_PACKETS; k++)
            av_packet_free(&copy->streams[i].first[k]);
    free(copy->streams);
    resr_av_close_input(&copy->source);
    free(copy);
}
