#include <stdlib.h>
#include <string.h>

#include "media/picture_formats.h"

enum { ORIENTATION = 0x0112, EXIF_FOLDER = 0x8769, WIDTH = 0xA002, HEIGHT = 0xA003 };
enum { GPS_FOLDER = 0x8825, INTEROPERABILITY = 0xA005 };
enum { ASCII = 2, SHORT = 3, LONG = 4 };

/* Limits of a folder that is copied; the largest values are maker's notes. */
enum { MOST_ENTRIES = 256, MOST_VALUE_BYTES = 1 << 16 };

static const uint32_t folders[] = {EXIF_FOLDER, GPS_FOLDER};

/* A block in the form of a TIFF file: folders of 12-byte entries. */
typedef struct Exif {
    uint8_t *data;
    size_t bytes;
    bool little;
} Exif;

static uint32_t get(const Exif *e, size_t offset, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes && offset + (size_t)i < e->bytes; i++)
        value |= (uint32_t)e->data[offset + (size_t)i] << 8 * (e->little ? i : bytes - 1 - i);
    return value;
}

static void put(const Exif *e, size_t offset, int bytes, uint32_t value)
{
    for (int i = 0; i < bytes && offset + (size_t)i < e->bytes; i++)
        e->data[offset + (size_t)i] = (uint8_t)(value >> 8 * (e->little ? i : bytes - 1 - i));
}

/* Offset of the first folder; 0 if the data are not a block. */
static size_t open_exif(Exif *e, const ResrPictureBlob *blob)
{
    *e = (Exif){.data = blob->data, .bytes = blob->bytes};
    if (blob->bytes < 14 ||
        (memcmp(blob->data, "II*\0", 4) != 0 && memcmp(blob->data, "MM\0*", 4) != 0))
        return 0;
    e->little = blob->data[0] == 'I';
    return get(e, 4, 4);
}

/* Offset of a field's entry in a folder; 0 if the field is missing or incomplete. */
static size_t find(const Exif *e, size_t folder, uint32_t field)
{
    size_t entry = folder + 2;
    uint32_t count = folder > 0 ? get(e, folder, 2) : 0;
    for (; count > 0 && entry + 12 <= e->bytes; count--, entry += 12)
        if (get(e, entry, 2) == field)
            return entry;
    return 0;
}

/* Sets a number, if the folder contains the field. */
static void set(const Exif *e, size_t folder, uint32_t field, uint32_t value)
{
    size_t entry = find(e, folder, field);
    if (entry > 0 && (get(e, entry + 2, 2) == SHORT || get(e, entry + 2, 2) == LONG))
        put(e, entry + 8, get(e, entry + 2, 2) == SHORT ? 2 : 4, value);
}

int resr_exif_orientation(const ResrPictureBlob *exif)
{
    Exif e;
    size_t entry = find(&e, open_exif(&e, exif), ORIENTATION);
    uint32_t value = entry > 0 && get(&e, entry + 2, 2) == SHORT ? get(&e, entry + 8, 2) : 0;
    return value <= 8 ? (int)value : 0;
}

const char *resr_exif_text(const ResrPictureBlob *exif, int field, size_t *bytes)
{
    Exif e;
    size_t entry = find(&e, open_exif(&e, exif), (uint32_t)field);
    if (entry == 0 || get(&e, entry + 2, 2) != ASCII)
        return NULL;
    *bytes = get(&e, entry + 4, 4);
    size_t place = *bytes <= 4 ? entry + 8 : get(&e, entry + 8, 4);
    if (*bytes == 0 || place > e.bytes || *bytes > e.bytes - place)
        return NULL;
    return (const char *)e.data + place;
}

void resr_exif_adapt(ResrPictureBlob *exif, int width_px, int height_px)
{
    Exif e;
    size_t first = open_exif(&e, exif), inner = find(&e, first, EXIF_FOLDER);
    if (first == 0)
        return;
    set(&e, first, ORIENTATION, 1);
    if (inner > 0) {
        set(&e, get(&e, inner + 8, 4), WIDTH, (uint32_t)width_px);
        set(&e, get(&e, inner + 8, 4), HEIGHT, (uint32_t)height_px);
    }
    put(&e, first + 2 + 12 * (size_t)get(&e, first, 2), 4,
        0); /* offset of the thumbnail's folder */
}

/* The digit of tiff:Orientation, as an attribute or as an element; NULL if there is none. */
static uint8_t *xmp_digit(const ResrPictureBlob *xmp)
{
    static const char name[] = "tiff:Orientation";
    uint8_t *at = xmp->bytes > 0 ? memmem(xmp->data, xmp->bytes, name, sizeof name - 1) : NULL;
    if (!at)
        return NULL;
    const uint8_t *end = xmp->data + xmp->bytes;
    for (at += sizeof name - 1; at < end && strchr(" =>\"'\t\n\r", *at); at++)
        ;
    return at < end && *at >= '1' && *at <= '8' ? at : NULL;
}

int resr_xmp_orientation(const ResrPictureBlob *xmp)
{
    const uint8_t *digit = xmp_digit(xmp);
    return digit ? *digit - '0' : 0;
}

void resr_xmp_adapt(ResrPictureBlob *xmp)
{
    uint8_t *digit = xmp_digit(xmp);
    if (digit)
        *digit = '1';
}

/* Sorted by field, as in a folder. */
static const struct {
    int field;
    const char *key;
} texts[] = {
    {0x010E, "Description"}, {0x010F, "Make"},   {0x0110, "Model"},     {0x0131, "Software"},
    {0x0132, "DateTime"},    {0x013B, "Author"}, {0x8298, "Copyright"},
};

int resr_exif_field_of_text(const char *key)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].key, key) == 0)
            return texts[i].field;
    return 0;
}

const char *resr_exif_text_of_field(size_t index, int *field)
{
    if (index >= sizeof texts / sizeof *texts)
        return NULL;
    *field = texts[index].field;
    return texts[index].key;
}

static const char *value_of(const ResrPictureTags *tags, int field)
{
    for (size_t i = 0; i < tags->text_count; i++)
        if (resr_exif_field_of_text(tags->texts[i].key) == field)
            return tags->texts[i].value;
    return NULL;
}

/* A block of texts, with space after them for the folders of EXIF and GPS. */
static int make_block(ResrPictureBlob *out, size_t *count, const ResrPictureTags *tags)
{
    const size_t most = sizeof texts / sizeof *texts;
    size_t bytes = 8 + 2 + 12 * (most + 2) + 4, used = bytes;
    *out = (ResrPictureBlob){0};
    *count = 0;
    for (size_t i = 0; i < most; i++) {
        const char *value = value_of(tags, texts[i].field);
        bytes += value ? strlen(value) + 5 : 0;
    }
    int ret = resr_alloc(&out->data, bytes, 1);
    if (ret < 0)
        return ret;
    Exif e = {.data = out->data, .bytes = out->bytes = bytes, .little = true};
    memcpy(e.data, "II*\0\x08\0\0\0", 8);
    for (size_t i = 0; i < most; i++) {
        const char *value = value_of(tags, texts[i].field);
        size_t entry = 10 + 12 * *count, length = value ? strlen(value) + 1 : 0;
        if (!value)
            continue;
        put(&e, entry, 2, (uint32_t)texts[i].field);
        put(&e, entry + 2, 2, ASCII);
        put(&e, entry + 4, 4, (uint32_t)length);
        size_t place = length <= 4 ? entry + 8 : used;
        memcpy(e.data + place, value, length);
        if (length > 4) {
            put(&e, entry + 8, 4, (uint32_t)place);
            used += length + (length & 1);
        }
        ++*count;
    }
    put(&e, 8, 2, (uint32_t)*count);
    return 0;
}

int resr_exif_of_texts(ResrPictureBlob *out, size_t *others, const ResrPictureTags *tags)
{
    size_t count;
    int ret = make_block(out, &count, tags);
    *others = tags->text_count - count;
    if (ret == 0 && count == 0) {
        free(out->data);
        *out = (ResrPictureBlob){0};
    }
    return ret;
}

/* Copies the value of an entry of 12 bytes to the end of `out`, or into `entry`, in little-endian
 * order. False: the entry cannot be copied. */
static bool copy_value(ResrPictureTarget *out, uint8_t entry[12], const ResrExifSource *from)
{
    static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
    static const uint8_t units[] = {0, 1, 1, 2, 4, 4, 1, 1, 2, 4, 4, 4, 8};
    uint8_t value[MOST_VALUE_BYTES];
    Exif in = {.data = entry, .bytes = 12, .little = from->little};
    Exif to = {.data = entry, .bytes = 12, .little = true};
    uint32_t field = get(&in, 0, 2), type = get(&in, 2, 2), n = get(&in, 4, 4);
    size_t bytes = type < sizeof sizes && n < sizeof value ? (size_t)n * sizes[type] : 0;
    if (bytes == 0 || bytes > sizeof value || field == INTEROPERABILITY)
        return false;
    if (bytes <= 4)
        memcpy(value, entry + 8, 4);
    else if (!from->read(from->from, get(&in, 8, 4), value, bytes))
        return false;
    for (size_t i = 0; !from->little && i < bytes; i += units[type])
        for (size_t k = 0; k < units[type] / 2u; k++) {
            uint8_t byte = value[i + k];
            value[i + k] = value[i + units[type] - 1 - k];
            value[i + units[type] - 1 - k] = byte;
        }
    put(&to, 0, 2, field);
    put(&to, 2, 2, type);
    put(&to, 4, 4, n);
    size_t place = out->file.bytes;
    if (bytes <= 4)
        memcpy(entry + 8, value, 4);
    else
        put(&to, 8, 4, (uint32_t)place);
    return bytes <= 4 || (place < UINT32_MAX - bytes && resr_picture_append(out, value, bytes) &&
                          (bytes % 2 == 0 || resr_picture_append(out, "", 1)));
}

uint32_t resr_exif_copy_folder(ResrPictureTarget *out, const ResrExifSource *from, uint32_t folder)
{
    uint8_t entries[2 + 12 * MOST_ENTRIES + 4] = {0}, head[2];
    Exif in = {.data = head, .bytes = 2, .little = from->little};
    Exif to = {.data = entries, .bytes = sizeof entries, .little = true};
    uint32_t kept = 0;
    if (folder == 0 || !from->read(from->from, folder, head, 2))
        return 0;
    uint32_t count = get(&in, 0, 2);
    if (count > MOST_ENTRIES ||
        !from->read(from->from, (uint64_t)folder + 2, entries + 2, 12 * (size_t)count))
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t entry[12];
        memcpy(entry, entries + 2 + 12 * (size_t)i, 12);
        if (copy_value(out, entry, from))
            memcpy(entries + 2 + 12 * (size_t)kept++, entry, 12);
    }
    if (kept == 0 || (out->file.bytes % 2 && !resr_picture_append(out, "", 1)))
        return 0;
    put(&to, 0, 2, kept);
    put(&to, 2 + 12 * (size_t)kept, 4, 0);
    size_t place = out->file.bytes;
    return place < UINT32_MAX / 2 && resr_picture_append(out, entries, 2 + 12 * (size_t)kept + 4)
               ? (uint32_t)place
               : 0;
}

static bool read_block(void *from, uint64_t offset, void *out, size_t bytes)
{
    const ResrPictureBlob *blob = from;
    if (offset > blob->bytes || bytes > blob->bytes - offset)
        return false;
    memcpy(out, blob->data + offset, bytes);
    return true;
}

bool resr_exif_add_to_tiff(ResrPictureTarget *tiff, const ResrPictureBlob *exif)
{
    Exif e, to;
    size_t first = open_exif(&e, exif);
    ResrExifSource from = {read_block, (void *)exif, e.little};
    bool whole = true;
    for (size_t i = 0; i < 2 && first > 0; i++) {
        size_t entry = find(&e, first, folders[i]);
        uint32_t place = entry > 0 ? resr_exif_copy_folder(tiff, &from, get(&e, entry + 8, 4)) : 0;
        size_t field = find(&to, open_exif(&to, &tiff->file), folders[i]);
        if (field > 0 && place > 0)
            put(&to, field + 8, 4, place);
        whole = whole && (entry == 0 || (field > 0 && place > 0));
    }
    return whole;
}

bool resr_exif_has_folder(const ResrPictureBlob *exif, int field)
{
    Exif e;
    return find(&e, open_exif(&e, exif), (uint32_t)field) > 0;
}

int resr_exif_of_folders(ResrPictureBlob *out, const ResrPictureTags *tags,
                         const ResrExifSource *from, const uint32_t places[2])
{
    ResrPictureTarget block = {0};
    size_t count;
    int ret = make_block(&block.file, &count, tags);
    block.capacity = block.file.bytes;
    for (size_t i = 0; ret == 0 && i < 2; i++) {
        uint32_t place = resr_exif_copy_folder(&block, from, places[i]);
        Exif e = {.data = block.file.data, .bytes = block.file.bytes, .little = true};
        if (place == 0)
            continue;
        put(&e, 10 + 12 * count, 2, folders[i]);
        put(&e, 10 + 12 * count + 2, 2, LONG);
        put(&e, 10 + 12 * count + 4, 4, 1);
        put(&e, 10 + 12 * count + 8, 4, place);
        put(&e, 8, 2, (uint32_t)++count);
    }
    *out = block.file;
    return ret;
}
