/* Images: each frame is a file and an encoder of its own. Profile, EXIF and texts are copied from
 * the image that the frame was made from. */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/publish.h"
#include "media/sink_ops.h"

typedef struct ImageSink {
    ResrSink sink;
    bool warned; /* that the output's files cannot store all tags of the input's */
} ImageSink;

static int open_images(ResrSink *sink, const ResrSegmentStore *store)
{
    (void)store;
    if (sink->kind != RESR_OUTPUT_FOLDER || mkdir(sink->output, 0777) == 0 || errno == EEXIST)
        return 0;
    return resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_EXISTS,
                     "%s: the folder cannot be created: %s", sink->output, strerror(errno));
}

static int write_image(void *user, AVPacket *packet)
{
    ResrSink *sink = user;
    char path[PATH_MAX];
    int ret = resr_outputs_image(path, sizeof path, sink->kind, sink->output, sink->decoder,
                                 sink->frames);
    if (ret == 0)
        ret = resr_publish_check(path, NULL, sink->overwrite);
    sink->packets++;
    return ret < 0 ? ret
                   : resr_publish_bytes(path, packet->data, (size_t)packet->size, sink->overwrite);
}

/* Reads the tags from the input's file: a resumed job has not always decoded that image. False if
 * the file has none. */
static bool read_tags(const ResrSink *sink, ResrPictureTags *tags)
{
    const char *path = resr_decoder_image_path(sink->decoder, sink->frames);
    ResrPictureKind kind = RESR_PICTURE_NONE;
    int ret = path ? resr_picture_kind(&kind, path, &sink->stop) : 0;
    if (ret == 0 && (kind == RESR_PICTURE_NONE || kind == RESR_PICTURE_MOVING))
        return false;
    if (ret == 0 && resr_picture_read_tags(tags, path, &sink->stop) == 0)
        return true;
    resr_log_warn("%s; the picture's profile, EXIF and texts are not kept", resr_error_text());
    return false;
}

/* Warns once a job. */
static void warn_of_lost_tags(ImageSink *s, const ResrPictureTags *tags)
{
    const ResrEncoding *encoding = &s->sink.encoding;
    if (!tags->lost[0] || s->warned)
        return;
    s->warned = true;
    resr_log_warn("%s: %s images cannot store all data of the input besides the pixels; lost: %s%s",
                  s->sink.output, resr_encoding_name(encoding), tags->lost,
                  encoding->picture == RESR_PICTURE_PNG ? ""
                                                        : "; a .png output keeps most of the data");
}

static int write_frame(ResrSink *sink, const ResrFrame *frame)
{
    ResrPictureTags tags = {0};
    ResrEncoder encoder;
    ResrEncoding *encoding = &sink->encoding;
    encoding->tags = read_tags(sink, &tags) ? &tags : NULL;
    if (encoding->tags && encoding->codec)
        resr_picture_name_tags(&tags);
    int ret = resr_encoder_open(&encoder, encoding);
    if (ret == 0)
        ret = resr_encoder_write(&encoder, encoding, frame, write_image, sink);
    if (ret == 0)
        ret = resr_encoder_write(&encoder, encoding, NULL, write_image, sink);
    resr_encoder_close(&encoder);
    if (ret == 0)
        warn_of_lost_tags((ImageSink *)sink, &tags);
    encoding->tags = NULL;
    resr_picture_tags_free(&tags);
    sink->frames++;
    return ret;
}

static int finish_images(ResrSink *sink, bool whole)
{
    (void)whole;
    return sink->packets == sink->frames
               ? 0
               : resr_fail(RESR_ERR_INTERNAL, "%s: %lld images were written for %" PRId64 " frames",
                           sink->output, (long long)sink->packets, sink->frames);
}

static void close_images(ResrSink *sink)
{
    (void)sink; /* images are published one by one */
}

const ResrSinkOps resr_sink_images = {
    .bytes = sizeof(ImageSink),
    .open = open_images,
    .write = write_frame,
    .finish = finish_images,
    .close = close_images,
};
