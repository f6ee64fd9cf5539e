/* A video whose finished segments are stored in files, in any order, so that a later attempt can
 * resume the job. When all segments are stored, their packets are copied into the output in order;
 * no frame is encoded then. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/publish.h"
#include "media/segment.h"
#include "media/video_file.h"

typedef struct SegmentSink {
    ResrSink sink;
    ResrVideoFile file;
    ResrEncoder encoder; /* open during the join, for its headers; encodes nothing */
    ResrSegmentStore store;
    ResrSegmentInfo *segments; /* stored */
    size_t count, capacity;
    int64_t first; /* frame of the segment that is joined */
} SegmentSink;

static SegmentSink *segments_of(ResrSink *sink)
{
    assert(sink->ops == &resr_sink_segments);
    return (SegmentSink *)sink;
}

static int start_output(SegmentSink *s)
{
    int ret = resr_video_file_open(&s->file, s->store.folder);
    if (ret == 0)
        ret = resr_encoder_open(&s->encoder, &s->sink.encoding);
    return ret < 0 ? ret : resr_video_file_start(&s->file, &s->encoder);
}

/* The output is created once now and discarded, so that a container that refuses the video does so
 * before the frames are computed. */
static int open_segments(ResrSink *sink, const ResrSegmentStore *store)
{
    SegmentSink *s = segments_of(sink);
    s->file.sink = sink;
    s->store = *store;
    int ret = start_output(s);
    resr_encoder_close(&s->encoder);
    resr_video_file_discard(&s->file);
    return ret;
}

static int remember_segment(SegmentSink *s, const ResrSegmentInfo *info)
{
    int ret = resr_grow(&s->segments, &s->capacity, s->count, sizeof *s->segments);
    if (ret < 0)
        return ret;
    s->segments[s->count++] = *info;
    if (info->reorder > s->file.reorder)
        s->file.reorder = info->reorder;
    return 0;
}

void resr_segment_free(ResrSegment *segment)
{
    if (!segment)
        return;
    if (segment->path[0])
        unlink(segment->path);
    free(segment->frames);
    free(segment->data);
    free(segment);
}

bool resr_sink_stored(const ResrSink *sink)
{
    return sink->ops == &resr_sink_segments;
}

bool resr_sink_has(const ResrSink *sink, int64_t number)
{
    const SegmentSink *s = segments_of((ResrSink *)sink);
    for (size_t i = 0; i < s->count; i++)
        if (s->segments[i].number == number)
            return true;
    return false;
}

int resr_sink_restore(ResrSink *sink, const ResrSegmentInfo *info, const int64_t *pts,
                      const int64_t *durations)
{
    SegmentSink *s = segments_of(sink);
    int ret = 0;
    for (int64_t i = 0; i < info->frames && ret == 0; i++)
        ret = resr_video_file_set_time(&s->file, info->first + i, pts[i], durations[i]);
    return ret < 0 ? ret : remember_segment(s, info);
}

int resr_sink_add(ResrSink *sink, ResrSegment *segment)
{
    SegmentSink *s = segments_of(sink);
    const ResrSegmentInfo *info = &segment->info;
    char path[PATH_MAX];
    int ret = 0;
    assert(!resr_sink_has(sink, info->number));
    for (int64_t i = 0; i < info->frames && ret == 0; i++)
        ret = resr_video_file_set_time(&s->file, info->first + i, segment->frames[i].pts,
                                       segment->frames[i].duration);
    s->store.path(s->store.user, path, info->number);
    if (ret == 0 && segment->path[0])
        ret = resr_publish(segment->path, path, true);
    else if (ret == 0)
        ret = resr_publish_bytes(path, segment->data, (size_t)info->bytes, true);
    if (ret < 0)
        return ret;
    segment->path[0] = 0;
    return remember_segment(s, info);
}

static int by_number(const void *a, const void *b)
{
    const ResrSegmentInfo *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static int write_packet(void *user, AVPacket *packet)
{
    SegmentSink *s = user;
    return resr_video_file_write(&s->file, s->first, packet);
}

static int join_segment(SegmentSink *s, const ResrSegmentInfo *info)
{
    char path[PATH_MAX];
    s->first = info->first;
    s->store.path(s->store.user, path, info->number);
    return resr_segment_read(path, s->encoder.context, write_packet, s);
}

static int check_space(const SegmentSink *s)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < s->count; i++)
        bytes += s->segments[i].bytes;
    if (resr_publish_free_bytes(s->sink.output) >= bytes)
        return 0;
    errno = ENOSPC;
    return resr_publish_write_failure(s->sink.output, bytes);
}

static int join_segments(SegmentSink *s)
{
    int64_t frames = 0;
    qsort(s->segments, s->count, sizeof *s->segments, by_number);
    int ret = check_space(s);
    if (ret == 0)
        ret = start_output(s);
    for (size_t i = 0; i < s->count && ret == 0; i++) {
        const ResrSegmentInfo *info = &s->segments[i];
        if (info->first != frames)
            ret = resr_fail(RESR_ERR_INTERNAL,
                            "segment %" PRId64 ": starts at frame %" PRId64 ", expected %" PRId64,
                            info->number, info->first, frames);
        frames += info->frames;
        if (ret == 0)
            ret = join_segment(s, info);
    }
    resr_encoder_close(&s->encoder);
    return ret;
}

static int finish_segments(ResrSink *sink, bool whole)
{
    SegmentSink *s = segments_of(sink);
    int ret = join_segments(s);
    if (ret == 0)
        ret = resr_video_file_finish(&s->file, whole);
    if (ret == 0)
        ret = s->store.publishing(s->store.user, s->file.temporary);
    return ret < 0 ? ret : resr_video_file_publish(&s->file);
}

static void close_segments(ResrSink *sink)
{
    SegmentSink *s = segments_of(sink);
    resr_encoder_close(&s->encoder);
    resr_video_file_close(&s->file);
    free(s->segments);
}

const ResrSinkOps resr_sink_segments = {
    .bytes = sizeof(SegmentSink),
    .open = open_segments,
    .finish = finish_segments,
    .close = close_segments,
};
