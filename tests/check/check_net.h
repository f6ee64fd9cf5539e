#ifndef RESR_TESTS_CHECK_NET_H
#define RESR_TESTS_CHECK_NET_H

#include <stdbool.h>
#include <string.h>

#include "net/net.h"
#include "random_model.h"
#include "test_main.h"

/* Planar RGB with NaN around each row and plane: a read outside shows in the result, a write
 * outside is found by check_guards(). */
typedef struct CheckImage {
    float *memory, *plane[4];
    size_t stride, floats;
    int width_px, height_px, planes;
    bool not_finite; /* upscaling reported infinite values or NaN */
} CheckImage;

CheckImage check_image(int width_px, int height_px);
CheckImage check_image_of(int width_px, int height_px, int planes); /* 3, or 4 with alpha */
void check_image_free(CheckImage *image);
void check_image_random(CheckImage *image, uint64_t seed);

/* Fails the test unless everything outside the planes is as check_image() left it. */
void check_guards(const CheckImage *image);

/* Fails the test at the first pixel whose bits differ, or if only one image overflowed. `what`
 * describes the case in the message. */
void check_equal(const CheckImage *got, const CheckImage *expected, const char *what);

/* Fails the test unless the root mean square of the difference is at most `limit` times the
 * standard deviation of the expected values. */
void check_close(const CheckImage *got, const CheckImage *expected, double limit, const char *what);

/* Share of values strictly between 0 and 1. Equality of clamped values says little. */
double check_inside(const CheckImage *image);

/* N, if tests are to run every Nth of many cases: $RESR_TEST_SHARE, which slow builds set;
 * default 1. */
int check_share(void);

/* Fails the test unless `ops` reports an overflow for large weights in all layers and for one
 * output channel of infinity or NaN, and none for the largest finite values. */
void check_overflow(const ResrOps *ops);

/* The CPU's last backend of a class that can run here; NULL if there is none. */
const ResrOps *check_backend(ResrNumerics numerics);

/* RRDB with two enlargements: pixel unshuffle by 4 / scale. */
ResrNetSpec check_rrdb(int scale, int num_blocks, int nf, int gc);
/* RRDB with 0 to 3 enlargements: 2^n = scale * unshuffle. */
ResrNetSpec check_rrdb_shape(int scale, int unshuffle, int num_blocks, int nf, int gc);
ResrNetSpec check_srvgg(int scale, int num_blocks, int nf);
ResrNetSpec check_span(int scale, int num_blocks, int nf);

/* A random model, its last convolution scaled so that most of the output lies between 0 and 1. */
ResrModel *check_model(ResrNetSpec spec, uint64_t seed);

typedef struct CheckRun {
    const ResrOps *ops;
    int tile_px, tile_pad_px, threads;
    bool may_overflow;
} CheckRun;

/* Upscales `in` by resr_net_upscale() and checks the guards of both images. An output that is not
 * finite fails the test unless run->may_overflow. */
CheckImage check_upscale(const CheckRun *run, const ResrModel *model, const CheckImage *in);

/* A forward pass of one tile, the whole image, on a context of a backend; `tile` has its kept part,
 * and (crop_x, crop_y) of the network's output becomes pixel (0, 0) of `out`. Fails the test if a
 * guard value was overwritten. */
void check_forward(const ResrOps *ops, void *ctx, const ResrNetSpec *spec, const CheckImage *in,
                   ResrTileIn tile, CheckImage *out, int crop_x, int crop_y);

#endif
