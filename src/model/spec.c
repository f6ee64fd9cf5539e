#include <stdbool.h>

#include "model/model.h"

/* Bounds on what a weight file may ask for: far above any published network, far below what would
 * overflow or exhaust memory. */
enum { MAX_BLOCKS = 128, MAX_FEATURES = 512, MAX_SCALE = 8 };

enum { DENSE_BLOCKS = 3, DENSE_CONVS = 5, RRDB_CONVS = DENSE_BLOCKS * DENSE_CONVS };

int resr_spec_convs(const ResrNetSpec *spec)
{
    return spec->arch == RESR_ARCH_RRDB ? RRDB_CONVS * spec->num_blocks + 6 : spec->num_blocks + 2;
}

int resr_spec_check(const ResrNetSpec *spec)
{
    bool rrdb = spec->arch == RESR_ARCH_RRDB;
    if (!rrdb && spec->arch != RESR_ARCH_SRVGG)
        return resr_fail(RESR_ERR_DATA, "architecture %d is unknown", spec->arch);
    if (spec->num_blocks < (rrdb ? 1 : 0) || spec->num_blocks > MAX_BLOCKS || spec->nf < 1 ||
        spec->nf > MAX_FEATURES || spec->scale < 1 || spec->scale > MAX_SCALE ||
        spec->gc < (rrdb ? 1 : 0) || spec->gc > MAX_FEATURES)
        return resr_fail(
            RESR_ERR_DATA,
            "a network of %d blocks, %d features, %d growth channels and scale %d is not "
            "supported (at most %d blocks, %d features, scale %d)",
            spec->num_blocks, spec->nf, spec->gc, spec->scale, MAX_BLOCKS, MAX_FEATURES, MAX_SCALE);
    if (rrdb ? spec->scale * spec->unshuffle != 4 : spec->unshuffle != 1)
        return resr_fail(RESR_ERR_DATA,
                         "scale %d with pixel_unshuffle(%d) is no network of this kind",
                         spec->scale, spec->unshuffle);
    if (!(spec->resize > 0 && spec->resize <= MAX_SCALE))
        return resr_fail(RESR_ERR_DATA, "a resize of the output by %g is not supported",
                         spec->resize);
    return 0;
}

double resr_spec_macs_per_px(const ResrNetSpec *spec)
{
    double nf = spec->nf, gc = spec->gc, macs;
    if (spec->arch == RESR_ARCH_SRVGG)
        return 9 * nf * (3 + spec->num_blocks * nf + 3.0 * spec->scale * spec->scale);
    double dense = 0;
    for (int i = 0; i < DENSE_CONVS; i++)
        dense += 9 * (nf + i * gc) * (i < DENSE_CONVS - 1 ? gc : nf);
    macs = 9 * nf * 3 * spec->unshuffle * spec->unshuffle;         /* conv_first */
    macs += DENSE_BLOCKS * spec->num_blocks * dense + 9 * nf * nf; /* body, conv_body */
    macs +=
        9 * nf * nf * (4 + 16 + 16) + 9 * nf * 3 * 16; /* conv_up1, conv_up2, conv_hr, conv_last */
    return macs / (spec->unshuffle * spec->unshuffle);
}

int resr_spec_radius_px(const ResrNetSpec *spec)
{
    if (spec->arch == RESR_ARCH_SRVGG)
        return spec->num_blocks + 2;
    /* conv_first, the body and conv_body on the body's grid; conv_up1 at 2x; conv_up2, conv_hr and
     * conv_last at 4x: 1/2 + 3/4 of a body pixel, rounded up. */
    int body = 2 + RRDB_CONVS * spec->num_blocks + 2;
    return body * spec->unshuffle;
}
