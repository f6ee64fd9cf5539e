#include "model/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "model/readers.h"

/* A weight file is read as a whole; the largest published one has 67 MB. */
#define MAX_FILE_BYTES ((off_t)1 << 30)

int resr_model_create(ResrModel **out, const ResrNetSpec *spec)
{
    ResrModel *model = NULL;
    *out = NULL;
    int ret = resr_spec_check(spec);
    if (ret == 0)
        ret = resr_alloc(&model, 1, sizeof *model);
    if (ret < 0)
        return ret;
    model->spec = *spec;
    model->n_convs = resr_spec_convs(spec);
    model->arena_floats = resr_spec_floats(spec);
    ret = resr_alloc(&model->convs, (size_t)model->n_convs, sizeof *model->convs);
    if (ret == 0)
        ret = resr_alloc(&model->arena, model->arena_floats, sizeof(float));
    if (ret < 0) {
        resr_model_free(model);
        return ret;
    }
    float *next = model->arena;
    for (int i = 0; i < model->n_convs; i++) {
        ResrConv *conv = &model->convs[i];
        ResrConvShape shape = resr_spec_conv(spec, i);
        memcpy(conv->name, shape.name, sizeof conv->name);
        conv->cout = shape.cout;
        conv->cin = shape.cin;
        conv->kernel_px = shape.kernel_px;
        conv->weight = next;
        conv->bias = next + resr_conv_weights(conv);
        next = conv->bias + shape.cout;
        conv->slope = shape.has_slope ? next : NULL;
        next += shape.has_slope ? shape.cout : 0;
    }
    *out = model;
    return 0;
}

void resr_model_free(ResrModel *model)
{
    if (!model)
        return;
    free(model->convs);
    free(model->arena);
    free(model);
}

int resr_bytes_read(ResrBytes *out, const char *path)
{
    struct stat status;
    int fd = resr_file_open_input(path);
    if (fd < 0)
        return fd;
    int ret = 0;
    if (fstat(fd, &status) != 0)
        ret = resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    else if (status.st_size < 16 || status.st_size > MAX_FILE_BYTES)
        ret = resr_fail(RESR_ERR_DATA, "%s: %lld bytes are not a weight file", path,
                        (long long)status.st_size);
    else
        ret = resr_alloc_uninitialised(&out->data, 1, (size_t)status.st_size);
    if (ret == 0) {
        out->bytes = (size_t)status.st_size;
        if (resr_file_read(fd, out->data, out->bytes, 0) != (ssize_t)out->bytes)
            ret = resr_fail(RESR_ERR_IO, "%s: cannot be read to its end", path);
    }
    close(fd);
    return ret;
}

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

/* Chooses the reader by the content; the caller has replaced a .bin of ncnn by its .param. Messages
 * about the content lack the path. */
static int read_model(ResrModel **out, const ResrBytes *file, const char *path)
{
    if (memcmp(file->data, "PK\3\4", 4) == 0)
        return resr_model_read_pth(out, file);
    if (memcmp(file->data, "7767517", 7) == 0)
        return resr_model_read_ncnn(out, file, path);
    if (file->data[8] == '{')
        return resr_model_read_safetensors(out, file);
    if (memcmp(file->data, RESR_LEGACY_MAGIC, sizeof RESR_LEGACY_MAGIC - 1) == 0)
        return resr_model_read_legacy(out, file);
    if (file->data[0] == 8 && file->data[1] > 0 && file->data[1] < 32) /* ModelProto.ir_version */
        return resr_model_read_onnx(out, file);
    if (file->data[0] == 0x80)
        return resr_fail(RESR_ERR_DATA, "a Python pickle, but not one of torch.save; save the "
                                        "network's state_dict() with torch.save");
    if (file->bytes > 262 && memcmp(file->data + 257, "ustar", 5) == 0)
        return resr_fail(RESR_ERR_DATA, "a tar archive; load and save it once with PyTorch 1.6 "
                                        "or later");
    if (file->data[0] == '<')
        return resr_fail(RESR_ERR_DATA, "a web page, not a weight file; download the file itself");
    if (memcmp(file->data, "version https://", 16) == 0)
        return resr_fail(RESR_ERR_DATA, "a pointer of Git LFS, not a weight file; download the "
                                        "file itself");
    return resr_fail(RESR_ERR_DATA, "not a weight file: expected PyTorch .pth, .safetensors, .onnx "
                                    "or ncnn .param with its .bin");
}

int resr_model_load(ResrModel **out, const char *path)
{
    ResrBytes file = {0};
    ResrSha256 sha;
    char opened[sizeof(*out)->path];
    *out = NULL;
    if (strlen(path) + sizeof ".param" > sizeof opened)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", path);
    int stem = (int)strlen(path) - (ends_with(path, ".bin") ? 4 : 0);
    snprintf(opened, sizeof opened, "%.*s%s", stem, path, path[stem] ? ".param" : "");
    int ret = resr_bytes_read(&file, opened);
    if (ret < 0)
        return ret;
    ret = read_model(out, &file, opened);
    if (ret == 0 && !(*out)->sha256[0]) {
        resr_sha256_start(&sha);
        resr_sha256_update(&sha, file.data, file.bytes);
        resr_sha256_finish(&sha, (*out)->sha256);
    }
    free(file.data);
    if (ret < 0)
        return ret == RESR_ERR_DATA ? resr_fail_prefix(ret, "%s: ", path) : ret;
    const char *slash = strrchr(path, '/');
    snprintf((*out)->name, sizeof(*out)->name, "%.63s", slash ? slash + 1 : path);
    memcpy((*out)->path, path, strlen(path) + 1);
    if ((*out)->assumes_slopes)
        resr_log_warn("%s: its activations have no tensors; LeakyReLU with slope 0.1 is assumed, "
                      "not ReLU",
                      path);
    return 0;
}
