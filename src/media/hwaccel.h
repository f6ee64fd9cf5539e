#ifndef RESR_MEDIA_HWACCEL_H
#define RESR_MEDIA_HWACCEL_H

/* Decoding by a device, as FFmpeg offers it (--hwaccel). Frames come out in the pixel format of
 * FFmpeg's software decoder. The default is none: only software decodes to the same bits on every
 * machine, for every codec and with damage. Not for other folders. */

#include <libavcodec/avcodec.h>
#include <stdbool.h>

#include "media/decode.h"

typedef struct ResrHwaccel {
    const char *requested; /* "none", "auto", or the name of a kind of device */
    AVBufferRef *device;
    enum AVPixelFormat surface; /* format of the device's surfaces */
    bool decided;               /* the device, or its absence, is decided */
    bool used, warned; /* a frame came from the device; the absence of such frames was reported */
} ResrHwaccel;

/* Gives `codec`, whose opaque is a ResrAvOwner, the device of `requested`. Call before `codec` is
 * opened with `decoder`. Codecs of later files get the same device. `images`: images are decoded in
 * software. With "auto" one line reports a missing device, and software decodes. RESR_ERR_DEVICE:
 * the named device is not available; the message lists FFmpeg's devices. `path` is used in
 * messages. */
RESR_MUST_CHECK int resr_hwaccel_attach(ResrHwaccel *hw, AVCodecContext *codec,
                                        const AVCodec *decoder, bool images, const char *path);

/* Copies a decoded frame to memory, as nv12 or p010. Devices decode only 4:2:0 of 8 and 10 bits,
 * which repacks into the software format without loss. RESR_ERR_DEVICE: a named device did not
 * decode the frame, or the frame cannot be copied. */
RESR_MUST_CHECK int resr_hwaccel_fetch(ResrHwaccel *hw, AVFrame *frame, const char *path);

/* "vaapi", or "none" if software decodes. */
const char *resr_hwaccel_name(const ResrHwaccel *hw);

void resr_hwaccel_free(ResrHwaccel *hw);

#endif
