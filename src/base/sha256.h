#ifndef RESR_BASE_SHA256_H
#define RESR_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256 (FIPS 180-4): identifies weight files in reports by the hash that their publishers give.
 */
typedef struct ResrSha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
} ResrSha256;

void resr_sha256_start(ResrSha256 *sha);
void resr_sha256_update(ResrSha256 *sha, const void *data, size_t bytes);
void resr_sha256_finish(ResrSha256 *sha, char hex[65]);

#endif
