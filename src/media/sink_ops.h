#ifndef RESR_MEDIA_SINK_OPS_H
#define RESR_MEDIA_SINK_OPS_H

/* The common part of the three kinds of sinks: images, a video encoded by one encoder after
 * another, and a video joined from segments. For sink*.c and video_file.c only. */

#include <stdatomic.h>

#include "media/encode.h"
#include "media/outputs.h"
#include "media/sink.h"

typedef struct ResrSinkOps {
    size_t bytes; /* of the kind's own struct, which begins with a ResrSink */
    /* `store` is NULL for all but segments. */
    int (*open)(ResrSink *sink, const ResrSegmentStore *store);
    int (*write)(ResrSink *sink, const ResrFrame *frame); /* NULL: takes segments only */
    int (*finish)(ResrSink *sink, bool whole);
    void (*close)(ResrSink *sink); /* frees all but the struct; removes an unfinished output; safe
                                      before open() */
} ResrSinkOps;

struct ResrSink {
    const ResrSinkOps *ops;
    const char *output, *input;
    const ResrDecoder *decoder;
    ResrOutputKind kind;
    bool overwrite;
    atomic_bool stop;
    ResrEncoding encoding;
    int64_t frames;       /* written or restored */
    atomic_llong packets; /* written to the output */
};

extern const ResrSinkOps resr_sink_images;   /* one image, or one for each frame */
extern const ResrSinkOps resr_sink_video;    /* frames are encoded into the output */
extern const ResrSinkOps resr_sink_segments; /* segments are stored, then joined to the output */

#endif
