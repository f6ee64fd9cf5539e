#ifndef RESR_TESTS_CHECK_NET_H
#define RESR_TESTS_CHECK_NET_H

/* What cmocka.h wants to have seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/net.h"
#include "random_model.h"

/* Planar RGB with guard values around each row and plane: NaN around inputs, so that a read outside
 * shows in the result; a pattern around outputs, so that a write outside is found. */
typedef struct CheckImage {
    float *memory, *plane[3];
    size_t stride, floats;
    int width_px, height_px;
    bool not_finite; /* upscaling reported infinite values or NaN */
} CheckImage;

CheckImage check_image(int width_px, int height_px);
void check_image_free(CheckImage *image);
void check_image_random(CheckImage *image, uint64_t seed);

/* Fails the test unless everything outside the planes is as check_image() left it. */
void check_guards(const CheckImage *image);

/* Fails the test at the first pixel whose bits differ, or if one of both overflowed; `what`
 * describes the case. */
void check_equal(const CheckImage *got, const CheckImage *expected, const char *what);

/* Fails the test unless the root mean square of the difference is at most `limit` times the
 * standard deviation of the expected values. */
void check_close(const CheckImage *got, const CheckImage *expected, double limit, const char *what);

/* Share of values strictly between 0 and 1: where all are clamped, equality says little. */
double check_inside(const CheckImage *image);

/* N: a test takes every Nth of its many cases. 1, or the environment's RESR_TEST_SHARE, which slow
 * builds set. */
int check_share(void);

/* Fails the test unless `ops` reports each kind of overflow: large weights everywhere, and one
 * channel of the output; and none where values are as large as they can be. */
void check_overflow(const ResrOps *ops);

ResrNetSpec check_rrdb(int scale, int num_blocks, int nf, int gc);
ResrNetSpec check_srvgg(int scale, int num_blocks, int nf);

/* A random model, its last convolution scaled so that most of the output lies between 0 and 1. */
ResrModel *check_model(ResrNetSpec spec, uint64_t seed);

typedef struct CheckRun {
    const ResrOps *ops;
    int tile_px, tile_pad_px, threads;
    bool may_overflow;
} CheckRun;

/* Upscales `in` through resr_net_upscale(); the guards of both images are checked. An
 * output that is not finite fails the test unless the run may overflow. */
CheckImage check_upscale(const CheckRun *run, const ResrModel *model, const CheckImage *in);

#endif
