/* PyTorch's weight files: pickles, the zip container and the old stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"

static void add_pickled_text(TestBuffer *pickle, const char *text)
{
    test_add_text(pickle, "X");
    test_add_number(pickle, strlen(text), 4);
    test_add_text(pickle, text);
}

static void add_pickled_int(TestBuffer *pickle, uint64_t value)
{
    test_add_text(pickle, "J");
    test_add_number(pickle, value, 4);
}

static void add_key(TestBuffer *pickle, int index)
{
    char key[16];
    snprintf(key, sizeof key, "%d", index);
    add_pickled_text(pickle, key);
}

/* A tensor on the whole of storage `index`. */
static void add_tensor(TestBuffer *p, int index, const char *type, int rank, const int *shape,
                       const int *order, bool legacy)
{
    int strides[4], count = 1;
    for (int k = rank - 1; k >= 0; k--) {
        strides[order[k]] = count;
        count *= shape[order[k]];
    }
    test_add_text(p, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_pickled_text(p, "storage");
    test_add_text(p, "ctorch\n");
    test_add_text(p, type);
    test_add_text(p, "Storage\n");
    add_key(p, index);
    add_pickled_text(p, "cpu");
    add_pickled_int(p, (uint64_t)count);
    test_add_text(p, legacy ? "NtQ" : "tQ"); /* None for no view; TUPLE BINPERSID */
    add_pickled_int(p, 0);
    test_add_text(p, "(");
    for (int k = 0; k < rank; k++)
        add_pickled_int(p, (uint64_t)shape[k]);
    test_add_text(p, "t(");
    for (int k = 0; k < rank; k++)
        add_pickled_int(p, (uint64_t)strides[k]);
    test_add_text(p, "t\x89"
                     "ccollections\nOrderedDict\n)RtR");
}

/* The order in which a tensor's dimensions lie, the slowest first. */
static const int *order_of(const TestTensor *tensor, const TestLayout *layout)
{
    static const int usual[] = {0, 1, 2, 3}, channels_last[] = {0, 2, 3, 1};
    return layout->channels_last && tensor->rank == 4 ? channels_last : usual;
}

TestBuffer test_pickle(const ResrModel *model, const TestLayout *layout, bool legacy)
{
    static TestTensor tensors[TEST_MAX_TENSORS];
    static const int one[] = {1}, usual[] = {0};
    const char *type = layout->doubles ? "Double" : "Float";
    TestBuffer p = {0};
    char name[128];
    int n = test_tensors(tensors, TEST_MAX_TENSORS, model);
    test_add_text(&p, "\x80\x02");
    if (layout->wrap) {
        test_add_text(&p, "}q");
        test_add_number(&p, 0, 1);
        add_pickled_text(&p, layout->wrap);
    }
    test_add_text(&p, "ccollections\nOrderedDict\n)R(");
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%s", layout->prefix ? layout->prefix : "", tensors[i].name);
        add_pickled_text(&p, name);
        add_tensor(&p, i, type, tensors[i].rank, tensors[i].shape, order_of(&tensors[i], layout),
                   legacy);
    }
    if (layout->extras) {
        add_pickled_text(&p, "num_batches_tracked");
        add_tensor(&p, n, "Long", 0, NULL, NULL, legacy);
        add_pickled_text(&p, "nothing");
        test_add_text(&p, "N");
    }
    test_add_text(&p, layout->wrap ? "us" : "u");
    if (layout->extras) {
        if (!layout->wrap) /* they lie in the dictionary around the state dict */
            abort();
        add_pickled_text(&p, "optimizer");
        test_add_text(&p, "}(");
        add_pickled_text(&p, "lr");
        test_add(&p, "G\0\0\0\0\0\0\0\0", 9);
        add_pickled_text(&p, "moments");
        test_add_text(&p, "]");
        add_tensor(&p, n + 1, "Byte", 1, one, usual, legacy);
        test_add_text(&p, "aus");
    }
    test_add_text(&p, ".");
    return p;
}

/* The elements of a tensor as its storage has them. */
static void add_values(TestBuffer *out, const TestTensor *tensor, const TestLayout *layout)
{
    int shape[4] = {1, 1, 1, 1}, index[4];
    const int *order = order_of(tensor, layout);
    for (int k = 0; k < tensor->rank; k++)
        shape[k] = tensor->shape[k];
    for (size_t i = 0; i < tensor->count; i++) {
        size_t rest = i, from = 0;
        for (int k = tensor->rank - 1; k >= 0; k--) {
            index[order[k]] = (int)(rest % (size_t)shape[order[k]]);
            rest /= (size_t)shape[order[k]];
        }
        for (int k = 0; k < tensor->rank; k++)
            from = from * (size_t)shape[k] + (size_t)index[k];
        double value = (double)tensor->values[from];
        if (layout->doubles)
            test_add(out, &value, sizeof value);
        else
            test_add(out, &tensor->values[from], sizeof *tensor->values);
    }
}

enum { MAX_STORAGES = TEST_MAX_TENSORS + 2 };

/* The storages that test_pickle() mentions; the caller frees each. */
static int storages_of(TestBuffer storages[MAX_STORAGES], uint64_t counts[MAX_STORAGES],
                       const ResrModel *model, const TestLayout *layout)
{
    static TestTensor tensors[TEST_MAX_TENSORS];
    int n = test_tensors(tensors, TEST_MAX_TENSORS, model);
    memset(storages, 0, MAX_STORAGES * sizeof *storages);
    for (int i = 0; i < n; i++) {
        add_values(&storages[i], &tensors[i], layout);
        counts[i] = tensors[i].count;
    }
    for (int bytes = 8; layout->extras && bytes > 0; bytes -= 7) {
        test_add_number(&storages[n], 7, bytes);
        counts[n++] = 1;
    }
    return n;
}

TestBuffer test_legacy(const ResrModel *model, const TestLayout *layout, TestLegacyParts *at)
{
    static TestBuffer storages[MAX_STORAGES];
    static uint64_t counts[MAX_STORAGES];
    int n = storages_of(storages, counts, model, layout);
    TestBuffer file = {0}, pickle = test_pickle(model, layout, true);
    TestLegacyParts parts;
    test_add(&file, RESR_LEGACY_MAGIC "\x80\x02M\xe9\x03.", 21);
    parts.system = file.bytes;
    test_add_text(&file, "\x80\x02}(");
    add_pickled_text(&file, "protocol_version");
    test_add_text(&file, "M\xe9\x03");
    add_pickled_text(&file, "little_endian");
    test_add_text(&file, "\x88u.");
    parts.pickle = file.bytes;
    test_add(&file, pickle.data, pickle.bytes);
    parts.keys = file.bytes;
    test_add_text(&file, "\x80\x02](");
    for (int i = n - 1; i >= 0; i--) /* any order */
        add_key(&file, i);
    test_add_text(&file, "e.");
    parts.storages = file.bytes;
    for (int i = n - 1; i >= 0; i--) {
        test_add_number(&file, counts[i], 8);
        test_add(&file, storages[i].data, storages[i].bytes);
        free(storages[i].data);
    }
    free(pickle.data);
    if (at)
        *at = parts;
    return file;
}

static uint32_t crc32_of(const uint8_t *data, size_t bytes)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

/* A deflate stream of blocks that are stored (RFC 1951, 3.2.4). */
static TestBuffer deflate_stored(const uint8_t *data, size_t bytes)
{
    TestBuffer out = {0};
    size_t done = 0;
    do {
        size_t length = bytes - done < 0xffff ? bytes - done : 0xffff;
        test_add_number(&out, done + length == bytes, 1);
        test_add_number(&out, length, 2);
        test_add_number(&out, ~length, 2);
        test_add(&out, data + done, length);
        done += length;
    } while (done < bytes);
    return out;
}

static TestBuffer packed_of(const TestZipEntry *entry, TestZipKind kind)
{
    TestBuffer stored = {0};
    if (kind == DEFLATED_ZIP)
        return deflate_stored(entry->data, entry->bytes);
    test_add(&stored, entry->data, entry->bytes);
    return stored;
}

/* The fields that local header and central directory share, from `version needed` to the extra
 * field's length. A header before a descriptor has zeros, or the size alone. */
static void add_entry_fields(TestBuffer *zip, const TestZipEntry *entry, bool local,
                             TestZipKind kind, size_t extra)
{
    TestBuffer packed = packed_of(entry, kind);
    bool known = !local || kind == PLAIN_ZIP;
    test_add_number(zip, 0, 2);                                           /* version needed */
    test_add_number(zip, (const uint64_t[]){0x0808, 0, 0x0008}[kind], 2); /* flags */
    test_add_number(zip, kind == DEFLATED_ZIP ? 8 : 0, 2);                /* method */
    test_add_number(zip, 0, 4);                                           /* time, date */
    test_add_number(zip, known ? crc32_of(entry->data, entry->bytes) : 0, 4);
    test_add_number(zip, known ? packed.bytes : 0, 4);
    test_add_number(zip, known || kind == DEFLATED_ZIP ? entry->bytes : 0, 4);
    test_add_number(zip, strlen(entry->name), 2);
    test_add_number(zip, extra, 2);
    free(packed.data);
}

static void add_local(TestBuffer *zip, TestZipEntry *entry, TestZipKind kind)
{
    static const uint8_t zeros[64];
    bool torch = kind == TORCH_ZIP;
    size_t names = strlen(entry->name);
    size_t padding = torch ? (128 - (zip->bytes + 34 + names) % 64) % 64 : 0;
    TestBuffer packed = packed_of(entry, kind);
    entry->local = zip->bytes;
    test_add_text(zip, "PK\3\4");
    add_entry_fields(zip, entry, true, kind, torch ? padding + 4 : 0);
    test_add_text(zip, entry->name);
    if (torch) {
        test_add_text(zip, "FB");
        test_add_number(zip, padding, 2);
        test_add(zip, zeros, padding);
    }
    test_add(zip, packed.data, packed.bytes);
    if (kind != PLAIN_ZIP) {
        test_add_text(zip, "PK\7\10");
        test_add_number(zip, crc32_of(entry->data, entry->bytes), 4);
        test_add_number(zip, packed.bytes, 4);
        test_add_number(zip, entry->bytes, 4);
    }
    free(packed.data);
}

TestBuffer test_zip(TestZipEntry *entries, int n, TestZipKind kind)
{
    TestBuffer zip = {0};
    for (int i = 0; i < n; i++)
        add_local(&zip, &entries[i], kind);
    size_t directory = zip.bytes;
    for (int i = 0; i < n; i++) {
        entries[i].central = zip.bytes;
        test_add_text(&zip, "PK\1\2");
        test_add_number(&zip, 0, 2); /* version made by */
        add_entry_fields(&zip, &entries[i], false, kind, 0);
        test_add_number(&zip, 0, 10); /* comment's length, disk, attributes */
        test_add_number(&zip, entries[i].local, 4);
        test_add_text(&zip, entries[i].name);
    }
    size_t end = zip.bytes;
    if (kind == TORCH_ZIP) {
        test_add_text(&zip, "PK\6\6");
        test_add_number(&zip, 44, 8);
        test_add_number(&zip, 0, 12); /* versions, disks */
        test_add_number(&zip, (uint64_t)n, 8);
        test_add_number(&zip, (uint64_t)n, 8);
        test_add_number(&zip, end - directory, 8);
        test_add_number(&zip, directory, 8);
        test_add_text(&zip, "PK\6\7");
        test_add_number(&zip, 0, 4);
        test_add_number(&zip, end, 8);
        test_add_number(&zip, 1, 4);
    }
    test_add_text(&zip, "PK\5\6");
    test_add_number(&zip, 0, 4);
    test_add_number(&zip, (uint64_t)n, 2);
    test_add_number(&zip, (uint64_t)n, 2);
    test_add_number(&zip, end - directory, 4);
    test_add_number(&zip, directory, 4);
    test_add_number(&zip, 0, 2);
    return zip;
}

TestBuffer test_pth(const ResrModel *model, const TestLayout *layout, TestZipKind kind)
{
    static TestBuffer storages[MAX_STORAGES];
    static uint64_t counts[MAX_STORAGES];
    static TestZipEntry entries[MAX_STORAGES + 3];
    static char names[MAX_STORAGES][32];
    TestBuffer pickle = test_pickle(model, layout, false);
    int n = storages_of(storages, counts, model, layout);
    entries[0] = (TestZipEntry){"archive/data.pkl", pickle.data, pickle.bytes, 0, 0};
    entries[1] = (TestZipEntry){"archive/byteorder", "little", 6, 0, 0};
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "archive/data/%d", i);
        entries[i + 2] = (TestZipEntry){names[i], storages[i].data, storages[i].bytes, 0, 0};
    }
    entries[n + 2] = (TestZipEntry){"archive/version", "3\n", 2, 0, 0};
    TestBuffer file = test_zip(entries, n + 3, kind);
    for (int i = 0; i < n; i++)
        free(storages[i].data);
    free(pickle.data);
    return file;
}
