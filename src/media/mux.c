/* How it works. The video packets set the pace: before each, the packets of the copied streams that
 * are due at its dts are taken from copy.c, so that the file is interleaved by time without a
 * second pass. libavformat's own interleaving queue then orders packets of nearly equal time.
 *
 * A full disk is an error at once. A packet that the muxer refuses is only counted; at the end, the
 * number of packets in the file decides: a missing video packet is an error, missing packets of
 * copied streams are a warning. */

#include "media/mux.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"
#include "media/copy.h"
#include "media/libav.h"

struct ResrMuxer {
    const char *input, *output;
    const char *comment;
    const AVOutputFormat *format;
    AVFormatContext *context; /* NULL: nothing is written */
    ResrCopy *copy;           /* NULL: nothing is copied */
    AVStream *video;
    AVRational time_base; /* of the packets given to resr_muxer_write() */
    int64_t frames;       /* video packets given */
    int64_t refused;      /* packets of any stream that the muxer refused */
};

/* True if the muxer refused a packet (EINVAL and similar), as opposed to a failure of the disk. */
static bool is_refusal(const ResrMuxer *m, int averror)
{
    bool refused = averror == AVERROR(EINVAL) || averror == AVERROR(ERANGE) ||
                   averror == AVERROR_INVALIDDATA || averror == AVERROR_PATCHWELCOME ||
                   averror == AVERROR_EXPERIMENTAL || averror == AVERROR(ENOSYS) ||
                   averror == AVERROR(ENOSPC); /* of a buffer inside libavformat */
    return refused && !(m->context && m->context->pb && m->context->pb->error < 0);
}

static int write_failure(const ResrMuxer *m, int averror, const char *what)
{
    if (!is_refusal(m, averror) && (averror == AVERROR(ENOSPC) || averror == AVERROR(EDQUOT))) {
        errno = ENOSPC;
        return resr_publish_write_failure(m->output, 64 << 10);
    }
    return resr_av_fail(is_refusal(m, averror) ? RESR_ERR_DATA : RESR_ERR_IO, averror, m->output,
                        what);
}

static int create_file(ResrMuxer *m, const char *temporary)
{
    if (avformat_alloc_output_context2(&m->context, m->format, NULL, temporary) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: container %s", m->output);
    int averror = resr_av_create(m->context, temporary);
    if (averror == AVERROR(ENOSPC) || averror == AVERROR(EDQUOT) || averror == AVERROR(EIO))
        return write_failure(m, averror, "cannot be created");
    return averror < 0 ? resr_av_fail(averror == AVERROR(EACCES) ? RESR_ERR_PERM : RESR_ERR_EXISTS,
                                      averror, m->output, "cannot be created")
                       : 0;
}

int resr_muxer_open(ResrMuxer **out, const char *temporary, const char *output, const char *input,
                    bool copy, const atomic_bool *stop)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrMuxer *m = *out;
    *m = (ResrMuxer){.input = input, .output = output};
    resr_av_quiet();
    ret = resr_container_of(&m->format, output);
    if (ret == 0 && copy)
        ret = resr_copy_open(&m->copy, input, output, stop, !temporary);
    if (ret == 0 && temporary)
        ret = create_file(m, temporary);
    if (ret < 0) {
        resr_muxer_close(m);
        *out = NULL;
    }
    return ret;
}

void resr_muxer_be_strict(ResrMuxer *m)
{
    if (m->copy)
        resr_copy_be_strict(m->copy);
}

void resr_muxer_comment(ResrMuxer *m, const char *text)
{
    m->comment = text;
}

bool resr_muxer_wants_global_header(const ResrMuxer *muxer)
{
    return muxer->format->flags & AVFMT_GLOBALHEADER;
}

int resr_muxer_try(ResrMuxer *m, const ResrContainerVideo *video)
{
    return resr_container_try(m->format, m->input, m->output, video, m->copy);
}

static int write_header(ResrMuxer *m)
{
    AVDictionary *options = NULL;
    int averror = 0;
    if (m->comment)
        averror = av_dict_set(&m->context->metadata, "comment", m->comment, 0);
    if (averror >= 0 && (strstr(m->format->name, "mp4") || strstr(m->format->name, "mov")))
        averror = av_dict_set(&options, "movflags", "+faststart", 0);
    if (averror >= 0)
        averror = avformat_write_header(m->context, &options);
    av_dict_free(&options);
    return averror < 0 ? write_failure(m, averror, "the container's header cannot be written") : 0;
}

int resr_muxer_start(ResrMuxer *m, const ResrContainerVideo *video)
{
    unsigned count = m->copy ? resr_copy_source(m->copy)->nb_streams : 0;
    AVStream **map = NULL;
    int ret = resr_alloc(&map, count + 1, sizeof *map);
    if (ret == 0)
        ret = resr_container_fill(m->context, video, m->copy, map);
    for (unsigned i = 0; i < count && ret == 0; i++)
        if (map[i] && map[i]->codecpar->codec_type != AVMEDIA_TYPE_ATTACHMENT)
            resr_copy_map(m->copy, i, map[i], !(m->format->flags & AVFMT_TS_NONSTRICT));
    free(map);
    if (ret < 0)
        return ret;
    m->video = m->context->streams[0];
    m->time_base = m->video->time_base;
    return write_header(m);
}

/* Writes a packet in its turn. A refused packet is counted and does not end the job, because the
 * muxer may refuse one that it queued earlier, of any stream; resr_muxer_finish() determines
 * whether the video lost a packet. */
static int write_packet(ResrMuxer *m, AVPacket *packet, const char *failure)
{
    int averror = av_interleaved_write_frame(m->context, packet);
    if (averror >= 0)
        return 0;
    if (!is_refusal(m, averror))
        return write_failure(m, averror, failure);
    m->refused++;
    return 0;
}

/* Copies packets of the other streams that start before `until`, in microseconds. */
static int copy_until(ResrMuxer *m, int64_t until)
{
    AVPacket *packet = NULL;
    int ret = 0;
    while (m->copy && ret == 0) {
        ret = resr_copy_next(m->copy, &packet, until);
        if (ret < 0 || !packet)
            return ret;
        ret = write_packet(m, packet, "copied packets cannot be written");
        av_packet_free(&packet);
    }
    return ret;
}

int resr_muxer_write(ResrMuxer *m, AVPacket *packet)
{
    assert(m->video); /* resr_muxer_start() was called */
    int ret = copy_until(m, av_rescale_q(packet->dts, m->time_base, AV_TIME_BASE_Q));
    if (ret < 0)
        return ret;
    packet->stream_index = m->video->index;
    av_packet_rescale_ts(packet, m->time_base, m->video->time_base);
    m->frames++;
    return write_packet(m, packet, "video packets cannot be written");
}

int resr_muxer_finish(ResrMuxer *m, int64_t until)
{
    int64_t until_us =
        until == INT64_MAX ? INT64_MAX : av_rescale_q(until, m->time_base, AV_TIME_BASE_Q);
    int ret = copy_until(m, until_us);
    if (ret < 0)
        return ret;
    int averror = av_write_trailer(m->context);
    if (averror >= 0 && m->context->pb->error < 0)
        averror = m->context->pb->error;
    if (averror < 0)
        return write_failure(m, averror, "the end of the file cannot be written");
    averror = resr_avio_finish(m->context);
    if (averror < 0)
        return write_failure(m, averror, "the end of the file cannot be written");
    if (m->refused > 0 && m->video->nb_frames != m->frames)
        return resr_fail(RESR_ERR_DATA,
                         "%s: the container refused %" PRId64 " of %" PRId64 " video packets; use "
                         "an output that ends in .mkv",
                         m->output, m->frames - m->video->nb_frames, m->frames);
    if (m->refused > 0)
        resr_log_warn("%s: packets of the copied streams that the container refused: %" PRId64
                      "; they are left out",
                      m->output, m->refused);
    if (m->copy)
        resr_copy_report(m->copy);
    return 0;
}

void resr_muxer_close(ResrMuxer *m)
{
    if (!m)
        return;
    if (m->context)
        resr_avio_finish(m->context);
    avformat_free_context(m->context);
    resr_copy_close(m->copy);
    free(m);
}
