#include <stdio.h>

#include "base/memory.h"
#include "model/readers.h"

/* Bounds on the networks of weight files: far above any published network (16.7 million weights),
 * far below those that would overflow an int or exhaust memory. */
enum { MAX_BLOCKS = 128, MAX_FEATURES = 512, MAX_SCALE = 8, MAX_FLOATS = 1 << 27 };

enum { DENSE_BLOCKS = 3, DENSE_CONVS = 5, RRDB_CONVS = DENSE_BLOCKS * DENSE_CONVS };

int resr_spec_convs(const ResrNetSpec *spec)
{
    return resr_spec_is_rrdb(spec) ? RRDB_CONVS * spec->num_blocks + 6 : spec->num_blocks + 2;
}

static ResrConvShape srvgg_conv(const ResrNetSpec *spec, int index)
{
    bool last = index == spec->num_blocks + 1;
    ResrConvShape conv = {.cout = last ? 3 * spec->scale * spec->scale : spec->nf,
                          .cin = index == 0 ? 3 : spec->nf,
                          .has_slope = !last};
    snprintf(conv.name, sizeof conv.name, "body.%d", 2 * index);
    return conv;
}

ResrConvShape resr_spec_conv(const ResrNetSpec *spec, int index)
{
    static const char *const tail[] = {"conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"};
    if (spec->arch == RESR_ARCH_SRVGG)
        return srvgg_conv(spec, index);
    ResrConvShape conv = {.cout = spec->nf, .cin = spec->nf};
    int in_body = index - 1, behind = in_body - RRDB_CONVS * spec->num_blocks;
    if (index == 0) {
        conv.cin = 3 * spec->unshuffle * spec->unshuffle;
        snprintf(conv.name, sizeof conv.name, "conv_first");
    } else if (behind >= 0) {
        conv.cout = behind == 4 ? 3 : spec->nf;
        snprintf(conv.name, sizeof conv.name, "%s", tail[behind]);
    } else {
        int dense = in_body / DENSE_CONVS, i = in_body % DENSE_CONVS;
        conv.cout = i < DENSE_CONVS - 1 ? spec->gc : spec->nf;
        conv.cin = spec->nf + i * spec->gc;
        snprintf(conv.name, sizeof conv.name, "body.%d.rdb%d.conv%d", dense / DENSE_BLOCKS,
                 dense % DENSE_BLOCKS + 1, i + 1);
    }
    return conv;
}

size_t resr_spec_floats(const ResrNetSpec *spec)
{
    size_t floats = 0;
    for (int i = 0; i < resr_spec_convs(spec); i++) {
        ResrConvShape conv = resr_spec_conv(spec, i);
        floats += (size_t)conv.cout * ((size_t)conv.cin * 9 + 1 + conv.has_slope);
    }
    return floats;
}

int resr_spec_check(const ResrNetSpec *spec)
{
    bool rrdb = resr_spec_is_rrdb(spec);
    if (!rrdb && spec->arch != RESR_ARCH_SRVGG)
        return resr_fail(RESR_ERR_DATA, "architecture %d is unknown", spec->arch);
    if (spec->num_blocks < (rrdb ? 1 : 0) || spec->num_blocks > MAX_BLOCKS || spec->nf < 1 ||
        spec->nf > MAX_FEATURES || spec->scale < 1 || spec->scale > MAX_SCALE ||
        spec->gc < (rrdb ? 1 : 0) || spec->gc > (rrdb ? MAX_FEATURES : 0))
        return resr_fail(RESR_ERR_DATA,
                         "a network of %d blocks, %d features, %d growth channels and scale %d is "
                         "not supported (at most %d blocks, %d features, scale %d)",
                         spec->num_blocks, spec->nf, spec->gc, spec->scale, MAX_BLOCKS,
                         MAX_FEATURES, MAX_SCALE);
    if (rrdb ? spec->scale * spec->unshuffle != 4 : spec->unshuffle != 1)
        return resr_fail(RESR_ERR_DATA,
                         "scale %d with pixel_unshuffle(%d) is not a network of this kind",
                         spec->scale, spec->unshuffle);
    if (!(spec->resize > 0 && spec->resize <= MAX_SCALE))
        return resr_fail(RESR_ERR_DATA, "a resize of the output by %g is not supported",
                         spec->resize);
    if (resr_spec_floats(spec) > MAX_FLOATS)
        return resr_fail(RESR_ERR_DATA, "a network of %zu weights is not supported; at most %d are",
                         resr_spec_floats(spec), MAX_FLOATS);
    return 0;
}

double resr_spec_macs_per_px(const ResrNetSpec *spec)
{
    /* The convolutions after conv_body run at 2x (conv_up1) and 4x the body's size. */
    static const int area[] = {1, 4, 16, 16, 16};
    int n = resr_spec_convs(spec);
    double macs = 0;
    for (int i = 0; i < n; i++) {
        ResrConvShape conv = resr_spec_conv(spec, i);
        int after_body = resr_spec_is_rrdb(spec) ? i - (n - 5) : 0;
        macs += 9.0 * conv.cin * conv.cout * (after_body > 0 ? area[after_body] : 1);
    }
    return macs / (spec->unshuffle * spec->unshuffle);
}
