/* Mutated weight files. The first byte chooses the reader, and the rest is the file or the part of
 * it that has no check value: a stream of PyTorch's old format behind its magic number, the pickle
 * of a zip container, a whole container, a .safetensors file.
 * fuzz_model SECONDS [SEED] plays mutations of its own; fuzz_model --seeds FOLDER writes the files
 * that they start from. Built with -DRESR_LIBFUZZER (clang, -fsanitize=fuzzer) the same target is
 * libFuzzer's, and $RESR_FUZZ_READER, a number, replaces the first byte.
 *
 * For every input: the reader returns 0 or RESR_ERR_DATA, an accepted network has finite weights,
 * and the allocations are in proportion to the input. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "counted_memory.h"
#include "model_files.h"

enum { MAX_BYTES = 1 << 14 };

typedef enum Reader { LEGACY, PICKLE, CONTAINER, SAFETENSORS, READERS } Reader;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "fuzz_model: %s\n", what);
        abort();
    }
}

/* The container that a pickle lies in, with the storages of fp32 weights. */
static TestBuffer wrap_pickle(const TestBuffer *pickle)
{
    static float values[64];
    static char names[8][32];
    TestZipEntry entries[9] = {{"archive/data.pkl", pickle->data, pickle->bytes, 0, 0}};
    /* weight, bias and slopes of the head, weight and bias of the tail, and two extras */
    static const size_t counts[8] = {2 * 3 * 9, 2, 2, 3 * 2 * 9, 3, 2, 1, 1};
    for (int i = 0; i < 8; i++) {
        snprintf(names[i], sizeof names[i], "archive/data/%d", i);
        entries[i + 1] = (TestZipEntry){names[i], values, 4 * counts[i], 0, 0};
    }
    return test_zip(entries, 9, PLAIN_ZIP);
}

static void play(Reader reader, const uint8_t *data, size_t bytes)
{
    static int (*const readers[READERS])(ResrModel * *out, const ResrBytes *file) = {
        resr_model_read_legacy, resr_model_read_pth, resr_model_read_pth,
        resr_model_read_safetensors};
    static const char magic[] = RESR_LEGACY_MAGIC "\x80\x02M\xe9\x03.";
    TestBuffer file = {0};
    ResrModel *model = NULL;
    if (reader == LEGACY)
        test_add(&file, magic, sizeof magic - 1);
    test_add(&file, data, bytes);
    if (reader == PICKLE) {
        TestBuffer pickle = file;
        file = wrap_pickle(&pickle);
        free(pickle.data);
    }
    /* in memory of exactly its size, for the sanitizer */
    ResrBytes exact = {malloc(file.bytes), file.bytes};
    check(exact.data && file.bytes >= 16, "no file");
    memcpy(exact.data, file.data, file.bytes);
    free(file.data);
    counted_bytes = 0;
    int ret = readers[reader](&model, &exact);
    check(ret == 0 ? model != NULL : ret == RESR_ERR_DATA && !model, "an unexpected result");
    check(counted_bytes <= (1 << 20) + 512 * file.bytes, "allocations beyond the file's size");
    for (size_t i = 0; model && i < model->arena_floats; i++)
        check(fabsf(model->arena[i]) <= 1e4f, "a weight that is not finite");
    resr_model_free(model);
    free(exact.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *only = getenv("RESR_FUZZ_READER");
    if (bytes < 17 || bytes > MAX_BYTES)
        return 0;
    play((Reader)((only ? atoi(only) : data[0]) % READERS), data + 1, bytes - 1);
    return 0;
}

#ifndef RESR_LIBFUZZER
enum { MAX_LAYOUTS = 4 };

static const ResrNetSpec spec = {RESR_ARCH_SRVGG, 1, 1, 0, 2, 0, 3, 0, 1};
static const TestLayout layouts[MAX_LAYOUTS] = {
    {0},
    {.wrap = "params_ema", .extras = true},
    {.wrap = "state_dict", .prefix = "module.", .channels_last = true},
    {.prefix = "generator.", .doubles = true},
};

/* The part of a good file that play() reads. */
static TestBuffer make_seed(Reader reader, const TestLayout *layout, const ResrModel *model)
{
    TestBuffer stream;
    switch (reader) {
    case LEGACY:
        stream = test_legacy(model, layout, NULL);
        memmove(stream.data, stream.data + 21, stream.bytes -= 21);
        return stream;
    case PICKLE:
        return test_pickle(model, layout, false);
    case CONTAINER:
        return test_pth(model, layout, layout->extras ? DEFLATED_ZIP : TORCH_ZIP);
    default:
        return test_safetensors(model);
    }
}

static TestBuffer seeds[READERS][MAX_LAYOUTS];

static void make_seeds(void)
{
    ResrModel *model = test_random_model(&spec, 1);
    for (Reader reader = LEGACY; reader < READERS; reader++)
        for (int i = 0; i < MAX_LAYOUTS; i++)
            seeds[reader][i] = make_seed(reader, &layouts[i], model);
    resr_model_free(model);
}

static void write_seeds(const char *folder)
{
    char name[32], path[PATH_MAX];
    for (Reader reader = LEGACY; reader < READERS; reader++)
        for (int i = 0; i < MAX_LAYOUTS; i++) {
            TestBuffer file = {0};
            test_add_number(&file, reader, 1);
            test_add(&file, seeds[reader][i].data, seeds[reader][i].bytes);
            snprintf(name, sizeof name, "reader%d-%d", (int)reader, i);
            test_write(path, folder, name, &file);
            free(file.data);
        }
}

static uint64_t random_state;

static size_t below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

/* One change at `at`. */
static size_t mutate_once(uint8_t *data, size_t bytes, size_t at)
{
    static const char opcodes[] = "}])(.RQbstuae\x85\x86\x87\x88\x89\x8aNKMJXGqrhjc\x80";
    static const int64_t numbers[] = {0, 1, -1, 255, INT32_MAX, INT64_MAX, INT64_MIN, 1LL << 32};
    size_t length = 1 + below(64), from = below(bytes);
    switch (below(7)) {
    case 0:
        data[at] ^= (uint8_t)(1 << below(8));
        return bytes;
    case 1:
        data[at] = (uint8_t)below(256);
        return bytes;
    case 2:
        data[at] = (uint8_t)opcodes[below(sizeof opcodes - 1)];
        return bytes;
    case 3:
        if (at + 8 <= bytes)
            memcpy(data + at, &numbers[below(sizeof numbers / sizeof *numbers)], 1 + below(8));
        return bytes;
    case 4: /* a piece again */
        if (from + length > bytes || bytes + length > MAX_BYTES - 2)
            return bytes;
        memmove(data + at + length, data + at, bytes - at);
        memmove(data + at, data + (from < at ? from : at + length), length);
        return bytes + length;
    case 5: /* a piece less */
        if (at + length >= bytes)
            return bytes;
        memmove(data + at, data + at + length, bytes - at - length);
        return bytes - length;
    default: /* the end less */
        return below(8) == 0 ? at + 1 : bytes;
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[2 * MAX_BYTES];
    long runs[READERS] = {0};
    int64_t start_ns = resr_clock_ns();
    make_seeds();
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
        write_seeds(argv[2]);
        return 0;
    }
    double seconds = argc > 1 ? atof(argv[1]) : 10;
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    random_state = random_state * 0x9e3779b97f4a7c15U + 1;
    while (resr_clock_seconds_since(start_ns) < seconds) {
        Reader reader = (Reader)below(READERS);
        const TestBuffer *seed = &seeds[reader][below(MAX_LAYOUTS)];
        size_t bytes = seed->bytes;
        memcpy(data, seed->data, bytes);
        for (size_t changes = below(6); changes > 0; changes--)
            bytes = mutate_once(data, bytes, below(bytes));
        if (bytes < 16)
            continue;
        play(reader, data, bytes);
        runs[reader]++;
    }
    printf("mutated files in %.0f s: %ld streams, %ld pickles, %ld containers, %ld safetensors\n",
           seconds, runs[LEGACY], runs[PICKLE], runs[CONTAINER], runs[SAFETENSORS]);
    return 0;
}
#endif
