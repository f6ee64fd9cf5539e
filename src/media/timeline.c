/* How it works. `next` is the time at which the next video packet is expected: the end of the
 * previous one. A video packet up to RESR_JUMP_BACK_US before or RESR_JUMP_AHEAD_US after it
 * continues the line. A packet outside is a jump of the clock: `offset` changes so that this
 * packet, and all later packets of the file, follow without a gap.
 *
 * One gap is not a jump: a pause in the video during which the sound continues without a jump
 * (`sound` is the end of that sound) and reaches the packet's time. */

#include "media/timeline.h"

/* In ticks and in microseconds; in microseconds, 36,000 years. */
#define FARTHEST (INT64_C(1) << 60)

/* Ticks: "until the next packet". */
#define ENDLESS (INT64_C(1) << 31)

/* Longest duration of a video packet that advances the line. */
#define LONGEST_US (INT64_C(3600) * AV_TIME_BASE)

static bool is_within(int64_t time, AVRational base)
{
    int64_t us = av_rescale_q(time, base, AV_TIME_BASE_Q);
    return time >= -FARTHEST && time <= FARTHEST && us >= -FARTHEST && us <= FARTHEST;
}

void resr_timeline_sanitize(AVPacket *packet, AVRational base)
{
    if (!is_within(packet->pts, base))
        packet->pts = AV_NOPTS_VALUE;
    if (!is_within(packet->dts, base))
        packet->dts = AV_NOPTS_VALUE;
    if (!is_within(packet->duration, base))
        packet->duration = is_within(ENDLESS, base) ? ENDLESS : 0;
}

void resr_timeline_start(ResrTimeline *line, const AVFormatContext *input, int video)
{
    *line = (ResrTimeline){.jumps = video >= 0 && input->iformat->flags & AVFMT_TS_DISCONT,
                           .video = video,
                           .next = AV_NOPTS_VALUE,
                           .sound = AV_NOPTS_VALUE,
                           .position = -1};
}

static int64_t duration_us(const AVStream *stream, const AVPacket *packet)
{
    AVRational rate =
        stream->avg_frame_rate.num > 0 ? stream->avg_frame_rate : stream->r_frame_rate;
    int64_t duration = av_rescale_q(packet->duration, stream->time_base, AV_TIME_BASE_Q);
    if (duration > 0)
        return duration < LONGEST_US ? duration : 0;
    return rate.num > 0 && rate.den > 0 ? av_rescale_q(1, av_inv_q(rate), AV_TIME_BASE_Q) : 0;
}

static bool joins(int64_t time, int64_t expected)
{
    return expected != AV_NOPTS_VALUE && time >= expected - RESR_JUMP_BACK_US &&
           time <= expected + RESR_JUMP_AHEAD_US;
}

void resr_timeline_follow(ResrTimeline *line, const AVFormatContext *input, const AVPacket *packet)
{
    const AVStream *stream = input->streams[packet->stream_index];
    if (!line->jumps || packet->dts == AV_NOPTS_VALUE)
        return;
    int64_t time = av_rescale_q(packet->dts, stream->time_base, AV_TIME_BASE_Q) + line->offset;
    int64_t end = time + duration_us(stream, packet);
    if (packet->stream_index != line->video) {
        bool sound = stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        if (sound && joins(time, line->sound != AV_NOPTS_VALUE ? line->sound : line->next) &&
            (line->sound == AV_NOPTS_VALUE || end > line->sound))
            line->sound = end;
        return;
    }
    bool bridged = line->sound != AV_NOPTS_VALUE && time > line->next && joins(time, line->sound);
    if (line->next != AV_NOPTS_VALUE && !joins(time, line->next) && !bridged) {
        line->offset += line->next - time;
        end += line->next - time;
        line->sound = AV_NOPTS_VALUE;
        line->position = packet->pos;
        line->jumped++;
    }
    line->next = end;
}

void resr_timeline_shift(AVPacket *packet, AVRational base, int64_t offset)
{
    int64_t ticks = av_rescale_q(offset, AV_TIME_BASE_Q, base);
    if (packet->pts != AV_NOPTS_VALUE && __builtin_add_overflow(packet->pts, ticks, &packet->pts))
        packet->pts = AV_NOPTS_VALUE;
    if (packet->dts != AV_NOPTS_VALUE && __builtin_add_overflow(packet->dts, ticks, &packet->dts))
        packet->dts = AV_NOPTS_VALUE;
}
