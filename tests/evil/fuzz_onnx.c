/* Mutated ONNX files: fuzz_onnx SECONDS [SEED] plays mutations of its own on small networks of each
 * kind; built with -DRESR_LIBFUZZER (clang, -fsanitize=fuzzer) the same target is libFuzzer's. A
 * file is accepted or refused with RESR_ERR_DATA; everything else is the sanitizers' to find. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "onnx_files.h"
#include "random_model.h"

enum { MAX_BYTES = 1 << 16, MAX_CHANGES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static long accepted;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    ResrModel *model = NULL;
    uint8_t *copy = malloc(bytes ? bytes : 1); /* of the exact size, for AddressSanitizer */
    if (!copy)
        abort();
    memcpy(copy, data, bytes);
    ResrBytes file = {copy, bytes};
    int ret = resr_model_read_onnx(&model, &file);
    if (ret != 0 && ret != RESR_ERR_DATA) {
        printf("returned %d: %s\n", ret, resr_error_text());
        abort();
    }
    accepted += ret == 0;
    resr_model_free(model);
    free(copy);
    return 0;
}

#ifndef RESR_LIBFUZZER
#include "../support/fuzz_random.h"

static size_t below(size_t n)
{
    return (size_t)(random_number() % n);
}

/* Bytes changed to random or extreme values, pieces removed, doubled or moved. */
static size_t mutate(uint8_t *data, size_t bytes)
{
    static const uint8_t extremes[] = {0, 1, 2, 7, 8, 0x7f, 0x80, 0xfe, 0xff};
    size_t changes = 1 + below(MAX_CHANGES);
    for (size_t i = 0; i < changes && bytes > 16; i++) {
        size_t at = below(bytes), length = 1 + below(below(8) ? 16 : 256), to = below(bytes);
        if (at + length > bytes)
            length = bytes - at;
        switch (below(8)) {
        case 0:
        case 1:
            data[at] ^= (uint8_t)(1 << below(8));
            break;
        case 2:
            data[at] = extremes[below(sizeof extremes)];
            break;
        case 3:
            data[at] = (uint8_t)random_number();
            break;
        case 4:
            memmove(data + at, data + at + length, bytes - at - length);
            bytes -= length;
            break;
        case 5:
            if (bytes + length <= MAX_BYTES) {
                memmove(data + at + length, data + at, bytes - at);
                bytes += length;
            }
            break;
        case 6:
            if (to + length <= bytes)
                memmove(data + to, data + at, length);
            break;
        default:
            bytes -= below(100) ? 0 : bytes - at;
        }
    }
    return bytes;
}

static const ResrNetSpec specs[] = {
    {RESR_ARCH_SRVGG, 2, 1, 1, 2, 0, 3, 0, 1}, {RESR_ARCH_RRDB, 2, 2, 1, 2, 1, 3, 0, 1},
    {RESR_ARCH_RRDB, 1, 1, 1, 1, 1, 1, 0, 1},  {RESR_ARCH_SPAN, 2, 1, 1, 2, 0, 3, 1, 1},
    {RESR_ARCH_SRVGG, 1, 1, 0, 1, 0, 1, 0, 1}, {RESR_ARCH_SRVGG, 4, 1, 2, 3, 0, 4, 0, 1}};

enum { SPECS = sizeof specs / sizeof *specs };

int main(int argc, char **argv)
{
    static uint8_t data[MAX_BYTES];
    double seconds = argc > 1 ? atof(argv[1]) : 10;
    TestBuffer files[SPECS];
    long runs = 0;
    int64_t start_ns = resr_clock_ns();
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    random_state = random_state * 0x9e3779b97f4a7c15U + 1;
    for (int i = 0; i < SPECS; i++) {
        ResrModel *model;
        if (resr_random_model(&model, &specs[i], 5, 1.0) < 0)
            abort();
        files[i] = test_onnx(model);
        resr_model_free(model);
        if (files[i].bytes > MAX_BYTES)
            abort();
        LLVMFuzzerTestOneInput(files[i].data, files[i].bytes);
        if (accepted != i + 1) {
            printf("file %d is refused: %s\n", i, resr_error_text());
            return 1;
        }
    }
    while (resr_clock_seconds_since(start_ns) < seconds) {
        const TestBuffer *file = &files[below(SPECS)];
        memcpy(data, file->data, file->bytes);
        LLVMFuzzerTestOneInput(data, mutate(data, file->bytes));
        runs++;
    }
    printf("%ld mutated files in %.0f s, %ld accepted\n", runs, seconds, accepted - SPECS);
    for (int i = 0; i < SPECS; i++)
        free(files[i].data);
    return 0;
}
#endif
