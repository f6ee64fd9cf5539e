#include "model/onnx_wire.h"

#include <string.h>

int resr_pb_varint(uint64_t *out, ResrPbRange *range)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && range->next < range->end; shift += 7) {
        uint8_t byte = *range->next++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return 0;
        }
    }
    return resr_fail(RESR_ERR_DATA, "a number of the file is cut off or has more than 64 bits; the "
                                    "file is damaged");
}

static uint64_t little_endian(const uint8_t *data, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

int resr_pb_next(ResrPbField *field, ResrPbRange *message)
{
    uint64_t key = 0, length = 0;
    if (message->next == message->end)
        return 0;
    int ret = resr_pb_varint(&key, message);
    if (ret < 0)
        return ret;
    if (key >> 3 == 0 || key >> 32 != 0)
        return resr_fail(RESR_ERR_DATA, "the file has field %llu, which no message can have",
                         (unsigned long long)(key >> 3));
    *field = (ResrPbField){.number = (int)(key >> 3), .type = (ResrPbType)(key & 7)};
    int fixed = field->type == RESR_PB_FIXED32 ? 4 : 8;
    switch (field->type) {
    case RESR_PB_VARINT:
        ret = resr_pb_varint(&field->value, message);
        return ret < 0 ? ret : 1;
    case RESR_PB_FIXED32:
    case RESR_PB_FIXED64:
        if (resr_pb_bytes(*message) < (size_t)fixed)
            break;
        field->value = little_endian(message->next, fixed);
        message->next += fixed;
        return 1;
    case RESR_PB_BYTES:
        ret = resr_pb_varint(&length, message);
        if (ret < 0)
            return ret;
        if (length > resr_pb_bytes(*message))
            break;
        field->bytes = (ResrPbRange){message->next, message->next + length};
        message->next += length;
        return 1;
    default:
        return resr_fail(RESR_ERR_DATA, "field %d has type %d; groups are not part of ONNX",
                         field->number, (int)field->type);
    }
    return resr_fail(RESR_ERR_DATA, "field %d extends beyond its message; the file is cut off",
                     field->number);
}

bool resr_pb_is(ResrPbRange text, const char *word)
{
    size_t bytes = strlen(word);
    return resr_pb_bytes(text) == bytes && (bytes == 0 || memcmp(text.next, word, bytes) == 0);
}

bool resr_pb_same(ResrPbRange a, ResrPbRange b)
{
    size_t bytes = resr_pb_bytes(a);
    return bytes == resr_pb_bytes(b) && (bytes == 0 || memcmp(a.next, b.next, bytes) == 0);
}

ResrPbText resr_pb_text(ResrPbRange text)
{
    ResrPbText copy = {""};
    for (size_t i = 0; i < sizeof copy.text - 1 && i < resr_pb_bytes(text); i++) {
        uint8_t c = text.next[i];
        copy.text[i] = (char)(c >= 32 && c < 127 ? c : '?');
    }
    return copy;
}
