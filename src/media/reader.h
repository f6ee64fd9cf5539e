#ifndef RESR_MEDIA_READER_H
#define RESR_MEDIA_READER_H

/* The decoded pictures of one file, and what is damaged in it. Not for other folders. One thread.
 */

#include <libavcodec/avcodec.h>

#include "media/damage.h"
#include "media/declared.h"
#include "media/hwaccel.h"
#include "media/libav.h"
#include "media/timeline.h"

typedef struct ResrReader {
    ResrDecodeOptions options;
    atomic_bool stop; /* reading ends */
    const char *path;
    ResrHwaccel hw;
    AVFormatContext *input; /* NULL: no file is open */
    AVCodecContext *codec;
    ResrAvOwner owner; /* of the codec */
    int stream;
    AVPacket *packet;
    AVFrame *frame;                      /* what resr_reader_next() decoded */
    int64_t next_index, frames_estimate; /* for messages: set by the caller */
    int64_t first_damaged;               /* index; -1: none */
    ResrDamageCount count;
    ResrDamage damage;
    ResrDeclared declared;
    ResrExtent extent;
    ResrTimeline line; /* of the times of the pictures */
    bool draining;
    bool leading; /* no picture has come out since the file was opened, or a seek */
    bool keyed;   /* a keyframe was sent to the decoder */
    bool seeking; /* the damage up to there was seen in an earlier attempt */
    int splice;   /* packets within which a keyframe tells a joint from missing packets */
    bool splice_said;
    int64_t demuxer_errors, decoder_errors, concealed; /* that were looked at */
    int64_t sent_pts;                                  /* of the packet that was sent last */
    int read_errors;
    bool grey_alpha; /* the packet's two bytes a pixel are grey and alpha */
} ResrReader;

/* RESR_ERR_INTERNAL (memory). End with resr_reader_free(), also after a failure. */
RESR_MUST_CHECK int resr_reader_create(ResrReader *reader, const ResrDecodeOptions *options);

/* Opens the next file; the one before must be closed. `path` stays valid until then. As
 * resr_decoder_open(). */
RESR_MUST_CHECK int resr_reader_open(ResrReader *reader, const char *path, bool listed);
void resr_reader_close(ResrReader *reader);

/* A single image, not a video; `listed`: one of several files. */
bool resr_reader_is_image(const ResrReader *reader, bool listed);

/* Seconds between frames, 0 if unknown. */
double resr_reader_frame_seconds(const ResrReader *reader);

/* The next picture in reader->frame, to be unreferenced by the caller; *end when there is none.
 * Damage is RESR_ERR_DATA, with `bridge` counted. RESR_ERR_IO, RESR_ERR_DEVICE. */
RESR_MUST_CHECK int resr_reader_next(ResrReader *reader, bool *end);

/* At the end of the input: RESR_ERR_DATA (or with `bridge` a warning with the counts) if something
 * is missing that the file declares. */
RESR_MUST_CHECK int resr_reader_check_end(ResrReader *reader);

/* Goes to the keyframe before `pts`; false where that cannot be done. Until resr_reader_found() is
 * called damage is not counted. */
bool resr_reader_seek(ResrReader *reader, int64_t pts);
void resr_reader_found(ResrReader *reader);

void resr_reader_free(ResrReader *reader);

#endif
