#include <stdio.h>

#include "base/memory.h"
#include "model/readers.h"

/* Bounds on the networks of weight files: far above any published network (16.7 million weights),
 * far below those that would overflow an int or exhaust memory. */
enum { MAX_BLOCKS = 128, MAX_FEATURES = 512, MAX_SCALE = 8, MAX_ENLARGEMENTS = 3 };
enum { MAX_FLOATS = 1 << 27 };

enum {
    DENSE_BLOCKS = 3,
    DENSE_CONVS = 5,
    RRDB_CONVS = DENSE_BLOCKS * DENSE_CONVS,
    ATTENTION_CONVS = 3
};

int resr_spec_enlargements(const ResrNetSpec *spec)
{
    int enlargements = 0;
    while (resr_spec_is_rrdb(spec) && 1 << enlargements < spec->scale * spec->unshuffle)
        enlargements++;
    return enlargements;
}

int resr_spec_conv_body(const ResrNetSpec *spec)
{
    return 1 + RRDB_CONVS * spec->num_blocks;
}

const char *resr_spec_arch_name(const ResrNetSpec *spec)
{
    return spec->arch == RESR_ARCH_RRDB    ? "RRDBNet"
           : spec->arch == RESR_ARCH_SRVGG ? "SRVGGNetCompact"
                                           : "SPAN";
}

int resr_spec_convs(const ResrNetSpec *spec)
{
    if (spec->arch == RESR_ARCH_SRVGG)
        return spec->num_blocks + 2;
    if (spec->arch == RESR_ARCH_SPAN)
        return ATTENTION_CONVS * spec->num_blocks + 4;
    return RRDB_CONVS * spec->num_blocks + resr_spec_enlargements(spec) + 4;
}

static ResrConvShape srvgg_conv(const ResrNetSpec *spec, int index)
{
    bool last = index == spec->num_blocks + 1;
    ResrConvShape conv = {.cout = last ? spec->channels * spec->scale * spec->scale : spec->nf,
                          .cin = index == 0 ? spec->channels : spec->nf,
                          .kernel_px = 3,
                          .has_slope = !last};
    snprintf(conv.name, sizeof conv.name, "body.%d", 2 * index);
    return conv;
}

static ResrConvShape span_conv(const ResrNetSpec *spec, int index)
{
    ResrConvShape conv = {.cout = spec->nf, .cin = spec->nf, .kernel_px = 3};
    int in_body = index - 1, behind = in_body - ATTENTION_CONVS * spec->num_blocks;
    if (index == 0) {
        conv.cin = spec->channels;
        snprintf(conv.name, sizeof conv.name, "conv_1.eval_conv");
    } else if (behind < 0) {
        snprintf(conv.name, sizeof conv.name, "block_%d.c%d_r.eval_conv",
                 in_body / ATTENTION_CONVS + 1, in_body % ATTENTION_CONVS + 1);
    } else if (behind == 0) {
        snprintf(conv.name, sizeof conv.name, "conv_2.eval_conv");
    } else if (behind == 1) {
        conv.cin = 4 * spec->nf;
        conv.kernel_px = 1;
        snprintf(conv.name, sizeof conv.name, "conv_cat");
    } else {
        conv.cout = spec->channels * spec->scale * spec->scale;
        snprintf(conv.name, sizeof conv.name, "upsampler.0");
    }
    return conv;
}

static ResrConvShape rrdb_conv(const ResrNetSpec *spec, int index)
{
    ResrConvShape conv = {.cout = spec->nf, .cin = spec->nf, .kernel_px = 3};
    int in_body = index - 1, behind = in_body - RRDB_CONVS * spec->num_blocks;
    int from_end = resr_spec_convs(spec) - 1 - index;
    if (index == 0) {
        conv.cin = spec->channels * spec->unshuffle * spec->unshuffle;
        snprintf(conv.name, sizeof conv.name, "conv_first");
    } else if (behind < 0) {
        int dense = in_body / DENSE_CONVS, i = in_body % DENSE_CONVS;
        conv.cout = i < DENSE_CONVS - 1 ? spec->gc : spec->nf;
        conv.cin = spec->nf + i * spec->gc;
        snprintf(conv.name, sizeof conv.name, "body.%d.rdb%d.conv%d", dense / DENSE_BLOCKS,
                 dense % DENSE_BLOCKS + 1, i + 1);
    } else if (from_end == 0) {
        conv.cout = spec->channels;
        snprintf(conv.name, sizeof conv.name, "conv_last");
    } else if (behind == 0 || from_end == 1) {
        snprintf(conv.name, sizeof conv.name, behind == 0 ? "conv_body" : "conv_hr");
    } else {
        snprintf(conv.name, sizeof conv.name, "conv_up%d", behind);
    }
    return conv;
}

ResrConvShape resr_spec_conv(const ResrNetSpec *spec, int index)
{
    return spec->arch == RESR_ARCH_RRDB    ? rrdb_conv(spec, index)
           : spec->arch == RESR_ARCH_SRVGG ? srvgg_conv(spec, index)
                                           : span_conv(spec, index);
}

void resr_spec_slope_name(char out[48], int index)
{
    snprintf(out, 48, "body.%d.weight", 2 * index + 1);
}

size_t resr_spec_floats(const ResrNetSpec *spec)
{
    size_t floats = 0;
    for (int i = 0; i < resr_spec_convs(spec); i++) {
        ResrConvShape conv = resr_spec_conv(spec, i);
        floats += (size_t)conv.cout *
                  ((size_t)(conv.cin * conv.kernel_px * conv.kernel_px) + 1 + conv.has_slope);
    }
    return floats;
}

int resr_spec_check(const ResrNetSpec *spec)
{
    bool rrdb = resr_spec_is_rrdb(spec);
    if (spec->arch < RESR_ARCH_RRDB || spec->arch > RESR_ARCH_SPAN)
        return resr_fail(RESR_ERR_DATA, "architecture %d is unknown", spec->arch);
    if (spec->num_blocks < (spec->arch != RESR_ARCH_SRVGG) || spec->num_blocks > MAX_BLOCKS ||
        spec->nf < 1 || spec->nf > MAX_FEATURES || spec->scale < 1 || spec->scale > MAX_SCALE ||
        spec->gc < (rrdb ? 1 : 0) || spec->gc > (rrdb ? MAX_FEATURES : 0))
        return resr_fail(RESR_ERR_DATA,
                         "a network of %d blocks, %d features, %d growth channels and scale %d is "
                         "not supported (at most %d blocks, %d features, scale %d)",
                         spec->num_blocks, spec->nf, spec->gc, spec->scale, MAX_BLOCKS,
                         MAX_FEATURES, MAX_SCALE);
    bool known_unshuffle =
        spec->unshuffle == 1 || (rrdb && spec->unshuffle == 2) || (rrdb && spec->unshuffle == 4);
    if (!known_unshuffle ||
        (rrdb && 1 << resr_spec_enlargements(spec) != spec->scale * spec->unshuffle) ||
        resr_spec_enlargements(spec) > MAX_ENLARGEMENTS)
        return resr_fail(RESR_ERR_DATA,
                         "scale %d with pixel_unshuffle(%d) is not a network of this kind",
                         spec->scale, spec->unshuffle);
    if (spec->channels != 1 && spec->channels != 3 && spec->channels != 4)
        return resr_fail(RESR_ERR_DATA,
                         "a network for pictures of %d channels is not supported; 1 (gray), 3 "
                         "(RGB) and 4 (RGB and alpha) are",
                         spec->channels);
    bool can_normalise = spec->arch == RESR_ARCH_SPAN && spec->channels == 3;
    if (spec->normalise < 0 || spec->normalise >= RESR_NORMALISE_COUNT ||
        (spec->normalise && !can_normalise))
        return resr_fail(RESR_ERR_DATA,
                         "normalised input (%d) of %d channels is not a network of this kind; "
                         "SPAN normalises RGB",
                         spec->normalise, spec->channels);
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
    int n = resr_spec_convs(spec), enlargements = resr_spec_enlargements(spec);
    int conv_body =
        n - 3 - enlargements; /* RRDB: each of the next enlargements doubles the sides */
    double macs = 0;
    for (int i = 0; i < n; i++) {
        ResrConvShape conv = resr_spec_conv(spec, i);
        int doubled = i > conv_body ? i - conv_body : 0;
        if (doubled > enlargements)
            doubled = enlargements;
        macs += (double)(conv.kernel_px * conv.kernel_px) * conv.cin * conv.cout *
                (double)(1 << 2 * doubled);
    }
    return macs / (spec->unshuffle * spec->unshuffle);
}
