/* Streams of PyTorch's old format that break one rule each: refused with the words that say which,
 * and with no more memory than the file's size explains. */

#include <stdlib.h>
#include <string.h>

#include "counted_memory.h"
#include "model_files.h"
#include "test_main.h"

static const ResrNetSpec spec = {RESR_ARCH_SRVGG, 1, 1, 0, 2, 0, 3, 0, 1};

static TestBuffer make_file(TestLegacyParts *at)
{
    ResrModel *model = test_random_model(&spec, 5);
    TestBuffer file = test_legacy(model, &(TestLayout){.wrap = "params", .extras = true}, at);
    resr_model_free(model);
    return file;
}

/* Three machines of fixed size, then 256 bytes for a byte of the file: a value of a pickle with its
 * first items. */
static void refuse(const TestBuffer *file, const char *words)
{
    counted_bytes = 0;
    test_refuse(resr_model_read_legacy, file, words);
    assert_in_range(counted_bytes, 0, (1 << 20) + 256 * file->bytes);
}

/* Bytes written over the file, from the start of a part. */
static void test_overwritten(void **state)
{
    (void)state;
    enum { START, SYSTEM, PICKLE, KEYS, STORAGES };
#define HUGE "\xff\xff\xff\xff\xff\xff\xff\x7f"
    static const struct {
        int part, offset;
        const char *bytes;
        size_t count;
        const char *words;
    } cases[] = {
        {START, 14, "X", 1, "not of protocol 1001"},
        {START, 18, "\xea", 1, "not of protocol 1001"},
        {START, 20, "}", 1, "not of protocol 1001"},
        {SYSTEM, 1, "\x03", 1, "only protocol 2"},
        {SYSTEM, 2, "]", 1, "something that is not a dictionary"},
        {SYSTEM, 46, "\x89", 1, "not little-endian"},
        {SYSTEM, 46, "N", 1, "not little-endian"},
        {SYSTEM, 33, "L", 1, "not little-endian"},
        {PICKLE, 0, "}", 1, "a pickle begins with the number of its protocol"},
        {PICKLE, 1, "\x04", 1, "only protocol 2"},
        {PICKLE, 2, "]", 1, "not a dictionary"},
        {PICKLE, 2, "cos\nsystem\n", 11, "the global 'os system' is not allowed"},
        {PICKLE, 2, "(ios\nsystem\n", 12, "is not allowed: state dicts do not use it"},
        {PICKLE, 2, "}.", 2, "a pickle begins"},
        {KEYS, 0, "N", 1, "a pickle begins with the number of its protocol"},
        {KEYS, 2, "}", 1, "appends to something that is not a list"},
        {KEYS, 2, "].", 2, "the list names 0 storages, and the state dict 7"},
        {KEYS, 4, "\x8a\4\1\0\0\0", 6, "storage 0 of the list is not one of the state dict"},
        {KEYS, 9, "9", 1, "storage 0 of the list is not one of the state dict"},
        {KEYS, 15, "6", 1, "storage 1 of the list occurs twice"},
        {STORAGES, 0, "\2", 1, "storage 0 of the list has 2 elements, and 1 in the state dict"},
        {STORAGES, 0, HUGE, 8, "and 1 in the state dict"},
        {STORAGES, 7, "\x80", 1, "and 1 in the state dict"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestLegacyParts at;
        TestBuffer file = make_file(&at);
        const size_t parts[] = {0, at.system, at.pickle, at.keys, at.storages};
        size_t from = parts[cases[i].part] + (size_t)cases[i].offset;
        memcpy(file.data + from, cases[i].bytes, cases[i].count);
        refuse(&file, cases[i].words);
        free(file.data);
    }
}

/* Numbers that text replaces in the state dict's pickle. */
static void test_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *old, *replacement;
        const char *words;
    } cases[] = {
        {"NtQ", "KtQ", "a persistent id is not a storage"},
        {"NtQ", ")tQ", "a storage is a view of another"},
        {"FloatStorage", "FloatStorag2", "'torch FloatStorag2' is not allowed"},
        {"FloatStorage", "DoubleStorage", "more than the file; it is cut"},
        {"FloatStorage", "HalfStorage", "bytes follow the last storage"},
        {"_rebuild_tensor_v2", "_rebuild_tensor_v3", "is not allowed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestBuffer file = make_file(NULL);
        test_replace(&file, cases[i].old, cases[i].replacement, 0);
        refuse(&file, cases[i].words);
        free(file.data);
    }
}

/* A file up to its pickle. */
static TestBuffer start_file(void)
{
    TestLegacyParts at;
    TestBuffer good = make_file(&at), file = {0};
    test_add(&file, good.data, at.pickle);
    free(good.data);
    return file;
}

/* Streams of two short pickles behind a good start. */
static void refuse_stream(const char *pickle, size_t bytes, const char *keys, const char *data,
                          size_t data_bytes, const char *words)
{
    TestBuffer file = start_file();
    test_add(&file, pickle, bytes);
    test_add_text(&file, keys);
    test_add(&file, data, data_bytes);
    refuse(&file, words);
    free(file.data);
}

#define STORAGE(type, key, numel)                                                                  \
    "(X\7\0\0\0storagectorch\n" type "Storage\nX\1\0\0\0" key "X\3\0\0\0cpu" numel "NtQ"
#define TENSOR(type, numel, sizes, strides)                                                        \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(type, "a", numel) "K\0" sizes strides "\x89)tR"
#define W "X\1\0\0\0w"
#define STREAM(pickle, keys, data, words)                                                          \
    refuse_stream("\x80\x02" pickle ".", sizeof("\x80\x02" pickle ".") - 1, "\x80\x02" keys ".",   \
                  data, sizeof(data) - 1, words)
#define KEY "](X\1\0\0\0ae"

static void test_streams(void **state)
{
    (void)state;
    /* the text of the keys ends at its first 0, so these lists have none */
    STREAM("}", "]", "", "has no tensors");
    STREAM("}", "]", "x", "1 bytes follow the last storage");
    STREAM("}", "]N", "", "the result is not a list");
    STREAM("}", "}", "", "the result is not a list");
    STREAM("]", "]", "", "the result is not a dictionary");
    STREAM("}K\1" STORAGE("Float", "a", "K\1") "s", "]", "", "0 storages, and the state dict 1");
    STREAM("}K\1" STORAGE("Float", "a", "K\1") "sK\2" STORAGE("Half", "a", "K\1") "s", "]", "",
           "two types or sizes");
    STREAM("}K\1" STORAGE("Float", "a", "K\1") "sK\2" STORAGE("Float", "a", "K\2") "s", "]", "",
           "two types or sizes");
    STREAM("}K\1" STORAGE("Float", "a", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\xff") "s", "]", "",
           "a storage is not of");
}

/* Lists of keys with a 0 in their text. */
static void add_list(TestBuffer *file, int n)
{
    test_add_text(file, "\x80\x02](");
    for (int i = 0; i < n; i++) {
        test_add(file, "X\1\0\0\0", 5);
        test_add_text(file, "a");
    }
    test_add_text(file, "e.");
}

static void test_data(void **state)
{
    (void)state;
#define PICKLE(type, numel, sizes, strides)                                                        \
    {                                                                                              \
        "\x80\x02}" W TENSOR(type, numel, sizes, strides) "s.",                                    \
            sizeof("\x80\x02}" W TENSOR(type, numel, sizes, strides) "s.") - 1                     \
    }
    static const struct {
        struct {
            const char *text;
            size_t bytes;
        } pickle;
        int keys;
        uint64_t count;
        size_t data;
        const char *words;
    } cases[] = {
        {PICKLE("Float", "K\4", "K\4\x85", "K\1\x85"), 1, 4, 16, "but for example w"},
        {PICKLE("Float", "K\4", "K\4\x85", "K\1\x85"), 1, 4, 15, "more than the file"},
        {PICKLE("Float", "K\4", "K\4\x85", "K\1\x85"), 1, 4, 17, "1 bytes follow"},
        {PICKLE("Float", "K\4", "K\5\x85", "K\1\x85"), 1, 4, 16, "beyond its storage"},
        {PICKLE("Float", "K\4", "K\2\x85", "K\2\x85"), 1, 4, 16, "overlap or leave gaps"},
        {PICKLE("Double", "K\4", "K\4\x85", "K\1\x85"), 1, 4, 16, "more than the file"},
        {PICKLE("Long", "K\2", "K\2\x85", "K\1\x85"), 1, 2, 16, "neither conv_first.weight"},
        {PICKLE("Float", "\x8a\x08" HUGE, "K\4\x85", "K\1\x85"), 1, INT64_MAX, 16,
         "more than the file"},
        {PICKLE("Float", "\x8a\x08\4\0\0\0\0\0\0\x40", "K\4\x85", "K\1\x85"), 1, 1ull << 62 | 4, 16,
         "more than the file"},
        {PICKLE("Double", "\x8a\x05\0\0\0\x40\0", "\x8a\x05\0\0\0\x40\0\x85", "K\1\x85"), 1,
         1ull << 30, 16, "more than the file"},
        {PICKLE("Float", "K\4", "K\4\x85", "K\1\x85"), 2, 4, 16,
         "2 storages, and the state dict 1"},
        {PICKLE("Float", "K\4", "K\4\x85", "K\1\x85"), 100, 4, 16, "160 bytes without STOP"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestBuffer file = start_file();
        test_add(&file, cases[i].pickle.text, cases[i].pickle.bytes);
        add_list(&file, cases[i].keys);
        test_add_number(&file, cases[i].count, 8);
        for (size_t k = 0; k < cases[i].data; k++)
            test_add_text(&file, "?");
        refuse(&file, cases[i].words);
        free(file.data);
    }
}

/* Many tensors on one storage, each in another order: their copies would be larger than the file.
 */
static void test_shared_storage(void **state)
{
    (void)state;
    static const char tensor[] = TENSOR("Float", "M\0\x10", "K\x40K\x40\x86", "K\1K\x40\x86");
    TestBuffer file = start_file();
    test_add_copies(&file, tensor, sizeof tensor - 1);
    add_list(&file, 1);
    test_add_number(&file, 4096, 8);
    for (int i = 0; i < 4096; i++)
        test_add_number(&file, 0, 4);
    refuse(&file, "they share data");
    free(file.data);
}

/* A list of values that take as few bytes as possible. */
static void test_many_values(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int count;
        const char *words;
    } cases[] = {
        {")", 150000, "has no tensors"},
        {"K\1\x85", 90000, "has no tensors"},
        {"}", 200001, "too many values"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestBuffer file = start_file();
        test_add_text(&file, "\x80\x02}K\1]");
        for (int k = 0; k < cases[i].count; k++) {
            test_add_text(&file, k % 4000 == 0 ? "(" : "");
            test_add_text(&file, cases[i].value);
            test_add_text(&file, k % 4000 == 3999 || k == cases[i].count - 1 ? "e" : "");
        }
        test_add_text(&file, "s.\x80\x02].");
        refuse(&file, cases[i].words);
        free(file.data);
    }
}

static void test_every_byte(void **state)
{
    (void)state;
    TestBuffer file = make_file(NULL);
    test_accepted(resr_model_read_legacy, &file);
    test_every_change(resr_model_read_legacy, &file, "\x01\x80\xff", NULL);
    test_every_cut(resr_model_read_legacy, &file, 0, file.bytes - 1);
    free(file.data);
}

TEST_MAIN(test_overwritten, test_replaced, test_streams, test_data, test_shared_storage,
          test_many_values, test_every_byte)
