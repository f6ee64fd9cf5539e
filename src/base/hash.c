#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t on the stack */
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"

static ResrHash canonical(XXH128_hash_t value)
{
    XXH128_canonical_t text;
    ResrHash hash;
    XXH128_canonicalFromHash(&text, value);
    memcpy(hash.bytes, text.digest, sizeof hash.bytes);
    return hash;
}

ResrHash resr_hash_bytes(const void *data, size_t bytes)
{
    return canonical(XXH3_128bits(data, bytes));
}

int resr_hash_file(ResrHash *out, int64_t *file_bytes, const char *path)
{
    enum { piece = 1 << 16 };
    char buffer[piece];
    XXH3_state_t state;
    ssize_t got;
    int fd = resr_file_open(path, O_RDONLY, 0);
    if (fd < 0)
        return resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    *file_bytes = 0;
    while ((got = resr_file_read(fd, buffer, piece, *file_bytes)) > 0) {
        XXH3_128bits_update(&state, buffer, (size_t)got);
        *file_bytes += got;
    }
    int ret = got < 0 ? resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno)) : 0;
    close(fd);
    *out = canonical(XXH3_128bits_digest(&state));
    return ret;
}

void resr_hash_to_hex(char out[RESR_HASH_HEX_BYTES], const ResrHash *hash)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof hash->bytes; i++) {
        out[2 * i] = digits[hash->bytes[i] >> 4];
        out[2 * i + 1] = digits[hash->bytes[i] & 15];
    }
    out[RESR_HASH_HEX_BYTES - 1] = 0;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool resr_hash_from_hex(ResrHash *out, const char *hex)
{
    for (size_t i = 0; i < sizeof out->bytes; i++) {
        int high = digit_of(hex[2 * i]), low = high < 0 ? -1 : digit_of(hex[2 * i + 1]);
        if (low < 0)
            return false;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return hex[2 * sizeof out->bytes] == 0;
}
