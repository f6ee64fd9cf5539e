#ifndef RESR_TESTS_MODEL_FILES_H
#define RESR_TESTS_MODEL_FILES_H

/* Weight files made in memory. The caller makes broken files by changing the input or the result.
 * All functions abort the test on failure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/readers.h"

/* Bytes that grow; freed with free(data). */
typedef struct TestBuffer {
    uint8_t *data;
    size_t bytes, capacity;
} TestBuffer;

void test_add(TestBuffer *buffer, const void *data, size_t bytes);
void test_add_text(TestBuffer *buffer, const char *text);
void test_add_number(TestBuffer *buffer, uint64_t value, int bytes); /* little-endian */

/* Replaces the only occurrence of `old` (counted from the `skip`-th) in a buffer of text. */
void test_replace(TestBuffer *buffer, const char *old, const char *replacement, int skip);

/* Writes a file into `folder` and its path into `path` (PATH_MAX bytes). */
void test_write(char *path, const char *folder, const char *name, const TestBuffer *buffer);

/* A folder of this test's own, and its removal with everything in it. */
void test_folder(char *path);
void test_remove_folder(const char *path);

/* A tensor as files know it: one per weight, bias and slope of a model. */
typedef struct TestTensor {
    char name[64];
    int rank;
    int shape[4];
    const float *values;
    size_t count;
} TestTensor;

/* Tensors of a model in order; returns their number. */
int test_tensors(TestTensor *tensors, int max, const ResrModel *model);

TestBuffer test_safetensors(const ResrModel *model);

/* The header alone may be replaced: length, header, data. */
TestBuffer test_safetensors_raw(const char *header, const void *data, size_t bytes);

/* How a .pth has its state dict; all members 0: fp32, the tensors alone. */
typedef struct TestLayout {
    const char *wrap;   /* key of an outer dictionary that holds the state dict, or NULL */
    const char *prefix; /* of every name, or NULL */
    bool doubles;       /* fp64 */
    bool channels_last; /* weights of convolutions lie as [cout][3][3][cin] */
    bool extras;        /* a counter and None in the state dict, an optimizer beside it */
} TestLayout;

/* The pickle of an OrderedDict of the model's tensors; `legacy`: with the storages of the old
 * format. */
TestBuffer test_pickle(const ResrModel *model, const TestLayout *layout, bool legacy);

/* PyTorch's old format; `at`, if not NULL, receives the offsets of its parts. */
typedef struct TestLegacyParts {
    size_t system, pickle, keys, storages;
} TestLegacyParts;
TestBuffer test_legacy(const ResrModel *model, const TestLayout *layout, TestLegacyParts *at);

/* An entry of a zip, and how it lies. */
typedef struct TestZipEntry {
    const char *name;
    const void *data;
    size_t bytes;
    size_t local, central; /* filled in: offsets of the entry's headers */
} TestZipEntry;

typedef enum TestZipKind {
    TORCH_ZIP,    /* as torch.save: stored, aligned to 64 bytes, descriptors, zip64's end */
    PLAIN_ZIP,    /* stored; no descriptors and no zip64 */
    DEFLATED_ZIP, /* the same, deflated without making them smaller */
} TestZipKind;

TestBuffer test_zip(TestZipEntry *entries, int n, TestZipKind kind);

/* data.pkl, byteorder, version and data/I for each tensor under "archive/". */
TestBuffer test_pth(const ResrModel *model, const TestLayout *layout, TestZipKind kind);

TestBuffer test_ncnn_param(const ResrModel *model);
TestBuffer test_ncnn_bin(const ResrModel *model);

#endif
