/* Writes a model as .safetensors (github.com/huggingface/safetensors, README "Format"): an 8-byte
 * little-endian length, a JSON header of this length, and the tensors' data in the header's order.
 * The canonical form: fp32, with the names of ResrConv; SRVGG's slopes are body.1, body.3, ... */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/publish.h"
#include "model/readers.h"

/* Appends one tensor to the header and moves *offset behind its data. */
static void describe(FILE *header, const char *name, const char *suffix, const char *shape,
                     size_t floats, size_t *offset)
{
    size_t end = *offset + floats * sizeof(float);
    fprintf(header, "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
            *offset ? "," : "", name, suffix, shape, *offset, end);
    *offset = end;
}

static void describe_model(FILE *header, const ResrModel *model, size_t *offset)
{
    char shape[64], slope_name[48];
    for (int i = 0; i < model->n_convs; i++) {
        const ResrConv *conv = &model->convs[i];
        size_t outputs = (size_t)conv->cout;
        snprintf(shape, sizeof shape, "[%d,%d,%d,%d]", conv->cout, conv->cin, conv->kernel_px,
                 conv->kernel_px);
        describe(header, conv->name, ".weight", shape, resr_conv_weights(conv), offset);
        snprintf(shape, sizeof shape, "[%d]", conv->cout);
        describe(header, conv->name, ".bias", shape, outputs, offset);
        resr_spec_slope_name(slope_name, i);
        if (conv->slope)
            describe(header, slope_name, "", shape, outputs, offset);
    }
    if (model->spec.arch == RESR_ARCH_SPAN && !model->spec.normalise)
        describe(header, RESR_TENSOR_NO_NORM, "", "[1]", 1, offset);
}

/* Facts that no tensor carries. */
static void describe_source(FILE *header, const ResrModel *model)
{
    bool resized = model->spec.resize != 1;
    bool imagenet = model->spec.normalise == RESR_NORMALISE_IMAGENET;
    if (!model->sha256[0] && !resized && !imagenet)
        return;
    fprintf(header, "\"__metadata__\":{\"source_sha256\":\"%s\"", model->sha256);
    if (resized)
        fprintf(header, ",\"" RESR_METADATA_RESIZE "\":\"%.17g\"", model->spec.resize);
    if (imagenet)
        fputs(",\"" RESR_METADATA_NORMALISE "\":\"" RESR_METADATA_IMAGENET "\"", header);
    fputs("},", header);
}

int resr_model_save(const ResrModel *model, const char *path, bool overwrite)
{
    static const float zero = 0;
    char *text = NULL;
    size_t bytes = 0, offset = 0;
    FILE *file = open_memstream(&text, &bytes);
    if (!file)
        return resr_fail(RESR_ERR_INTERNAL, "%s: no memory for its header", path);
    fwrite(&(uint64_t){0}, 8, 1, file); /* the length, set below */
    fputc('{', file);
    describe_source(file, model);
    describe_model(file, model, &offset);
    fputc('}', file);
    while (ftell(file) % 8)
        fputc(' ', file);
    fflush(file);
    uint64_t length = bytes - 8;
    fwrite(model->arena, sizeof(float), model->arena_floats, file);
    if (offset > model->arena_floats * sizeof(float))
        fwrite(&zero, sizeof zero, 1, file);
    bool complete = !ferror(file);
    complete = fclose(file) == 0 && complete;
    int ret = 0;
    if (!complete)
        ret = resr_fail(RESR_ERR_INTERNAL, "%s: no memory for its %zu bytes", path, offset);
    else
        memcpy(text, &length, sizeof length);
    if (ret == 0)
        ret = resr_publish_bytes(path, text, bytes, overwrite);
    free(text);
    return ret;
}
