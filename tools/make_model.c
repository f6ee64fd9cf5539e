/* make_model OUT.safetensors rrdb|srvgg SCALE BLOCKS NF GC SEED: writes a seeded random network, so
 * that tests of the whole program need no real weights. SEED 0: all weights are zero, so that an
 * srvgg is the nearest-neighbour enlargement of its input. */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random_model.h"

/* Appends one tensor to the header and returns the offset behind it. */
static size_t describe(FILE *header, const ResrConv *conv, const char *suffix, const char *shape,
                       size_t floats, size_t offset)
{
    fprintf(header, "%s\"%s.%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
            offset ? "," : "{", conv->name, suffix, shape, offset, offset + 4 * floats);
    return offset + 4 * floats;
}

static int write_model(const char *path, const ResrModel *model)
{
    char *text = NULL, shape[64], slope_name[sizeof model->convs->name];
    size_t bytes = 0, offset = 0;
    FILE *header = open_memstream(&text, &bytes);
    if (!header)
        return 1;
    for (int i = 0; i < model->n_convs; i++) {
        const ResrConv *conv = &model->convs[i];
        snprintf(shape, sizeof shape, "[%d,%d,3,3]", conv->cout, conv->cin);
        offset = describe(header, conv, "weight", shape, resr_conv_weights(conv), offset);
        snprintf(shape, sizeof shape, "[%d]", conv->cout);
        offset = describe(header, conv, "bias", shape, (size_t)conv->cout, offset);
        if (conv->slope) { /* SRVGG: body.{2i} is a convolution, body.{2i+1} its PReLU */
            ResrConv prelu = *conv;
            snprintf(slope_name, sizeof slope_name, "body.%d", 2 * i + 1);
            memcpy(prelu.name, slope_name, sizeof prelu.name);
            offset = describe(header, &prelu, "weight", shape, (size_t)conv->cout, offset);
        }
    }
    fputc('}', header);
    while (ftell(header) % 8)
        fputc(' ', header);
    fclose(header);
    uint64_t length = bytes;
    FILE *file = fopen(path, "wb");
    int failed = !file || fwrite(&length, 8, 1, file) != 1 || fwrite(text, bytes, 1, file) != 1;
    for (int i = 0; i < model->n_convs && !failed; i++) {
        const ResrConv *conv = &model->convs[i];
        size_t weights = resr_conv_weights(conv), outputs = (size_t)conv->cout;
        failed = fwrite(conv->weight, 4, weights, file) != weights ||
                 fwrite(conv->bias, 4, outputs, file) != outputs ||
                 (conv->slope && fwrite(conv->slope, 4, outputs, file) != outputs);
    }
    free(text);
    return (file && fclose(file) != 0) || failed;
}

int main(int argc, char **argv)
{
    ResrModel *model = NULL;
    if (argc != 8) {
        fprintf(stderr, "usage: make_model OUT.safetensors rrdb|srvgg SCALE BLOCKS NF GC SEED\n");
        return 64;
    }
    bool rrdb = strcmp(argv[2], "rrdb") == 0;
    ResrNetSpec spec = {.arch = rrdb ? RESR_ARCH_RRDB : RESR_ARCH_SRVGG,
                        .scale = atoi(argv[3]),
                        .num_blocks = atoi(argv[4]),
                        .nf = atoi(argv[5]),
                        .gc = rrdb ? atoi(argv[6]) : 0,
                        .channels = 3,
                        .resize = 1};
    spec.unshuffle = rrdb ? 4 / spec.scale : 1;
    uint64_t seed = strtoull(argv[7], NULL, 10);
    int failed = resr_random_model(&model, &spec, seed, 1.5) < 0;
    if (!failed && seed == 0)
        memset(model->arena, 0, model->arena_floats * sizeof *model->arena);
    if (!failed)
        failed = write_model(argv[1], model);
    if (failed)
        fprintf(stderr, "%s: cannot be written: %s\n", argv[1], resr_error_text());
    resr_model_free(model);
    return failed;
}
