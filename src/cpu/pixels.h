#ifndef RESR_CPU_PIXELS_H
#define RESR_CPU_PIXELS_H

#include <stdatomic.h>

#include "cpu/layer.h"
#include "net/backend.h"

/* Both ends of a network: planar RGB to the head's feature map, and the last feature map to planar
 * RGB. */

/* Fills row y of the head's feature map, with pixel unshuffle by `factor`: channel (c * factor +
 * dy)
 * * factor + dx is input pixel (y * factor + dy, x * factor + dx) of plane c; the other lanes
 * become zero. */
void resr_pixels_load_row(const ResrFeatureMap *to, const ResrTileIn *in, int factor, int y);

/* Context of the two functions below, which are the last layer's ResrLayer.finish. */
typedef struct ResrPixelsSink {
    const ResrTileIn *in;
    const ResrTileOut *out;
    int scale;              /* of the pixel shuffle */
    atomic_bool not_finite; /* set where a value is infinite or NaN before the clamp */
} ResrPixelsSink;

/* RRDB: stores three channels, clamped. Both functions skip pixels outside the kept part. */
void resr_pixels_store(void *sink, const ResrLayer *layer, int y, int x0, int x1);

/* SRVGG: stores the pixel shuffle plus the input pixel, clamped. */
void resr_pixels_store_shuffled(void *sink, const ResrLayer *layer, int y, int x0, int x1);

#endif
