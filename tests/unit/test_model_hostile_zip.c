/* .pth files whose container breaks one rule each, and every single changed or missing byte. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counted_memory.h"
#include "model_files.h"
#include "test_main.h"

static const ResrNetSpec spec = {RESR_ARCH_SRVGG, 1, 1, 0, 2, 0, 3, 0, 1};

static void refuse(const TestBuffer *file, const char *words)
{
    test_refuse(resr_model_read_pth, file, words);
}

static TestBuffer make_pth(TestZipKind kind)
{
    ResrModel *model = test_random_model(&spec, 5);
    TestBuffer file = test_pth(model, &(TestLayout){.wrap = "params_ema"}, kind);
    resr_model_free(model);
    return file;
}

/* Where the i-th record with this signature begins. */
static uint8_t *find(const TestBuffer *file, const char *signature, int i)
{
    uint8_t *at = file->data;
    for (;; at++) {
        at = memmem(at, file->bytes - (size_t)(at - file->data), signature, 4);
        assert_non_null(at);
        if (i-- == 0)
            return at;
    }
}

#define CENTRAL "PK\1\2"
#define LOCAL "PK\3\4"
#define DESCRIPTOR "PK\7\10"
#define END "PK\5\6"
#define END64 "PK\6\6"
#define LOCATOR "PK\6\7"

/* One field changed. */
static void test_headers(void **state)
{
    (void)state;
    static const struct {
        TestZipKind kind;
        const char *signature;
        int which, offset, bytes;
        uint64_t value;
        const char *words;
    } cases[] = {
        {TORCH_ZIP, CENTRAL, 0, 8, 2, 0x0809, "archive/data.pkl is encrypted"},
        {TORCH_ZIP, CENTRAL, 1, 8, 2, 0x0848, "archive/byteorder is encrypted"},
        {TORCH_ZIP, CENTRAL, 0, 8, 2, 0x2808, "is encrypted"},
        {TORCH_ZIP, CENTRAL, 2, 10, 2, 8, "archive/data/0 has different flags or sizes"},
        {TORCH_ZIP, CENTRAL, 2, 10, 2, 99, "is compressed"},
        {TORCH_ZIP, CENTRAL, 2, 20, 4, 1, "is stored, but has two sizes"},
        {TORCH_ZIP, CENTRAL, 2, 24, 4, 1, "is stored, but has two sizes"},
        {TORCH_ZIP, CENTRAL, 2, 20, 8, 0x7fffffff7fffffff, "reaches into the central directory"},
        {TORCH_ZIP, CENTRAL, 2, 20, 8, 0xffffffffffffffff, "reaches into the central directory"},
        {TORCH_ZIP, CENTRAL, 2, 20, 8, 0x0000000400000004, "has no data descriptor"},
        {PLAIN_ZIP, CENTRAL, 2, 20, 8, 0x0000000400000004, "different flags or sizes"},
        {TORCH_ZIP, CENTRAL, 2, 28, 2, 0, "is not of 1 to 255 bytes"},
        {TORCH_ZIP, CENTRAL, 2, 28, 2, 256, "is not of 1 to 255 bytes"},
        {TORCH_ZIP, CENTRAL, 2, 30, 2, 9999, "is not of 1 to 255 bytes"},
        {TORCH_ZIP, CENTRAL, 2, 30, 2, 1, "is damaged at offset"},
        {TORCH_ZIP, CENTRAL, 2, 34, 2, 1, "on another disk"},
        {TORCH_ZIP, CENTRAL, 2, 42, 4, 0, "has a different name"},
        {TORCH_ZIP, CENTRAL, 2, 42, 4, 1, "has no local header"},
        {TORCH_ZIP, CENTRAL, 2, 42, 4, 0xffffffff, "has no local header"},
        {TORCH_ZIP, CENTRAL, 2, 46, 1, 'A', "has a different name"},
        {TORCH_ZIP, CENTRAL, 2, 50, 1, 0, "is not of 1 to 255 bytes"},
        {TORCH_ZIP, CENTRAL, 2, 0, 1, 'Q', "is damaged at offset"},
        {TORCH_ZIP, CENTRAL, 2, 16, 4, 7, "has no data descriptor"},
        {PLAIN_ZIP, CENTRAL, 2, 16, 4, 7, "different flags or sizes"},
        {TORCH_ZIP, LOCAL, 2, 6, 2, 0, "different flags or sizes"},
        {TORCH_ZIP, LOCAL, 2, 8, 2, 8, "different flags or sizes"},
        {TORCH_ZIP, LOCAL, 2, 18, 4, 1, "different flags or sizes"},
        {PLAIN_ZIP, LOCAL, 2, 14, 4, 1, "different flags or sizes"},
        {PLAIN_ZIP, LOCAL, 2, 18, 4, 0, "different flags or sizes"},
        {PLAIN_ZIP, LOCAL, 2, 22, 4, 0, "different flags or sizes"},
        {PLAIN_ZIP, LOCAL, 2, 26, 2, 3, "has a different name"},
        {PLAIN_ZIP, LOCAL, 2, 28, 2, 65535, "has a different name"},
        {TORCH_ZIP, LOCAL, 2, 30, 1, 'A', "has a different name"},
        {TORCH_ZIP, LOCAL, 2, 0, 1, 'Q', "has no local header"},
        {TORCH_ZIP, DESCRIPTOR, 2, 0, 1, 'Q', "has no data descriptor"},
        {TORCH_ZIP, DESCRIPTOR, 2, 4, 4, 7, "has no data descriptor"},
        {TORCH_ZIP, DESCRIPTOR, 2, 8, 4, 7, "a different size in its data descriptor"},
        {TORCH_ZIP, DESCRIPTOR, 2, 12, 4, 7, "a different size in its data descriptor"},
        {PLAIN_ZIP, END, 0, 4, 2, 1, "does not end where the end records begin"},
        {PLAIN_ZIP, END, 0, 6, 2, 1, "does not end where the end records begin"},
        {PLAIN_ZIP, END, 0, 8, 2, 1, "does not end where the end records begin"},
        {PLAIN_ZIP, END, 0, 8, 4, 0, "0 entries"},
        {PLAIN_ZIP, END, 0, 8, 4, 0x00060006, "has data after its 6 entries"},
        {PLAIN_ZIP, END, 0, 8, 4, 0x00090009, "is damaged at offset"},
        {PLAIN_ZIP, END, 0, 8, 4, 0x13891389, "5001 entries"},
        {PLAIN_ZIP, END, 0, 12, 4, 7, "does not end where the end records begin"},
        {PLAIN_ZIP, END, 0, 12, 4, 0xffffffff, "does not end where the end records begin"},
        {PLAIN_ZIP, END, 0, 16, 4, 7, "does not end where the end records begin"},
        {PLAIN_ZIP, END, 0, 16, 4, 0xffffffff, "does not end where the end records begin"},
        {PLAIN_ZIP, END, 0, 20, 2, 1, "does not end with an end record"},
        {PLAIN_ZIP, END, 0, 0, 1, 'Q', "does not end with an end record"},
        {TORCH_ZIP, END, 0, 8, 4, 0x00060006, "zip64 end record disagrees"},
        {TORCH_ZIP, END, 0, 12, 4, 7, "zip64 end record disagrees"},
        {TORCH_ZIP, END64, 0, 0, 1, 'Q', "zip64 end record disagrees"},
        {TORCH_ZIP, END64, 0, 4, 8, 45, "zip64 end record disagrees"},
        {TORCH_ZIP, END64, 0, 16, 4, 1, "zip64 end record disagrees"},
        {TORCH_ZIP, END64, 0, 24, 8, 6, "zip64 end record disagrees"},
        {TORCH_ZIP, END64, 0, 32, 8, 1ull << 40, "zip64 end record disagrees"},
        {TORCH_ZIP, END64, 0, 40, 8, 1ull << 40, "zip64 end record disagrees"},
        {TORCH_ZIP, END64, 0, 48, 8, 1ull << 40, "zip64 end record disagrees"},
        {TORCH_ZIP, LOCATOR, 0, 4, 4, 1, "zip64 end record disagrees"},
        {TORCH_ZIP, LOCATOR, 0, 8, 8, 1, "zip64 end record disagrees"},
        {TORCH_ZIP, LOCATOR, 0, 16, 4, 2, "zip64 end record disagrees"},
        {TORCH_ZIP, LOCATOR, 0, 0, 1, 'Q', "does not end where the end records begin"},
        {DEFLATED_ZIP, CENTRAL, 2, 10, 2, 0, "is stored, but has two sizes"},
        {DEFLATED_ZIP, CENTRAL, 2, 10, 2, 9, "is compressed by another method"},
        {DEFLATED_ZIP, CENTRAL, 2, 20, 4, 7, "has no data descriptor"},
        {DEFLATED_ZIP, CENTRAL, 2, 24, 4, 1, "different flags or sizes"},
        {DEFLATED_ZIP, CENTRAL, 2, 20, 4, 0x7fffffff, "reaches into the central directory"},
        {DEFLATED_ZIP, LOCAL, 2, 8, 2, 0, "different flags or sizes"},
        {DEFLATED_ZIP, LOCAL, 2, 18, 4, 7, "different flags or sizes"},
        {DEFLATED_ZIP, LOCAL, 2, 22, 4, 7, "different flags or sizes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestBuffer file = make_pth(cases[i].kind);
        uint8_t *at = find(&file, cases[i].signature, cases[i].which) + cases[i].offset;
        memcpy(at, &cases[i].value, (size_t)cases[i].bytes);
        refuse(&file, cases[i].words);
        free(file.data);
    }
}

/* Archives of other entries. */
static void test_entries(void **state)
{
    (void)state;
    static const char dict[] = "\x80\x02}.";
    static const struct {
        TestZipEntry entries[3];
        int n;
        const char *words;
    } cases[] = {
        {{{"a/data.pkl", dict, 4, 0, 0}, {"b/version", "3", 1, 0, 0}},
         2,
         "not in the top folder of the others"},
        {{{"data.pkl", dict, 4, 0, 0}}, 1, "data.pkl is not in the top folder of the others"},
        {{{"/data.pkl", dict, 4, 0, 0}}, 1, "is not in the top folder of the others"},
        {{{"a/", "", 0, 0, 0}, {"a/data.pkl", dict, 4, 0, 0}}, 2, "has no tensors"},
        {{{"a/", "", 0, 0, 0}, {"b/data.pkl", dict, 4, 0, 0}},
         2,
         "is not in the top folder of the others"},
        {{{"a/data.pkl", dict, 4, 0, 0}, {"a/data.pkl", dict, 4, 0, 0}}, 2, "occurs twice"},
        {{{"a/data.pkl", dict, 4, 0, 0}, {"a/byteorder", "big", 3, 0, 0}}, 2, "is not little"},
        {{{"a/data.pkl", dict, 4, 0, 0}, {"a/version", "4\n", 2, 0, 0}}, 2, "version is not 3"},
        {{{"a/version", "3\n", 2, 0, 0}}, 1, "entry a/data.pkl is missing"},
        {{{"a/data.pkl", "", 0, 0, 0}}, 1, "without STOP"},
        {{{"a/data.pkl", dict, 4, 0, 0}}, 1, "has no tensors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (TestZipKind kind = TORCH_ZIP; kind <= DEFLATED_ZIP; kind++) {
            TestZipEntry entries[3];
            memcpy(entries, cases[i].entries, sizeof entries);
            TestBuffer file = test_zip(entries, cases[i].n, kind);
            refuse(&file, cases[i].words);
            free(file.data);
        }
}

/* An entry whose data is the local header and data of another, which the directory names as well.
 */
static void test_overlap(void **state)
{
    (void)state;
    TestZipEntry inner[1] = {{"a/data.pkl", "\x80\x02}.", 4, 0, 0}};
    TestBuffer hidden = test_zip(inner, 1, PLAIN_ZIP);
    TestZipEntry entries[2] = {{"a/outer", hidden.data, inner[0].central, 0, 0}, inner[0]};
    TestBuffer file = test_zip(entries, 2, PLAIN_ZIP);
    uint32_t offset = 30 + 7; /* the data of a/outer */
    memcpy(file.data + entries[1].central + 42, &offset, 4);
    refuse(&file, "a/data.pkl overlaps another entry");
    free(hidden.data);
    free(file.data);
}

/* A whole archive inside an entry: a reader that searches for the directory may find this one,
 * whose entry has a size that the outer one does not justify. libzip prefers it for its local
 * headers, which have all sizes. */
static void test_second_directory(void **state)
{
    (void)state;
    const uint32_t begin = 30 + 6 + 5, huge = 0x70000000; /* the data of a/blob in a block */
    TestZipEntry inner[1] = {{"a/data.pkl", "\x80\x02}.", 4, 0, 0}};
    TestBuffer hidden = test_zip(inner, 1, PLAIN_ZIP);
    uint8_t *local = find(&hidden, LOCAL, 0), *central = find(&hidden, CENTRAL, 0);
    uint32_t directory = begin + (uint32_t)inner[0].central;
    local[8] = central[10] = 8; /* deflated */
    memcpy(local + 22, &huge, 4);
    memcpy(central + 24, &huge, 4);
    memcpy(central + 42, &begin, 4);
    memcpy(find(&hidden, END, 0) + 16, &directory, 4);
    TestZipEntry entries[2] = {{"a/blob", hidden.data, hidden.bytes, 0, 0}, inner[0]};
    TestBuffer file = test_zip(entries, 2, DEFLATED_ZIP);
    counted_bytes = 0;
    refuse(&file, "zip: has a second central directory");
    assert_in_range(counted_bytes, 1, (1 << 20) + 256 * file.bytes);
    free(hidden.data);
    free(file.data);
}

/* Sizes on which the directory, local header and descriptor agree, and which the data does not
 * have. A file of a few KB is refused before a buffer of the declared size is allocated. */
static void test_declared_sizes(void **state)
{
    (void)state;
    static const struct {
        int which, entries;
        int64_t more;
        const char *words;
    } cases[] = {
        {2, 1, -1, "archive/data/0 is damaged"},
        {2, 1, 1, "archive/data/0 is damaged"},
        {0, 1, -1, "archive/data.pkl is damaged"},
        {2, 1, 100000, "at most 16 times as many"},
        {2, 1, 0x7fffffff, "at most 16 times as many"},
        {2, 1, 0xfffffe00, "at most 16 times as many"},
        {0, 3, 40000, "at most 16 times as many"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestBuffer file = make_pth(DEFLATED_ZIP);
        for (int k = 0; k < cases[i].entries; k++) {
            uint8_t *central = find(&file, CENTRAL, cases[i].which + k) + 24;
            uint8_t *local = find(&file, LOCAL, cases[i].which + k) + 22;
            uint8_t *descriptor = find(&file, DESCRIPTOR, cases[i].which + k) + 12;
            uint32_t bytes;
            memcpy(&bytes, central, 4);
            bytes = (uint32_t)((int64_t)bytes + cases[i].more);
            memcpy(central, &bytes, 4);
            memcpy(local, &bytes, 4);
            memcpy(descriptor, &bytes, 4);
        }
        counted_bytes = 0;
        refuse(&file, cases[i].words);
        assert_in_range(counted_bytes, 1, (1 << 20) + 256 * file.bytes);
        free(file.data);
    }
}

static void test_ends(void **state)
{
    (void)state;
    for (TestZipKind kind = TORCH_ZIP; kind <= DEFLATED_ZIP; kind++) {
        TestBuffer file = make_pth(kind);
        test_add_text(&file, "x");
        refuse(&file, "does not end with an end record");
        file.bytes = 97;
        refuse(&file, "97 bytes are too few");
        free(file.data);
    }
}

/* Many tensors on one storage would be a large network in a small file. */
static void test_shared_storage(void **state)
{
    (void)state;
    static const float values[4096];
    static const char tensor[] = "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage"
                                 "ctorch\nFloatStorage\nX\1\0\0\0"
                                 "0X\3\0\0\0cpuM\0\x10tQ"
                                 "K\0M\0\x10\x85K\1\x85\x89)tR";
    TestBuffer pickle = {0};
    test_add_copies(&pickle, tensor, sizeof tensor - 1);
    TestZipEntry entries[2] = {{"a/data.pkl", pickle.data, pickle.bytes, 0, 0},
                               {"a/data/0", values, sizeof values, 0, 0}};
    TestBuffer file = test_zip(entries, 2, TORCH_ZIP);
    refuse(&file, "they share data");
    free(pickle.data);
    free(file.data);
}

/* A changed byte is noticed, or (in a date, a padding) changes nothing; a cut file is refused. */
static void test_every_byte(void **state)
{
    (void)state;
    ResrModel *expected = test_random_model(&spec, 5);
    for (TestZipKind kind = TORCH_ZIP; kind <= DEFLATED_ZIP; kind++) {
        TestBuffer file = make_pth(kind);
        test_accepted(resr_model_read_pth, &file);
        test_every_change(resr_model_read_pth, &file, "\x01\x80\xff", expected);
        test_every_cut(resr_model_read_pth, &file, 0, file.bytes - 1);
        free(file.data);
    }
    resr_model_free(expected);
}

static void test_crc(void **state)
{
    (void)state;
    ResrModel *model = test_random_model(&spec, 5);
    TestBuffer file = make_pth(TORCH_ZIP);
    uint8_t *data = memmem(file.data, file.bytes, model->convs[0].weight, 32);
    assert_non_null(data);
    data[1] ^= 4;
    refuse(&file, "archive/data/0 is damaged");
    free(file.data);
    resr_model_free(model);
}

TEST_MAIN(test_headers, test_entries, test_declared_sizes, test_second_directory, test_overlap,
          test_ends, test_shared_storage, test_crc, test_every_byte)
