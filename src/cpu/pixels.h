#ifndef RESR_CPU_PIXELS_H
#define RESR_CPU_PIXELS_H

#include <stdatomic.h>

#include "cpu/layer.h"
#include "net/backend.h"

/* Both ends of a network: planar RGB to the head's feature map, and the last feature map to planar
 * RGB. */

/* ResrLayer.context of resr_pixels_load(). */
typedef struct ResrPixelsSource {
    const ResrTileIn *in;
    const ResrNetSpec *spec;
} ResrPixelsSource;

/* ResrLayer.rows of the network's input: fills columns [x0, x1) of row y with pixel unshuffle by
 * the network's factor f: channel (c * f + dy) * f + dx is input pixel (y * f + dy, x * f + dx) of
 * plane c, normalised if the network asks for it; the other lanes become zero. */
void resr_pixels_load(const ResrLayer *layer, int thread, int y, int x0, int x1);

/* Context of the two functions below, which are the last layer's ResrLayer.finish. */
typedef struct ResrPixelsSink {
    const ResrTileIn *in;
    const ResrTileOut *out;
    int scale;              /* of the pixel shuffle */
    int planes;             /* of the output: 3, or 4 with alpha */
    bool is_gray;           /* the only channel goes to all planes */
    bool adds_input;        /* SRVGG */
    atomic_bool not_finite; /* set where a value is infinite or NaN before the clamp */
} ResrPixelsSink;

/* RRDB: stores the channels, clamped, one of a gray network in all three planes. Both functions
 * skip pixels outside the kept part. */
void resr_pixels_store(void *sink, const ResrLayer *layer, int y, int x0, int x1);

/* SRVGG: stores the pixel shuffle plus the input pixel, clamped. SPAN: without the input. */
void resr_pixels_store_shuffled(void *sink, const ResrLayer *layer, int y, int x0, int x1);

#endif
