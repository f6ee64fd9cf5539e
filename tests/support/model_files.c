#include "model_files.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random_model.h"
#include "test_main.h"

static void require(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "test files: %s\n", what);
        abort();
    }
}

void test_add(TestBuffer *buffer, const void *data, size_t bytes)
{
    if (buffer->bytes + bytes > buffer->capacity) {
        buffer->capacity = 2 * (buffer->bytes + bytes);
        buffer->data = realloc(buffer->data, buffer->capacity);
        require(buffer->data, "out of memory");
    }
    if (bytes > 0)
        memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
}

void test_add_text(TestBuffer *buffer, const char *text)
{
    test_add(buffer, text, strlen(text));
}

void test_add_number(TestBuffer *buffer, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++, value >>= 8) {
        uint8_t byte = (uint8_t)value;
        test_add(buffer, &byte, 1);
    }
}

void test_add_copies(TestBuffer *buffer, const char *pickled, size_t bytes)
{
    test_add_text(buffer, "\x80\x02}(");
    for (int i = 0; i < 8; i++) {
        test_add(buffer, "X\1\0\0\0", 5);
        test_add_number(buffer, (uint64_t)('a' + i), 1);
        test_add(buffer, pickled, bytes);
    }
    test_add_text(buffer, "u.");
}

void test_replace(TestBuffer *buffer, const char *old, const char *replacement, int skip)
{
    TestBuffer changed = {0};
    const uint8_t *at = buffer->data;
    for (int i = 0; i <= skip; i++, at++) {
        at = memmem(at, buffer->bytes - (size_t)(at - buffer->data), old, strlen(old));
        require(at, old);
        if (i == skip)
            break;
    }
    size_t before = (size_t)(at - buffer->data), behind = before + strlen(old);
    test_add(&changed, buffer->data, before);
    test_add_text(&changed, replacement);
    test_add(&changed, buffer->data + behind, buffer->bytes - behind);
    free(buffer->data);
    *buffer = changed;
}

void test_write(char *path, const char *folder, const char *name, const TestBuffer *buffer)
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    require(file && fwrite(buffer->data, 1, buffer->bytes, file) == buffer->bytes, path);
    require(fclose(file) == 0, path);
}

void test_folder(char *path)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, PATH_MAX, "%s/resr-unit.XXXXXX", base && base[0] ? base : "/tmp");
    require(mkdtemp(path), path);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

void test_remove_folder(const char *path)
{
    require(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, path);
}

ResrModel *test_random_model(const ResrNetSpec *spec, uint64_t seed)
{
    ResrModel *model;
    assert_int_equal(resr_random_model(&model, spec, seed, 1.0), 0);
    return model;
}

int test_read(ResrModel **out, TestReader read, const TestBuffer *file)
{
    ResrBytes bytes = {malloc(file->bytes ? file->bytes : 1), file->bytes};
    require(bytes.data, "out of memory");
    if (file->bytes > 0)
        memcpy(bytes.data, file->data, file->bytes);
    *out = NULL;
    int ret = read(out, &bytes);
    free(bytes.data);
    return ret;
}

void test_accepted(TestReader read, const TestBuffer *file)
{
    ResrModel *model;
    assert_int_equal(test_read(&model, read, file), 0);
    resr_model_free(model);
}

void test_refused(int ret, const char *words)
{
    if (ret != RESR_ERR_DATA || !strstr(resr_error_text(), words))
        fail_msg("returned %d and '%s', expected '%s'", ret, resr_error_text(), words);
}

void test_refuse(TestReader read, const TestBuffer *file, const char *words)
{
    ResrModel *model;
    test_refused(test_read(&model, read, file), words);
    assert_null(model);
}

void test_every_change(TestReader read, TestBuffer *file, const char *masks,
                       const ResrModel *expected)
{
    for (size_t i = 0; i < file->bytes; i++)
        for (const char *mask = masks; *mask; mask++) {
            ResrModel *model;
            file->data[i] ^= (uint8_t)*mask;
            int ret = test_read(&model, read, file);
            assert_true(ret == 0 || ret == RESR_ERR_DATA);
            if (ret == 0 && expected)
                assert_memory_equal(model->arena, expected->arena, expected->arena_floats * 4);
            resr_model_free(model);
            file->data[i] ^= (uint8_t)*mask;
        }
}

void test_every_cut(TestReader read, const TestBuffer *file, size_t least, size_t most)
{
    for (size_t bytes = least; bytes <= most; bytes++) {
        ResrModel *model;
        TestBuffer cut = {file->data, bytes, 0};
        assert_int_equal(test_read(&model, read, &cut), RESR_ERR_DATA);
    }
}

int test_tensors(TestTensor *tensors, int max, const ResrModel *model)
{
    int n = 0;
    for (int i = 0; i < model->n_convs; i++) {
        const ResrConv *conv = &model->convs[i];
        require(n + 3 <= max, "too many tensors");
        TestTensor *weight = &tensors[n++], *bias = &tensors[n++];
        *weight = (TestTensor){.rank = 4,
                               .shape = {conv->cout, conv->cin, 3, 3},
                               .values = conv->weight,
                               .count = (size_t)conv->cout * (size_t)conv->cin * 9};
        snprintf(weight->name, sizeof weight->name, "%s.weight", conv->name);
        *bias = (TestTensor){
            .rank = 1, .shape = {conv->cout}, .values = conv->bias, .count = (size_t)conv->cout};
        snprintf(bias->name, sizeof bias->name, "%s.bias", conv->name);
        if (conv->slope) {
            tensors[n] = *bias;
            tensors[n].values = conv->slope;
            snprintf(tensors[n++].name, sizeof bias->name, "body.%d.weight", 2 * i + 1);
        }
    }
    return n;
}

TestBuffer test_safetensors_raw(const char *header, const void *data, size_t bytes)
{
    TestBuffer file = {0};
    test_add_number(&file, strlen(header), 8);
    test_add_text(&file, header);
    test_add(&file, data, bytes);
    return file;
}

TestBuffer test_safetensors(const ResrModel *model)
{
    static TestTensor tensors[TEST_MAX_TENSORS];
    TestBuffer header = {0}, data = {0};
    char text[512];
    int n = test_tensors(tensors, TEST_MAX_TENSORS, model);
    test_add_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, ",\"%.63s\":{\"dtype\":\"F32\",\"shape\":[%d", tensors[i].name,
                 tensors[i].shape[0]);
        test_add_text(&header, text);
        for (int k = 1; k < tensors[i].rank; k++) {
            snprintf(text, sizeof text, ",%d", tensors[i].shape[k]);
            test_add_text(&header, text);
        }
        snprintf(text, sizeof text, "],\"data_offsets\":[%zu,%zu]}", data.bytes,
                 data.bytes + 4 * tensors[i].count);
        test_add_text(&header, text);
        test_add(&data, tensors[i].values, 4 * tensors[i].count);
    }
    test_add(&header, "}", 2);
    TestBuffer file = test_safetensors_raw((char *)header.data, data.data, data.bytes);
    free(header.data);
    free(data.data);
    return file;
}

/* A text with its counts of layers and blobs kept: every line adds a layer and its outputs. */
typedef struct ParamText {
    TestBuffer lines;
    int layers, blobs;
} ParamText;

static void __attribute__((format(printf, 3, 4)))
add_layer(ParamText *text, int outputs, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    test_add_text(&text->lines, line);
    test_add_text(&text->lines, "\n");
    text->layers++;
    text->blobs += outputs;
}

static void add_conv(ParamText *text, const ResrConv *conv, const char *in, const char *out,
                     const char *activation)
{
    add_layer(text, 1, "Convolution %s 1 1 %s %s 0=%d 1=3 4=1 5=1 6=%d%s", conv->name, in, out,
              conv->cout, conv->cout * conv->cin * 9, activation);
}

static void add_srvgg(ParamText *text, const ResrModel *model)
{
    char in[32] = "d0", out[32];
    add_layer(text, 2, "Split split 1 2 data d0 d1");
    for (int i = 0; i < model->n_convs; i++) {
        snprintf(out, sizeof out, "c%d", i);
        add_conv(text, &model->convs[i], in, out, "");
        snprintf(in, sizeof in, "p%d", i);
        if (model->convs[i].slope)
            add_layer(text, 1, "PReLU prelu%d 1 1 %s %s 0=%d", i, out, in, model->convs[i].cout);
    }
    int scale = model->spec.scale;
    add_layer(text, 1, "PixelShuffle shuffle 1 1 %s s 0=%d", out, scale);
    add_layer(text, 1, "Interp nearest 1 1 d1 n 0=1 1=%d.0 2=%d.0", scale, scale);
    add_layer(text, 1, "BinaryOp add 2 1 s n output");
}

static void add_rrdb(ParamText *text, const ResrModel *model)
{
    static const char leaky[] = " 9=2 -23310=1,2.000000e-01";
    const ResrConv *conv = model->convs;
    char in[128] = "first", out[64], x[64] = "first", start[64], maps[256];
    add_conv(text, conv++, "data", "first", "");
    for (int block = 0; block < model->spec.num_blocks; block++) {
        memcpy(start, x, sizeof start);
        for (int dense = 0; dense < 3; dense++) {
            snprintf(maps, sizeof maps, "%s", x);
            memcpy(in, x, sizeof x);
            for (int i = 1; i < 5; i++) {
                snprintf(out, sizeof out, "b%d_%d_%d", block, dense, i);
                add_conv(text, conv++, in, out, leaky);
                snprintf(maps + strlen(maps), sizeof maps - strlen(maps), " %s", out);
                snprintf(in, sizeof in, "%s_in", out);
                add_layer(text, 1, "Concat cat_%s %d 1 %s %s", out, i + 1, maps, in);
            }
            snprintf(out, sizeof out, "b%d_%d_5", block, dense);
            add_conv(text, conv++, in, out, "");
            add_layer(text, 1, "Eltwise add_%s 2 1 %s %s %s_x 0=1 -23301=2,0.2,1.0", out, out, x,
                      out);
            snprintf(x, sizeof x, "b%d_%d_5_x", block, dense);
        }
        add_layer(text, 1, "BinaryOp mul%d 1 1 %s m%d 0=2 1=1 2=0.2", block, x, block);
        add_layer(text, 1, "BinaryOp sum%d 2 1 m%d %s x%d", block, block, start, block);
        snprintf(x, sizeof x, "x%d", block);
    }
    add_conv(text, conv++, x, "body", "");
    add_layer(text, 1, "BinaryOp feat 2 1 first body feat");
    add_layer(text, 1, "Interp up1 1 1 feat n1 0=1 1=2.0 2=2.0");
    add_conv(text, conv++, "n1", "u1", leaky);
    add_layer(text, 1, "Interp up2 1 1 u1 n2 0=1 1=2.0 2=2.0");
    add_conv(text, conv++, "n2", "u2", "");
    add_layer(text, 1, "ReLU relu 1 1 u2 r2 0=0.2");
    add_conv(text, conv++, "r2", "hr", leaky);
    add_conv(text, conv, "hr", "output", "");
}

TestBuffer test_ncnn_param(const ResrModel *model)
{
    ParamText text = {0};
    TestBuffer file = {0};
    char counts[64];
    add_layer(&text, 1, "Input input 0 1 data");
    if (model->spec.arch == RESR_ARCH_SRVGG)
        add_srvgg(&text, model);
    else
        add_rrdb(&text, model);
    snprintf(counts, sizeof counts, "7767517\n%d %d\n", text.layers, text.blobs);
    test_add_text(&file, counts);
    test_add(&file, text.lines.data, text.lines.bytes);
    free(text.lines.data);
    return file;
}

TestBuffer test_ncnn_bin(const ResrModel *model)
{
    TestBuffer file = {0};
    for (int i = 0; i < model->n_convs; i++) {
        const ResrConv *conv = &model->convs[i];
        size_t outputs = (size_t)conv->cout;
        test_add_number(&file, 0, 4); /* fp32 */
        test_add(&file, conv->weight, outputs * (size_t)conv->cin * 9 * 4);
        test_add(&file, conv->bias, outputs * 4);
        if (conv->slope)
            test_add(&file, conv->slope, outputs * 4);
    }
    return file;
}
