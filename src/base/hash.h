#ifndef RESR_BASE_HASH_H
#define RESR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* XXH3-128 in its canonical (big-endian) form: the identity of frames and of files. */
typedef struct ResrHash {
    uint8_t bytes[16];
} ResrHash;

/* 32 hex digits and a zero. */
#define RESR_HASH_HEX_BYTES 33

ResrHash resr_hash_bytes(const void *data, size_t bytes);

/* Hashes all of a regular file and gets its size. RESR_ERR_IO names the file. */
RESR_MUST_CHECK int resr_hash_file(ResrHash *out, int64_t *file_bytes, const char *path);

void resr_hash_to_hex(char out[RESR_HASH_HEX_BYTES], const ResrHash *hash);

/* False if `hex` is not 32 hex digits. */
bool resr_hash_from_hex(ResrHash *out, const char *hex);

#endif
