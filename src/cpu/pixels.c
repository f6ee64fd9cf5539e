#include "cpu/pixels.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/minmax.h"

static float clamp01(float value)
{
    return value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f;
}

void resr_pixels_load(const ResrLayer *layer, int thread, int y, int x0, int x1)
{
    (void)thread;
    const ResrPixelsSource *source = layer->context;
    const ResrTileIn *in = source->in;
    const int factor = source->spec->unshuffle;
    const ResrNormalisation *normal = resr_spec_normalisation(source->spec);
    for (int block = 0; block < layer->out->blocks; block++)
        memset(resr_feature_map_row(layer->out, y, block) + (ptrdiff_t)x0 * RESR_BLOCK_LANES, 0,
               (size_t)(x1 - x0) * RESR_BLOCK_LANES * sizeof(float));
    for (int c = 0; c < source->spec->channels; c++)
        for (int dy = 0; dy < factor; dy++) {
            const float *from = in->plane[c] + (size_t)(y * factor + dy) * in->stride;
            for (int dx = 0; dx < factor; dx++) {
                int channel = (c * factor + dy) * factor + dx;
                float *row = resr_feature_map_row(layer->out, y, channel / RESR_BLOCK_LANES) +
                             channel % RESR_BLOCK_LANES;
                for (ptrdiff_t x = x0; x < x1; x++)
                    row[x * RESR_BLOCK_LANES] = normal
                                                    ? (from[x] - normal->mean[c]) * normal->factor
                                                    : from[x * factor + dx];
            }
        }
}

void resr_pixels_store(void *context, const ResrLayer *layer, int y, int x0, int x1)
{
    ResrPixelsSink *sink = context;
    const ResrTileOut *out = sink->out;
    bool finite = true;
    if (y < out->crop_y_px || y >= out->crop_y_px + out->height_px)
        return;
    int first_x = resr_max(x0, out->crop_x_px);
    int last_x = resr_min(x1, out->crop_x_px + out->width_px);
    for (int c = 0; c < sink->planes && out->plane[c]; c++) {
        const float *from = resr_feature_map_row(layer->out, y, 0) + (sink->is_gray ? 0 : c);
        float *to = out->plane[c] + (size_t)(y - out->crop_y_px) * out->stride;
        for (int x = first_x; x < last_x; x++) {
            float value = from[x * RESR_BLOCK_LANES];
            finite &= isfinite(value);
            to[x - out->crop_x_px] = clamp01(value);
        }
    }
    if (!finite)
        sink->not_finite = true;
}

/* Stores row out_y of plane c for output pixels [first_x, last_x): channel (c * scale + dy) * scale
 * + dx of a feature map's pixel is the output pixel dx of this pixel's scale in the row. Returns
 * false if a value is not finite. Inlined, with constant scales where they are usual. */
static inline bool store_row(const ResrPixelsSink *sink, const ResrLayer *layer, int c, int out_y,
                             int first_x, int last_x, const int scale)
{
    const ResrTileOut *out = sink->out;
    int y = out_y / scale, channel = ((sink->is_gray ? 0 : c) * scale + out_y % scale) * scale;
    const float *in = sink->in->plane[sink->is_gray ? 0 : c] + (size_t)y * sink->in->stride;
    float *to = out->plane[c] + (size_t)(out_y - out->crop_y_px) * out->stride - out->crop_x_px;
    bool finite = true;
    for (int dx = 0; dx < scale; dx++, channel++) {
        const float *from = resr_feature_map_row(layer->out, y, channel / RESR_BLOCK_LANES) +
                            channel % RESR_BLOCK_LANES;
        int start = (first_x - dx + scale - 1) / scale, end = (last_x - dx + scale - 1) / scale;
        for (int x = start; x < end; x++) {
            float value = from[x * RESR_BLOCK_LANES];
            if (sink->adds_input)
                value += in[x];
            finite &= isfinite(value);
            to[x * scale + dx] = clamp01(value);
        }
    }
    return finite;
}

void resr_pixels_store_shuffled(void *context, const ResrLayer *layer, int y, int x0, int x1)
{
    ResrPixelsSink *sink = context;
    const ResrTileOut *out = sink->out;
    int scale = sink->scale;
    bool finite = true;
    int first_y = resr_max(y * scale, out->crop_y_px);
    int last_y = resr_min((y + 1) * scale, out->crop_y_px + out->height_px);
    int first_x = resr_max(x0 * scale, out->crop_x_px);
    int last_x = resr_min(x1 * scale, out->crop_x_px + out->width_px);
    for (int c = 0; c < sink->planes && out->plane[c]; c++)
        for (int out_y = first_y; out_y < last_y; out_y++) {
            if (scale == 2)
                finite &= store_row(sink, layer, c, out_y, first_x, last_x, 2);
            else if (scale == 4)
                finite &= store_row(sink, layer, c, out_y, first_x, last_x, 4);
            else
                finite &= store_row(sink, layer, c, out_y, first_x, last_x, scale);
        }
    if (!finite)
        sink->not_finite = true;
}
