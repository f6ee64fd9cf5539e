#ifndef RESR_MEDIA_READER_H
#define RESR_MEDIA_READER_H

/* The decoded pictures of one file, and the damage in it. Not for other folders. One thread. */

#include <libavcodec/avcodec.h>

#include "media/damage.h"
#include "media/declared.h"
#include "media/hwaccel.h"
#include "media/libav.h"
#include "media/timeline.h"

typedef struct ResrReader {
    ResrDecodeOptions options;
    atomic_bool stop; /* stops reading; set by any thread */
    const char *path;
    ResrHwaccel hw;
    AVFormatContext *input; /* NULL: no file is open */
    AVCodecContext *codec;
    ResrAvOwner owner; /* of the codec */
    int stream;
    AVPacket *packet;
    AVFrame *frame;                      /* the picture of resr_reader_next() */
    int64_t next_index, frames_estimate; /* for messages: set by the caller */
    int64_t first_damaged;               /* index; -1: none */
    ResrDamageCount count;
    ResrDamage damage;
    ResrDeclared declared;
    ResrExtent extent;
    ResrTimeline line; /* of the times of the pictures */
    bool draining;
    bool leading; /* no picture was returned since the file was opened or a seek */
    bool keyed;   /* a keyframe was sent to the decoder */
    bool seeking; /* damage before the target was reported in an earlier attempt */
    int splice;   /* packets within which a keyframe marks a joint, not a loss */
    bool warned_splice, warned_jump;
    int64_t demuxer_errors, decoder_errors, concealed; /* already handled */
    int64_t sent_pts;                                  /* of the packet that was sent last */
    int64_t owed; /* packets sent minus pictures returned; counted for one_to_one() codecs only */
    int read_errors;
    bool grey_alpha; /* the packet's two bytes a pixel are grey and alpha */
} ResrReader;

/* RESR_ERR_INTERNAL (memory). End with resr_reader_free(), also after a failure. */
RESR_MUST_CHECK int resr_reader_create(ResrReader *reader, const ResrDecodeOptions *options);

/* Opens the next file; the previous file must be closed. `path` must outlive the open file. Errors
 * as in resr_decoder_open(). */
RESR_MUST_CHECK int resr_reader_open(ResrReader *reader, const char *path, bool listed);
void resr_reader_close(ResrReader *reader);

/* True for a single image, not a video; `listed`: one of several files. */
bool resr_reader_is_image(const ResrReader *reader, bool listed);

/* Seconds between frames, 0 if unknown. */
double resr_reader_frame_seconds(const ResrReader *reader);

/* Decodes the next picture into reader->frame, which the caller unreferences; *end at the end of
 * the file. Damage is RESR_ERR_DATA; with `bridge` damage is only counted. RESR_ERR_IO,
 * RESR_ERR_DEVICE. */
RESR_MUST_CHECK int resr_reader_next(ResrReader *reader, bool *end);

/* Call at the end of the input: RESR_ERR_DATA (with `bridge` a warning with the counts) if a part
 * that the file declares is missing. */
RESR_MUST_CHECK int resr_reader_check_end(ResrReader *reader);

/* Seeks to the keyframe before `pts`; false if the file cannot seek. Damage is not counted until
 * resr_reader_found() is called. */
bool resr_reader_seek(ResrReader *reader, int64_t pts);
void resr_reader_found(ResrReader *reader);

void resr_reader_free(ResrReader *reader);

#endif
