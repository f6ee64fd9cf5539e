/* A video without stored segments: frames are encoded into the output as they arrive. Each segment
 * has an encoder of its own, so that the file is the same, byte for byte, as one that
 * sink_segments.c joins. */

#include "media/segment_encoder.h"
#include "media/video_file.h"

typedef struct VideoSink {
    ResrSink sink;
    ResrVideoFile file;
    ResrSegmentEncoder segment; /* the open one */
    bool segment_open;
    int64_t first;            /* frame of the open segment */
    AVCodecParameters *codec; /* the first encoder's */
} VideoSink;

static int open_video(ResrSink *sink, const ResrSegmentStore *store)
{
    VideoSink *v = (VideoSink *)sink;
    (void)store;
    v->file.sink = sink;
    return resr_video_file_open(&v->file, NULL);
}

/* The first packet is the earliest point at which the reorder depth is known. */
static int write_packet(void *user, AVPacket *packet)
{
    VideoSink *v = user;
    if (v->sink.packets == 0)
        v->file.reorder = v->segment.reorder;
    return resr_video_file_write(&v->file, v->first, packet);
}

static int start_segment(VideoSink *v, int64_t first)
{
    v->first = first;
    v->segment_open = true;
    int ret = resr_segment_encoder_open(&v->segment, &v->sink.encoding, write_packet, v);
    if (ret == 0)
        ret = resr_segment_encoder_match(&v->codec, v->segment.encoder.context);
    if (ret == 0 && first == 0)
        ret = resr_video_file_start(&v->file, &v->segment.encoder);
    return ret;
}

static int finish_segment(VideoSink *v)
{
    int ret = v->segment_open ? resr_segment_encoder_finish(&v->segment) : 0;
    resr_segment_encoder_close(&v->segment);
    v->segment_open = false;
    return ret;
}

static int write_frame(ResrSink *sink, const ResrFrame *frame)
{
    VideoSink *v = (VideoSink *)sink;
    int64_t length = sink->encoding.options.segment_frames;
    int ret = v->segment_open ? 0 : start_segment(v, frame->index);
    if (ret == 0)
        ret = resr_video_file_set_time(&v->file, frame->index, frame->pts, frame->duration);
    if (ret == 0)
        ret = resr_segment_encoder_write(&v->segment, frame);
    if (ret == 0 && length > 0 && (frame->index + 1) % length == 0)
        ret = finish_segment(v);
    return ret;
}

static int finish_video(ResrSink *sink, bool whole)
{
    VideoSink *v = (VideoSink *)sink;
    int ret = finish_segment(v);
    if (ret == 0)
        ret = resr_video_file_finish(&v->file, whole);
    return ret < 0 ? ret : resr_video_file_publish(&v->file);
}

static void close_video(ResrSink *sink)
{
    VideoSink *v = (VideoSink *)sink;
    resr_segment_encoder_close(&v->segment);
    avcodec_parameters_free(&v->codec);
    resr_video_file_close(&v->file);
}

const ResrSinkOps resr_sink_video = {
    .bytes = sizeof(VideoSink),
    .open = open_video,
    .write = write_frame,
    .finish = finish_video,
    .close = close_video,
};
