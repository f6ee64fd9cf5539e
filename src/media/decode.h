#ifndef RESR_MEDIA_DECODE_H
#define RESR_MEDIA_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/frame.h"

/* Properties of the input, known before its first frame is returned. */
typedef struct ResrVideoInfo {
    ResrFormat format; /* of the frames that the decoder returns */
    ResrFormat stored; /* the same, but YCbCr for JPEG, which is decoded to RGB */
    int32_t time_base_num, time_base_den;
    int32_t frame_rate_num, frame_rate_den; /* average; 0/1 if unknown */
    int32_t sar_num, sar_den;               /* sample aspect ratio; 0/1 if unknown */
    int64_t frames_estimate;                /* 0 if unknown */
    bool is_image;                          /* one image or a sequence of images, not a video */
    bool interlaced;
    bool turned;      /* frames are upright: the output needs no rotation tag */
    bool has_profile; /* the images have an ICC profile */
    char codec[32], container[64];
    char hwaccel[32]; /* the kind of device that decodes, or "none" */
    bool end_unknown; /* the file declares no length: a missing end cannot be detected */
} ResrVideoInfo;

typedef struct ResrDecodeOptions {
    const char *hwaccel; /* "none": software, whose frames are the same bits on every machine;
                            "auto": by a device if one is available; or the name of a kind of device
                            (media/hwaccel.h). Must outlive the decoder */
    int threads;         /* 0: the decoder chooses; with bridge 1 is used */
    bool bridge; /* damage does not end the reading: the decoder's concealment or the previous frame
                    replaces damaged frames */
} ResrDecodeOptions;

/* Counts of damage in the input. */
typedef struct ResrDamageCount {
    int64_t places;  /* number of damaged places */
    int64_t damaged; /* frames that are concealed or repeat the previous frame */
    int64_t missing; /* frames at the end of a cut file, if their number is known */
    int64_t skipped; /* frames before the first decodable picture; not damage by themselves */
    bool cut;        /* the end of the file is missing */
} ResrDamageCount;

/* Reads one video stream, or an image, or images (a folder: its images in natural order; a printf
 * pattern such as %05d.png), frame by frame in presentation order, with nothing lost at the end.
 * One thread uses it. Packed or semi-planar pixel formats are repacked losslessly to planar ones.
 */
typedef struct ResrDecoder ResrDecoder;

/* Opens only this file or these images, never files that they name. RESR_ERR_NOINPUT,
 * RESR_ERR_PERM, RESR_ERR_DATA (not a video, no video stream, size out of range, pixel format not
 * supported), RESR_ERR_DEVICE. The message names the file. */
RESR_MUST_CHECK int resr_decoder_open(ResrDecoder **out, const char *path,
                                      const ResrDecodeOptions *options);
const ResrVideoInfo *resr_decoder_info(const ResrDecoder *decoder);

/* If the input's pictures are stored rotated or mirrored and the output cannot store the display
 * matrix, all frames are returned upright, and the information (format, sample aspect ratio,
 * `turned`) describes upright frames. Angles that are not multiples of 90 degrees are lost with a
 * warning. Call before the first resr_decoder_read() only. RESR_ERR_DATA: the pixel format cannot
 * be rotated. */
RESR_MUST_CHECK int resr_decoder_turn(ResrDecoder *decoder, bool output_holds_rotation);

/* The next frame, owned by the caller, or NULL in *out at the regular end. `index` counts from 0,
 * `pts` is strictly increasing (missing ones are filled in from the frame rate, with one warning).
 * RESR_ERR_DATA with "input ended at frame n ..." when the input is truncated or damaged (without
 * `bridge`), or when the frame size changes. */
RESR_MUST_CHECK int resr_decoder_read(ResrDecoder *decoder, ResrFrame **out);

/* Resumes behind frame `index`, whose pts and hash are known, without decoding all frames before
 * it: the next frame read is index + 1. *found is false, and reading starts at the first frame, if
 * the frame at that time does not have that hash or the input cannot seek. Call before the first
 * resr_decoder_read() only. RESR_ERR_DATA, RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_decoder_skip(ResrDecoder *decoder, bool *found, int64_t index, int64_t pts,
                                      const char *hash);

/* True if damage is bridged (`bridge`); else damage is an error. */
bool resr_decoder_bridges(const ResrDecoder *decoder);

/* The damage found so far. */
ResrDamageCount resr_decoder_damage(const ResrDecoder *decoder);

/* Base name, without folder and ending, of the image of frame `index`; NULL unless the input is a
 * list of images. Valid as long as the decoder. */
const char *resr_decoder_image_name(const ResrDecoder *decoder, int64_t index);

/* Path of the image of frame `index`, also for an input of one image. NULL for a video. */
const char *resr_decoder_image_path(const ResrDecoder *decoder, int64_t index);

/* Stops all reading: a call that waits for the file system ends soon, with RESR_ERR_STOPPED, as
 * after the process's stop signal. Call from any thread. */
void resr_decoder_stop(ResrDecoder *decoder);

void resr_decoder_close(ResrDecoder *decoder);

#endif
