#ifndef RESR_MEDIA_HWACCEL_H
#define RESR_MEDIA_HWACCEL_H

/* Decoding by a device, as FFmpeg offers it (--hwaccel). The frames come out in the pixel format
 * that FFmpeg's software decoder gives. The default is none: only the software's frames are the
 * same bits on every machine, whatever a video's damage or codec. Not for other folders. */

#include <libavcodec/avcodec.h>
#include <stdbool.h>

#include "media/decode.h"

typedef struct ResrHwaccel {
    const char *wanted; /* "none", "auto", or the name of a kind of device */
    AVBufferRef *device;
    enum AVPixelFormat surface; /* what this device decodes into */
    bool settled;               /* the device was chosen, or there is none */
    bool used, said;            /* frames came from it; that they do not was said */
} ResrHwaccel;

/* Gives `codec`, whose opaque is a ResrAvOwner, the device of `wanted`. Call before `codec` is
 * opened with `decoder`. Codecs of later files get the same device. `images`: images are decoded in
 * software. With "auto" one line reports a missing device, and software decodes. RESR_ERR_DEVICE:
 * the named device is not available; the message lists FFmpeg's devices. `path` is used in
 * messages. */
RESR_MUST_CHECK int resr_hwaccel_attach(ResrHwaccel *hw, AVCodecContext *codec,
                                        const AVCodec *decoder, bool images, const char *path);

/* Brings a decoded frame into memory, in nv12 or p010. Only 4:2:0 of 8 and 10 bits is decoded by
 * devices: these repack into the software's format without loss. RESR_ERR_DEVICE where the frame
 * was decoded in software although a name was wanted, or cannot be fetched. */
RESR_MUST_CHECK int resr_hwaccel_fetch(ResrHwaccel *hw, AVFrame *frame, const char *path);

/* "vaapi", or "none" where frames are decoded in software. */
const char *resr_hwaccel_name(const ResrHwaccel *hw);

void resr_hwaccel_free(ResrHwaccel *hw);

#endif
