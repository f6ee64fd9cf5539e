#include "model_argument.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "random_model.h"

int bench_model_argument(ResrModel **out, const char *text)
{
    static const char *const names[] = {
        [RESR_ARCH_RRDB] = "rrdb", [RESR_ARCH_SRVGG] = "srvgg", [RESR_ARCH_SPAN] = "span"};
    char kind[8];
    int scale, blocks, nf = 64;
    uint64_t seed;
    if (sscanf(text, "%5[a-z]:%d:%d:%" SCNu64 ":%d", kind, &scale, &blocks, &seed, &nf) < 4)
        return resr_model_load(out, text);
    int32_t arch = RESR_ARCH_RRDB;
    while (arch < RESR_ARCH_SPAN && strcmp(names[arch], kind) != 0)
        arch++;
    bool rrdb = arch == RESR_ARCH_RRDB;
    ResrNetSpec spec = {.arch = arch,
                        .scale = scale,
                        .unshuffle = rrdb ? 4 / scale : 1,
                        .num_blocks = blocks,
                        .nf = nf,
                        .gc = rrdb ? 32 : 0,
                        .channels = 3,
                        .resize = 1};
    int ret = resr_random_model(out, &spec, seed, 1.0);
    if (ret < 0 || arch == RESR_ARCH_SRVGG)
        return ret;
    ResrConv *last = &(*out)->convs[(*out)->n_convs - 1];
    for (int i = 0; i < last->cout; i++) /* most of the output is between black and white */
        last->bias[i] += 0.5f;
    return 0;
}
