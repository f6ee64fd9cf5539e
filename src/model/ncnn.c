/* ncnn's model format (github.com/Tencent/ncnn, docs "param and model file structure"): a text file
 * with a line per layer, and a binary file with the weights in the order of the layers. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sha256.h"
#include "model/ncnn_graph.h"

/* The graph of a 23-block RRDBNet has 116 KB. */
enum { MAX_PARAM_BYTES = 4 << 20 };

enum { TAG_BYTES = 4, TAG_FP32 = 0, TAG_FP16 = 0x01306B47 };

typedef struct Reader {
    const uint8_t *next;
    size_t left;
} Reader;

static const uint8_t *take(Reader *reader, size_t bytes)
{
    if (bytes > reader->left)
        return NULL;
    reader->next += bytes;
    reader->left -= bytes;
    return reader->next - bytes;
}

static int read_conv(Reader *reader, const ResrConv *conv)
{
    size_t outputs = (size_t)conv->cout, weights = outputs * (size_t)conv->cin * 9;
    const uint8_t *tag = take(reader, TAG_BYTES);
    uint32_t kind = tag ? tag[0] | tag[1] << 8 | tag[2] << 16 | (uint32_t)tag[3] << 24 : TAG_FP32;
    if (kind != TAG_FP32 && kind != TAG_FP16)
        return resr_fail(RESR_ERR_DATA,
                         "convolution %s: weights of kind %08x in the .bin; only fp32 "
                         "and fp16 are supported",
                         conv->name, (unsigned)kind);
    ResrDtype dtype = kind == TAG_FP16 ? RESR_DTYPE_F16 : RESR_DTYPE_F32;
    const uint8_t *values = take(reader, resr_round_up(weights * resr_dtype_bytes(dtype), 4));
    const uint8_t *bias = take(reader, outputs * 4);
    const uint8_t *slope = conv->slope ? take(reader, outputs * 4) : bias;
    if (!tag || !values || !bias || !slope)
        return resr_fail(RESR_ERR_DATA, "the .bin ends within convolution %s", conv->name);
    int ret = resr_weights_convert(conv->weight, values, dtype, weights, conv->name);
    if (ret == 0)
        ret = resr_weights_convert(conv->bias, bias, RESR_DTYPE_F32, outputs, conv->name);
    if (ret == 0 && conv->slope)
        ret = resr_weights_convert(conv->slope, slope, RESR_DTYPE_F32, outputs, conv->name);
    return ret;
}

/* Allocates the network only if the file is large enough to fill it. */
static int read_weights(ResrModel **out, const ResrNetSpec *spec, const ResrBytes *bin)
{
    size_t expected = 2 * resr_spec_floats(spec);
    Reader reader = {bin->data, bin->bytes};
    if (bin->bytes < expected)
        return resr_fail(RESR_ERR_DATA,
                         "the .bin of %zu bytes ends early; the graph has %zu at least", bin->bytes,
                         expected);
    int ret = resr_model_create(out, spec);
    for (int i = 0; ret == 0 && i < (*out)->n_convs; i++)
        ret = read_conv(&reader, &(*out)->convs[i]);
    if (ret == 0 && reader.left > 0)
        ret = resr_fail(RESR_ERR_DATA, "the .bin has %zu bytes after the last layer", reader.left);
    return ret;
}

static int read_bin(ResrBytes *bin, const char *param_path)
{
    char path[sizeof((ResrModel *)0)->path];
    size_t stem = strlen(param_path);
    if (stem > 6 && strcmp(param_path + stem - 6, ".param") == 0)
        stem -= 6;
    if (snprintf(path, sizeof path, "%.*s.bin", (int)stem, param_path) >= (int)sizeof path)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", param_path);
    int ret = resr_bytes_read(bin, path);
    return ret == RESR_ERR_NOINPUT ? resr_fail_prefix(ret, "%s needs its .bin: ", param_path) : ret;
}

int resr_model_read_ncnn(ResrModel **out, const ResrBytes *file, const char *path)
{
    ResrNetSpec spec;
    ResrBytes bin = {0};
    ResrSha256 sha;
    char *text = NULL;
    *out = NULL;
    if (file->bytes > MAX_PARAM_BYTES)
        return resr_fail(RESR_ERR_DATA, "the .param has %zu bytes; at most %d are read",
                         file->bytes, MAX_PARAM_BYTES);
    int ret = resr_alloc(&text, file->bytes + 1, 1);
    if (ret < 0)
        return ret;
    memcpy(text, file->data, file->bytes);
    ret = resr_ncnn_read_graph(&spec, text);
    if (ret == 0)
        ret = read_bin(&bin, path);
    if (ret == 0)
        ret = read_weights(out, &spec, &bin);
    if (ret == 0) {
        resr_sha256_start(&sha);
        resr_sha256_update(&sha, bin.data, bin.bytes);
        resr_sha256_finish(&sha, (*out)->sha256);
    } else {
        resr_model_free(*out);
        *out = NULL;
    }
    free(bin.data);
    free(text);
    return ret;
}
