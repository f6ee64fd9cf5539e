#include "media/segment.h"

#include <errno.h>
#include <libavutil/pixdesc.h>
#include <string.h>

#include "base/memory.h"
#include "base/publish.h"
#include "media/libav.h"
#include "media/segment_encoder.h"

/* NUT cannot store negative times, and decoding times precede presentation by a few frames: all
 * times are shifted by this many. */
#define SHIFT_FRAMES 64

bool resr_segment_holds(const AVCodecContext *encoder)
{
    const AVOutputFormat *nut = av_guess_format("nut", NULL, NULL);
    enum AVCodecID id = encoder->codec_id;
    bool needs_headers = id == AV_CODEC_ID_AV1 || id == AV_CODEC_ID_H264 || id == AV_CODEC_ID_HEVC;
    bool beside = (id == AV_CODEC_ID_VP8 || id == AV_CODEC_ID_VP9) &&
                  av_pix_fmt_desc_get(encoder->pix_fmt)->flags & AV_PIX_FMT_FLAG_ALPHA;
    bool late = (encoder->flags & AV_CODEC_FLAG_GLOBAL_HEADER) && !encoder->extradata_size;
    return nut && avformat_query_codec(nut, id, FF_COMPLIANCE_EXPERIMENTAL) == 1 &&
           !(needs_headers && late) && !beside; /* NUT drops alpha that lies beside packets */
}

static int failure(ResrSegmentWriter *writer, int averror)
{
    if (!writer->path)
        return resr_av_fail(RESR_ERR_INTERNAL, averror, "a segment of 2 GB or more",
                            "cannot be kept in memory; use a shorter --segment or --encode root");
    if (averror != AVERROR(ENOSPC) && averror != AVERROR(EDQUOT))
        return resr_av_fail(RESR_ERR_IO, averror, writer->path, "cannot be written");
    errno = ENOSPC;
    return resr_publish_write_failure(writer->path, writer->bytes + (64 << 10));
}

int resr_segment_create(ResrSegmentWriter *writer, const char *path, const AVCodecContext *encoder)
{
    *writer = (ResrSegmentWriter){.path = path, .time_base = encoder->time_base};
    AVStream *stream = NULL;
    if (avformat_alloc_output_context2(&writer->context, NULL, "nut", NULL) < 0 ||
        !(stream = avformat_new_stream(writer->context, NULL)) ||
        avcodec_parameters_from_context(stream->codecpar, encoder) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: a segment");
    stream->codecpar->codec_tag = 0;
    stream->time_base = encoder->time_base;
    writer->context->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    writer->context->flags |= AVFMT_FLAG_BITEXACT; /* the same frames, the same file */
    int averror =
        path ? resr_av_create(writer->context, path) : avio_open_dyn_buf(&writer->context->pb);
    if (averror >= 0)
        averror = avformat_write_header(writer->context, NULL);
    return averror < 0 ? failure(writer, averror) : 0;
}

int resr_segment_write(ResrSegmentWriter *writer, const AVPacket *packet)
{
    AVPacket *copy = av_packet_clone(packet);
    if (!copy)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: a packet");
    copy->stream_index = 0;
    copy->pts += SHIFT_FRAMES;
    copy->dts = copy->dts == AV_NOPTS_VALUE ? copy->pts : copy->dts + SHIFT_FRAMES;
    av_packet_rescale_ts(copy, writer->time_base, writer->context->streams[0]->time_base);
    writer->bytes += packet->size;
    int averror = av_write_frame(writer->context, copy);
    av_packet_free(&copy);
    if (averror >= 0 && writer->context->pb->error < 0)
        averror = writer->context->pb->error;
    return averror < 0 ? failure(writer, averror) : 0;
}

int resr_segment_end(ResrSegmentWriter *writer)
{
    int averror = av_write_trailer(writer->context);
    if (averror >= 0 && writer->context->pb->error < 0)
        averror = writer->context->pb->error;
    int closed = resr_avio_finish(writer->context);
    if (averror >= 0)
        averror = closed;
    int ret = averror < 0 ? failure(writer, averror) : 0;
    resr_segment_abandon(writer);
    return ret;
}

int resr_segment_end_in_memory(ResrSegmentWriter *writer, uint8_t **data, int64_t *bytes)
{
    int averror = av_write_trailer(writer->context);
    if (averror >= 0)
        averror = writer->context->pb->error;
    uint8_t *buffer = NULL;
    int ret = averror < 0 ? failure(writer, averror) : 0;
    *bytes = avio_close_dyn_buf(writer->context->pb, &buffer);
    writer->context->pb = NULL;
    if (ret == 0)
        ret = resr_alloc_uninitialised(data, 1, (size_t)*bytes);
    if (ret == 0)
        memcpy(*data, buffer, (size_t)*bytes);
    av_free(buffer);
    resr_segment_abandon(writer);
    return ret;
}

void resr_segment_abandon(ResrSegmentWriter *writer)
{
    uint8_t *data = NULL;
    if (writer->context && writer->context->pb && writer->path) {
        resr_avio_finish(writer->context);
    } else if (writer->context && writer->context->pb) {
        avio_close_dyn_buf(writer->context->pb, &data);
        av_free(data);
    }
    avformat_free_context(writer->context);
    writer->context = NULL;
}

int resr_segment_read(const char *path, const AVCodecContext *expect, ResrPacketHandler handler,
                      void *user)
{
    AVFormatContext *context = NULL;
    AVPacket *packet = av_packet_alloc();
    if (!packet)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %s", path);
    int averror = 0, ret = resr_av_open_own(&context, path, "nut");
    if (ret == 0 && context->nb_streams != 1)
        ret =
            resr_fail(RESR_ERR_DATA, "%s: holds %u streams, expected 1", path, context->nb_streams);
    if (ret == 0 && resr_segment_encoder_check(expect, context->streams[0]->codecpar) < 0)
        ret = resr_fail_prefix(RESR_ERR_INTERNAL, "%s: ", path);
    while (ret == 0 && (averror = av_read_frame(context, packet)) >= 0) {
        av_packet_rescale_ts(packet, context->streams[0]->time_base, expect->time_base);
        packet->pts -= SHIFT_FRAMES;
        ret = handler(user, packet);
        av_packet_unref(packet);
    }
    if (ret == 0 && averror != AVERROR_EOF)
        ret = resr_av_read_failure(context, averror, path, "cannot be read");
    resr_av_close_input(&context);
    av_packet_free(&packet);
    return ret;
}
