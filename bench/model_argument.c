#include "model_argument.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "random_model.h"

int bench_model_argument(ResrModel **out, const char *text)
{
    char kind[8];
    int scale, blocks;
    uint64_t seed;
    if (sscanf(text, "%5[a-z]:%d:%d:%" SCNu64, kind, &scale, &blocks, &seed) != 4)
        return resr_model_load(out, text);
    int rrdb = strcmp(kind, "rrdb") == 0;
    ResrNetSpec spec = {.arch = rrdb ? RESR_ARCH_RRDB : RESR_ARCH_SRVGG,
                        .scale = scale,
                        .unshuffle = rrdb ? 4 / scale : 1,
                        .num_blocks = blocks,
                        .nf = 64,
                        .gc = rrdb ? 32 : 0,
                        .channels = 3,
                        .resize = 1};
    int ret = resr_random_model(out, &spec, seed, 1.0);
    for (int i = 0; ret == 0 && rrdb && i < 3;
         i++) /* most of the output is between black and white */
        (*out)->convs[(*out)->n_convs - 1].bias[i] += 0.5f;
    return ret;
}
