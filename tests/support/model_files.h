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

/* Adds a pickled dictionary with eight items of this value. */
void test_add_copies(TestBuffer *buffer, const char *pickled, size_t bytes);

/* Replaces the only occurrence of `old` (counted from the `skip`-th) in a buffer of text. */
void test_replace(TestBuffer *buffer, const char *old, const char *replacement, int skip);

/* Writes a file into `folder` and its path into `path` (PATH_MAX bytes). */
void test_write(char *path, const char *folder, const char *name, const TestBuffer *buffer);

/* A folder of this test's own, and its removal with everything in it. */
void test_folder(char *path);
void test_remove_folder(const char *path);

/* A model with random weights; the caller frees it. */
ResrModel *test_random_model(const ResrNetSpec *spec, uint64_t seed);

typedef int (*TestReader)(ResrModel **out, const ResrBytes *file);

/* Reads a copy of the buffer in memory of exactly its size, so that the sanitizer finds a read
 * beyond it. */
int test_read(ResrModel **out, TestReader read, const TestBuffer *file);

/* Fails the test unless the file is read. */
void test_accepted(TestReader read, const TestBuffer *file);

/* Fails the test unless `ret` is RESR_ERR_DATA and the message contains `words`. */
void test_refused(int ret, const char *words);

/* Fails the test unless the file is refused with these words. */
void test_refuse(TestReader read, const TestBuffer *file, const char *words);

/* Reads the file once for each byte and each character of `masks`, the byte XORed with the
 * character. Fails the test unless the file is refused or, if `expected` is given, the weights are
 * as expected. */
void test_every_change(TestReader read, TestBuffer *file, const char *masks,
                       const ResrModel *expected);

/* Fails the test unless the first N bytes of the file are refused, for N from `least` to `most`. */
void test_every_cut(TestReader read, const TestBuffer *file, size_t least, size_t most);

/* A tensor as files know it: one per weight, bias and slope of a model. */
typedef struct TestTensor {
    char name[64];
    int rank;
    int shape[4];
    const float *values;
    size_t count;
} TestTensor;

enum { TEST_MAX_TENSORS = 256 };

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
    DEFLATED_ZIP, /* deflated without making them smaller; descriptors, and no zip64 */
} TestZipKind;

TestBuffer test_zip(TestZipEntry *entries, int n, TestZipKind kind);

/* data.pkl, byteorder, version and data/I for each tensor under "archive/". */
TestBuffer test_pth(const ResrModel *model, const TestLayout *layout, TestZipKind kind);

TestBuffer test_ncnn_param(const ResrModel *model);
TestBuffer test_ncnn_bin(const ResrModel *model);

#endif
