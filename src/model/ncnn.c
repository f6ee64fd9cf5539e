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
    ResrNcnnGraph *graph = NULL;
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
    ret = resr_ncnn_read_graph(&graph, text);
    if (ret == 0)
        ret = read_bin(&bin, path);
    if (ret == 0)
        ret = resr_ncnn_find_weights(graph, &bin);
    if (ret == 0)
        ret = resr_ncnn_build(out, graph);
    if (ret == 0) {
        resr_sha256_start(&sha);
        resr_sha256_update(&sha, bin.data, bin.bytes);
        resr_sha256_finish(&sha, (*out)->sha256);
    }
    resr_ncnn_free_graph(graph);
    free(bin.data);
    free(text);
    return ret;
}
