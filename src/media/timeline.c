#include "media/timeline.h"

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
    if (packet->duration > 0)
        return av_rescale_q(packet->duration, stream->time_base, AV_TIME_BASE_Q);
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
    if (packet->pts != AV_NOPTS_VALUE)
        packet->pts += ticks;
    if (packet->dts != AV_NOPTS_VALUE)
        packet->dts += ticks;
}
