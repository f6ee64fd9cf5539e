/* All access to AMX tiles (Intel SDM, volume 1, chapter 18): eight tiles of 16 rows of 64 bytes.
 * With RESR_AMX_EMULATED the same in plain C with the same bits, so that the kernels are tested on
 * machines without AMX.
 *
 *   amx_configure()               once per thread, before anything else
 *   AMX_ZERO(tile)
 *   AMX_LOAD(tile, from, stride)  16 rows of 64 bytes, `stride` bytes apart
 *   AMX_STORE(tile, to, stride)
 *   AMX_DOT_BF16(c, a, b)         c[m][n] += sum over k of a[m][k] x b[k][n], k over pairs of bf16
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { AMX_ROWS = 16, AMX_ROW_BYTES = 64 };

#ifndef RESR_AMX_EMULATED

#include <immintrin.h>

static inline void amx_configure(void)
{
    static _Thread_local bool done;
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    if (done)
        return;
    for (int tile = 0; tile < 8; tile++) {
        config.row_bytes[tile] = AMX_ROW_BYTES;
        config.rows[tile] = AMX_ROWS;
    }
    _tile_loadconfig(&config);
    done = true;
}

#define AMX_ZERO(tile) _tile_zero(tile)
#define AMX_LOAD(tile, from, stride) _tile_loadd(tile, from, stride)
#define AMX_STORE(tile, to, stride) _tile_stored(tile, to, stride)
#define AMX_DOT_BF16(c, a, b) _tile_dpbf16ps(c, a, b)

#else

#include <math.h>

static _Thread_local char amx_tiles[8][AMX_ROWS][AMX_ROW_BYTES];

static inline void amx_configure(void)
{
}

static inline void amx_load(int tile, const void *from, size_t stride)
{
    for (size_t row = 0; row < AMX_ROWS; row++)
        memcpy(amx_tiles[tile][row], (const char *)from + row * stride, AMX_ROW_BYTES);
}

static inline void amx_store(int tile, void *to, size_t stride)
{
    for (size_t row = 0; row < AMX_ROWS; row++)
        memcpy((char *)to + row * stride, amx_tiles[tile][row], AMX_ROW_BYTES);
}

/* Denormals count as zero, as operands and as results. */
static inline float amx_flush(float value)
{
    return fabsf(value) < 0x1p-126f ? copysignf(0, value) : value;
}

static inline float amx_float(const char *bf16)
{
    uint16_t half;
    memcpy(&half, bf16, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return amx_flush(value);
}

/* TDPBF16PS: the sums over even and odd elements separately, fused, from zero; then both added;
 * then the accumulator added. Each step rounds to nearest even. */
static inline void amx_dot_bf16(int c, int a, int b)
{
    for (int m = 0; m < AMX_ROWS; m++)
        for (int n = 0; n < AMX_ROW_BYTES; n += 4) {
            float even = 0, odd = 0, sum;
            for (int k = 0; k < AMX_ROWS; k++) {
                const char *x = amx_tiles[a][m] + 4 * k, *y = amx_tiles[b][k] + n;
                even = amx_flush(fmaf(amx_float(x), amx_float(y), even));
                odd = amx_flush(fmaf(amx_float(x + 2), amx_float(y + 2), odd));
            }
            memcpy(&sum, amx_tiles[c][m] + n, sizeof sum);
            sum = amx_flush(amx_flush(sum) + amx_flush(even + odd));
            memcpy(amx_tiles[c][m] + n, &sum, sizeof sum);
        }
}

#define AMX_ZERO(tile) memset(amx_tiles[tile], 0, sizeof amx_tiles[tile])
#define AMX_LOAD(tile, from, stride) amx_load(tile, from, stride)
#define AMX_STORE(tile, to, stride) amx_store(tile, to, stride)
#define AMX_DOT_BF16(c, a, b) amx_dot_bf16(c, a, b)

#endif
