/* seams VIDEO FRAME TILE WEIGHTS|rrdb:SCALE:BLOCKS:SEED|srvgg:SCALE:BLOCKS:SEED: the effect of the
 * context of tiles. Upscales one frame as a whole and in tiles with contexts of 8 to 64 px, and
 * prints a line of JSON for each: largest and mean difference in 8-bit levels, PSNR, and the work
 * relative to the whole frame. The forms with colons are seeded random networks, for shapes whose
 * weights are not available. */

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "media/colour.h"
#include "media/decode.h"
#include "model_argument.h"
#include "must.h"
#include "net/net.h"
#include "net/select_backend.h"
#include "net/tile.h"

static ResrRgb read_frame(const char *path, int number)
{
    ResrDecoder *decoder;
    ResrFrame *frame = NULL;
    ResrColour *colour;
    ResrRgb rgb;
    must(resr_decoder_open(&decoder, path, &(ResrDecodeOptions){.hwaccel = "none", .threads = 1}));
    const ResrFormat *format = &resr_decoder_info(decoder)->format;
    for (int i = 0; i <= number; i++) {
        resr_frame_free(frame);
        must(resr_decoder_read(decoder, &frame));
    }
    must(resr_colour_create(&colour, format, format, format->width_px, format->height_px, false));
    must(resr_rgb_create(&rgb, format->width_px, format->height_px, 3));
    must(resr_colour_to_rgb(colour, &rgb, frame));
    resr_colour_free(colour);
    resr_frame_free(frame);
    resr_decoder_close(decoder);
    return rgb;
}

static ResrRgb upscale(const ResrModel *model, const ResrRgb *in, int tile_px, int pad_px)
{
    ResrNet *net;
    ResrRgb out;
    ResrProbe probe;
    const float *const planes[4] = {in->plane[0], in->plane[1], in->plane[2]};
    must(resr_rgb_create(&out, in->width_px * model->spec.scale, in->height_px * model->spec.scale,
                         3));
    must(resr_select_backend_probe(&probe, (ResrArch)model->spec.arch, "exact", "auto", ~0u, 2));
    must(resr_net_create(&net, resr_select_backend_fastest(&probe, "exact"), model, in->width_px,
                         in->height_px, resr_tile_square(tile_px, pad_px), 2));
    must(resr_net_upscale(net, out.plane, out.stride, planes, in->stride, NULL));
    resr_net_free(net);
    return out;
}

static void compare(const char *name, const ResrRgb *whole, const ResrRgb *tiled, int tile_px,
                    int pad_px, double work)
{
    double sum = 0, square = 0, worst = 0, n = 3.0 * whole->width_px * whole->height_px;
    for (int p = 0; p < 3; p++)
        for (int y = 0; y < whole->height_px; y++)
            for (int x = 0; x < whole->width_px; x++) {
                size_t i = (size_t)y * whole->stride + (size_t)x;
                double d = fabs(255.0 * (double)(whole->plane[p][i] - tiled->plane[p][i]));
                sum += d;
                square += d * d;
                worst = d > worst ? d : worst;
            }
    printf("{\"network\": \"%s\", \"tile_px\": %d, \"pad_px\": %d, \"max_levels\": %.3f, "
           "\"mean_levels\": %.5f, \"psnr_db\": %s",
           name, tile_px, pad_px, worst, sum / n, square > 0 ? "" : "null");
    if (square > 0)
        printf("%.1f", 10 * log10(255.0 * 255.0 * n / square));
    printf(", \"work\": %.2f}\n", work);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const int pads[] = {8, 10, 16, 18, 24, 32, 34, 36, 48, 64};
    if (argc != 5) {
        fprintf(stderr, "usage: seams VIDEO FRAME TILE WEIGHTS|rrdb:SCALE:BLOCKS:SEED|srvgg:...\n");
        return 64;
    }
    ResrRgb in = read_frame(argv[1], atoi(argv[2]));
    ResrModel *model;
    must(bench_model_argument(&model, argv[4]));
    int tile_px = atoi(argv[3]);
    const char *name = strrchr(argv[4], '/');
    ResrRgb whole = upscale(model, &in, 0, 0);
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++) {
        ResrTilePlan plan;
        must(resr_tile_plan(&plan, in.width_px, in.height_px, resr_tile_square(tile_px, pads[i]),
                            model->spec.unshuffle));
        ResrRgb tiled = upscale(model, &in, tile_px, pads[i]);
        compare(name ? name + 1 : argv[4], &whole, &tiled, tile_px, pads[i],
                resr_tile_overhead(&plan));
        resr_rgb_free(&tiled);
    }
    resr_rgb_free(&whole);
    resr_rgb_free(&in);
    resr_model_free(model);
    return 0;
}
