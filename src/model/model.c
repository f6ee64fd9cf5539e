#include "model/model.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/sha256.h"
#include "model/readers.h"

/* A weight file is read whole; the largest published one is 67 MB. */
#define MAX_FILE_BYTES ((off_t)1 << 30)

typedef struct Shape {
    int cout, cin;
    bool slope;
} Shape;

/* Name and shape of the i-th convolution: the order that model.h promises. */
static Shape describe_conv(char name[48], const ResrNetSpec *spec, int i)
{
    static const char *const tail[] = {"conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"};
    int nf = spec->nf, gc = spec->gc, body = 15 * spec->num_blocks;
    if (spec->arch == RESR_ARCH_SRVGG) {
        bool last = i == spec->num_blocks + 1;
        snprintf(name, 48, "body.%d", 2 * i);
        return (Shape){last ? 3 * spec->scale * spec->scale : nf, i == 0 ? 3 : nf, !last};
    }
    if (i == 0) {
        snprintf(name, 48, "conv_first");
        return (Shape){nf, 3 * spec->unshuffle * spec->unshuffle, false};
    }
    if (i > body) {
        int t = i - body - 1;
        snprintf(name, 48, "%s", tail[t]);
        return (Shape){t == 4 ? 3 : nf, nf, false};
    }
    int conv = (i - 1) % 5;
    snprintf(name, 48, "body.%d.rdb%d.conv%d", (i - 1) / 15, (i - 1) / 5 % 3 + 1, conv + 1);
    return (Shape){conv < 4 ? gc : nf, nf + conv * gc, false};
}

int resr_model_create(ResrModel **out, const ResrNetSpec *spec)
{
    char name[48];
    size_t floats = 0;
    ResrModel *model = NULL;
    *out = NULL;
    int ret = resr_spec_check(spec);
    if (ret == 0)
        ret = resr_alloc(&model, 1, sizeof *model);
    if (ret < 0)
        return ret;
    model->spec = *spec;
    model->n_convs = resr_spec_convs(spec);
    for (int i = 0; i < model->n_convs; i++) {
        Shape shape = describe_conv(name, spec, i);
        size_t outputs = (size_t)shape.cout;
        floats += outputs * (size_t)shape.cin * 9 + outputs + (shape.slope ? outputs : 0);
    }
    model->arena_floats = floats;
    ret = resr_alloc(&model->convs, (size_t)model->n_convs, sizeof *model->convs);
    if (ret == 0)
        ret = resr_alloc(&model->arena, floats, sizeof(float));
    if (ret < 0) {
        resr_model_free(model);
        return ret;
    }
    float *next = model->arena;
    for (int i = 0; i < model->n_convs; i++) {
        ResrConv *conv = &model->convs[i];
        Shape shape = describe_conv(conv->name, spec, i);
        conv->cout = shape.cout;
        conv->cin = shape.cin;
        conv->weight = next;
        conv->bias = next + (size_t)shape.cout * (size_t)shape.cin * 9;
        next = conv->bias + shape.cout;
        conv->slope = shape.slope ? next : NULL;
        next += shape.slope ? shape.cout : 0;
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

static int read_file(ResrBytes *out, const char *path)
{
    struct stat status;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_NOINPUT, "%s: %s", path,
                         strerror(errno));
    int ret = 0;
    if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode))
        ret = resr_fail(RESR_ERR_DATA, "%s: is no regular file", path);
    else if (status.st_size < 16 || status.st_size > MAX_FILE_BYTES)
        ret = resr_fail(RESR_ERR_DATA, "%s: %lld bytes are no weight file", path,
                        (long long)status.st_size);
    else
        ret = resr_alloc_uninitialised(&out->data, 1, (size_t)status.st_size);
    if (ret == 0) {
        out->bytes = (size_t)status.st_size;
        if (fread(out->data, 1, out->bytes, file) != out->bytes)
            ret = resr_fail(RESR_ERR_IO, "%s: cannot be read to its end", path);
    }
    fclose(file);
    return ret;
}

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

/* Reads by content; a .bin of ncnn says nothing by itself, so its name leads to its .param. */
static int load(ResrModel **out, const char *path)
{
    ResrBytes file = {0};
    char param[sizeof(*out)->path];
    if (ends_with(path, ".bin")) {
        snprintf(param, sizeof param, "%.*s.param", (int)strlen(path) - 4, path);
        path = param;
    }
    int ret = read_file(&file, path);
    if (ret < 0)
        return ret;
    if (memcmp(file.data, "PK\3\4", 4) == 0)
        ret = resr_model_read_pth(out, &file);
    else if (memcmp(file.data, "7767517", 7) == 0)
        ret = resr_model_read_ncnn(out, &file, path);
    else if (file.data[8] == '{')
        ret = resr_model_read_safetensors(out, &file);
    else if (file.data[0] == 0x80)
        ret = resr_fail(RESR_ERR_DATA,
                        "is a PyTorch file of the old kind; load and save it once with "
                        "PyTorch 1.6 or later");
    else
        ret = resr_fail(RESR_ERR_DATA,
                        "is no weight file: expected PyTorch .pth, .safetensors or ncnn "
                        ".param with its .bin");
    free(file.data);
    return ret;
}

int resr_model_load(ResrModel **out, const char *path)
{
    *out = NULL;
    if (strlen(path) >= sizeof(*out)->path)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", path);
    int ret = load(out, path);
    if (ret < 0)
        return ret == RESR_ERR_NOINPUT || ret == RESR_ERR_PERM || ret == RESR_ERR_IO
                   ? ret
                   : resr_fail_prefix(ret, "%s: ", path);
    const char *name = strrchr(path, '/');
    snprintf((*out)->name, sizeof(*out)->name, "%.63s", name ? name + 1 : path);
    snprintf((*out)->path, sizeof(*out)->path, "%s", path);
    ret = resr_sha256_file((*out)->sha256, path);
    if (ret < 0) {
        resr_model_free(*out);
        *out = NULL;
    }
    return ret;
}
