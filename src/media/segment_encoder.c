#include "media/segment_encoder.h"

#include <inttypes.h>
#include <string.h>

int resr_segment_encoder_open(ResrSegmentEncoder *segment, const ResrEncoding *encoding,
                              ResrPacketHandler handler, void *user)
{
    *segment = (ResrSegmentEncoder){.encoding = encoding, .handler = handler, .user = user};
    int ret = resr_encoder_open(&segment->encoder, encoding);
    if (ret == 0)
        segment->reorder = segment->encoder.context->has_b_frames;
    return ret;
}

static int handle_packet(void *user, AVPacket *packet)
{
    ResrSegmentEncoder *segment = user;
    if (segment->packets++ == 0 && packet->dts != AV_NOPTS_VALUE && -packet->dts > segment->reorder)
        segment->reorder = (int)-packet->dts;
    return segment->handler(segment->user, packet);
}

int resr_segment_encoder_write(ResrSegmentEncoder *segment, const ResrFrame *frame)
{
    segment->frames++;
    return resr_encoder_write(&segment->encoder, segment->encoding, frame, handle_packet, segment);
}

int resr_segment_encoder_finish(ResrSegmentEncoder *segment)
{
    int ret =
        resr_encoder_write(&segment->encoder, segment->encoding, NULL, handle_packet, segment);
    if (ret == 0 && segment->packets != segment->frames)
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "encoder %s: returned %" PRId64 " packets for %" PRId64
                        " frames; choose another --codec",
                        segment->encoding->codec->name, segment->packets, segment->frames);
    return ret;
}

void resr_segment_encoder_close(ResrSegmentEncoder *segment)
{
    resr_encoder_close(&segment->encoder);
}

int resr_segment_encoder_check(const AVCodecContext *encoder, const AVCodecParameters *expected)
{
    int bytes = encoder->extradata_size;
    if (expected->codec_id == encoder->codec_id && expected->extradata_size == bytes &&
        (bytes == 0 || memcmp(expected->extradata, encoder->extradata, (size_t)bytes) == 0))
        return 0;
    return resr_fail(RESR_ERR_INTERNAL,
                     "encoder %s: writes different headers for each segment; use --segment 0",
                     encoder->codec->name);
}

int resr_segment_encoder_match(AVCodecParameters **first, const AVCodecContext *encoder)
{
    if (*first)
        return resr_segment_encoder_check(encoder, *first);
    *first = avcodec_parameters_alloc();
    if (*first && avcodec_parameters_from_context(*first, encoder) >= 0)
        return 0;
    avcodec_parameters_free(first);
    return resr_fail(RESR_ERR_INTERNAL, "out of memory: an encoder's headers");
}
