#include "media/video_file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/publish.h"
#include "media/libav.h"

/* The unfinished output is in the job's folder if it can be renamed from there: removing the folder
 * then removes all of the job. */
static int name_temporary(ResrVideoFile *file, const char *folder)
{
    const char *output = file->sink->output, *name = strrchr(output, '/');
    char inside[PATH_MAX];
    int used =
        folder ? snprintf(inside, sizeof inside, "%s/%s", folder, name ? name + 1 : output) : -1;
    if (used > 0 && (size_t)used < sizeof inside &&
        resr_publish_temporary(file->temporary, sizeof file->temporary, inside) == 0 &&
        resr_publish_try(file->temporary, output) == 0)
        return 0;
    int ret = resr_publish_temporary(file->temporary, sizeof file->temporary, output);
    return ret < 0 ? ret : resr_publish_try(file->temporary, output);
}

int resr_video_file_open(ResrVideoFile *file, const char *folder)
{
    ResrSink *sink = file->sink;
    int ret = name_temporary(file, folder);
    if (ret == 0)
        ret = resr_muxer_open(&file->muxer, file->temporary, sink->output, sink->input,
                              !resr_decoder_info(sink->decoder)->is_image, &sink->stop);
    if (ret < 0)
        return ret;
    file->created = true;
    if (!resr_decoder_bridges(sink->decoder))
        resr_muxer_be_strict(file->muxer);
    if (sink->encoding.options.simulated)
        resr_muxer_comment(file->muxer, "realesrgan-mpi: simulated, no network made these frames");
    sink->encoding.global_header = resr_muxer_wants_global_header(file->muxer);
    return 0;
}

ResrContainerVideo resr_video_file_describe(const ResrDecoder *decoder, const ResrEncoder *encoder)
{
    return (ResrContainerVideo){encoder->context, resr_decoder_info(decoder),
                                resr_decoder_first_frame(decoder)};
}

int resr_video_file_start(ResrVideoFile *file, const ResrEncoder *encoder)
{
    ResrContainerVideo video = resr_video_file_describe(file->sink->decoder, encoder);
    return resr_muxer_start(file->muxer, &video);
}

int resr_video_file_set_time(ResrVideoFile *file, int64_t index, int64_t pts, int64_t duration)
{
    int ret = resr_grow_zeroed(&file->pts, &file->pts_capacity, (size_t)index, sizeof *file->pts);
    if (ret == 0)
        ret = resr_grow_zeroed(&file->durations, &file->durations_capacity, (size_t)index,
                               sizeof *file->durations);
    if (ret < 0)
        return ret;
    file->pts[index] = pts;
    file->durations[index] = duration;
    if (index >= file->sink->frames)
        file->sink->frames = index + 1;
    return 0;
}

/* `pts` plus `count` times `step`, saturated to the range of an int64_t. */
static int64_t time_after(int64_t pts, int64_t count, int64_t step)
{
    int64_t span, sum;
    if (__builtin_mul_overflow(count, step, &span) || __builtin_add_overflow(pts, span, &sum))
        return (count < 0) == (step < 0) ? INT64_MAX : -INT64_MAX;
    return sum;
}

/* The pts is that of the source's frame. The dts are the sorted pts, delayed by the reorder depth
 * over the whole video, so that they rise without a gap where segments meet. */
int resr_video_file_write(ResrVideoFile *file, int64_t first, AVPacket *packet)
{
    ResrSink *sink = file->sink;
    if (sink->stop)
        return resr_fail(RESR_ERR_STOPPED, "%s: stopped", sink->output);
    int64_t index = first + packet->pts, number = sink->packets, behind = number - file->reorder;
    int64_t step = file->durations[0] > 0 ? file->durations[0] : 1;
    if (index < first || index >= sink->frames || index < behind)
        return resr_fail(RESR_ERR_INTERNAL,
                         "encoder %s: returned frame %" PRId64 " as packet %" PRId64
                         ", outside its reorder depth of %d; choose another --codec",
                         sink->encoding.codec->name, index, number, file->reorder);
    assert(behind < sink->frames);
    packet->pts = file->pts[index];
    packet->dts = behind >= 0 ? file->pts[behind] : time_after(file->pts[0], behind, step);
    packet->duration = file->durations[index];
    sink->packets++;
    return resr_muxer_write(file->muxer, packet);
}

int resr_video_file_finish(ResrVideoFile *file, bool whole)
{
    ResrSink *sink = file->sink;
    if (sink->packets != sink->frames)
        return resr_fail(RESR_ERR_INTERNAL, "%s: %lld packets were written for %" PRId64 " frames",
                         sink->output, (long long)sink->packets, sink->frames);
    int64_t last = sink->frames - 1;
    return resr_muxer_finish(
        file->muxer, whole ? INT64_MAX : time_after(file->pts[last], 1, file->durations[last]));
}

int resr_video_file_publish(ResrVideoFile *file)
{
    int ret = resr_publish(file->temporary, file->sink->output, file->sink->overwrite);
    if (ret == 0)
        file->created = false;
    return ret;
}

void resr_video_file_discard(ResrVideoFile *file)
{
    resr_muxer_close(file->muxer);
    file->muxer = NULL;
    if (file->created)
        unlink(file->temporary);
    file->created = false;
}

void resr_video_file_close(ResrVideoFile *file)
{
    resr_video_file_discard(file);
    free(file->pts);
    free(file->durations);
}
