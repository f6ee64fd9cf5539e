#ifndef RESR_CUDA_CONV_CUH
#define RESR_CUDA_CONV_CUH

/* The convolution that every variant implements. Valid C and C++: the forward pass is C.
 *
 * One 3x3 convolution, stride 1, zero padding 1 at the edge of every tile, over `tiles` tiles of
 * height x width pixels, all of the same size. Activations are fp16 (bf16 for a variant that says
 * so, wherever fp16 is said here), NHWC: a pixel's channels are neighbours, pixels are `pitch`
 * elements apart, row after row, tile after tile without gaps. Products are accumulated in fp32.
 * Pixel index: (tile * height + y) * width + x.
 *
 * Per output channel, in fp32:
 *   v = sum + bias
 *   activation 1: v > 0 ? v : 0.2f * v       activation 2: v > 0 ? v : slope[co] * v
 *   activation 3: v * sigmoid(v), SiLU
 *   trunk_in:     v = fma(0.2f, v, trunk_in)  a dense block's residual; but with activation 4
 *                 v = (v + trunk_in) * (sigmoid(v) - 0.5f), the gate of an attention block;
 *               3 and 4 with 48 or 64 outputs only
 *   base:         v = fma(0.2f, v, base)      after it, an RRDB's residual
 *   add:          v = v + add
 * and v goes to `out` (rounded to fp16), `out_f32` and `trunk_out`, each of which may be NULL.
 *
 * Aliasing: `out` may lie in the buffer of `in` at channels that are not read (blocks read their
 * neighbours' pixels). So conv1..4 of a dense block write behind the channels they read, and conv5
 * writes to the other one of two 192-channel buffers. trunk_out may be trunk_in or base.
 *
 * Alignment: all pointers 16 bytes; in_pitch, out_pitch and out_channel multiples of 8 elements;
 * buffers end where the last pixel's pitch ends. Everything is enqueued on the stream only. */

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CONV_NONE = 0, CONV_LEAKY_RELU = 1, CONV_PRELU = 2, CONV_SILU = 3, CONV_GATE = 4 };

typedef struct ConvCall {
    const void *in; /* fp16; channels 0..cin-1 of each pixel are read */
    void *out;      /* fp16 at out[pixel * out_pitch + out_channel + co], co < cout; or NULL */
    int in_pitch, out_pitch, out_channel;
    int cin, cout;   /* cin: multiple of 16 (zero weights pad it); cout: 16, 32, 48 or 64 */
    int centre_from; /* input channels from this multiple of 16 on have a centre tap alone, which a
                      * variant may make use of; 0: none */
    const void *weights; /* device memory, packed by the variant that runs it */
    const float *bias;   /* [cout] */
    const float *slope;  /* [cout], for CONV_PRELU */
    int activation;
    const float *trunk_in; /* fp32 [pixel][64], or NULL */
    float *trunk_out;      /* fp32 [pixel][64], or NULL */
    const float *base;     /* fp32 [pixel][64], or NULL; only with trunk_in */
    const float *add;      /* fp32 [pixel][64], or NULL */
    float *out_f32;        /* fp32 [pixel][out_f32_pitch], channels co < out_f32_count; or NULL */
    int out_f32_pitch, out_f32_count; /* multiples of 4 */
    int upsample; /* 1: `in` is (height / 2) x (width / 2), enlarged by pixel repetition as read */
    int tiles, height, width; /* of the output */
    void *scratch;            /* device memory of scratch_bytes(), or NULL where that is 0 */
} ConvCall;

/* A variant. `name`: the value of --conv: "mma", "wgmma", "cublas". */
typedef struct ConvVariant {
    const char *name;

    /* 1 if the current device runs it; `capability` is 10 * major + minor. 0: *why (static text)
     * names the missing feature. */
    int (*available)(int capability, const char **why);

    /* 1 if it computes this shape. Variant "mma" computes the others (weights.c asks before it
     * packs). Only cin, cout, activation and upsample are looked at. */
    int (*supports)(const ConvCall *call);

    /* Weights [cout][cin][3][3] fp32 (the network's own counts) to the variant's layout for the
     * padded counts, in host memory of packed_bytes(). Padding is zero. */
    size_t (*packed_bytes)(int padded_cin, int padded_cout);
    void (*pack)(void *out, const float *weights, int cin, int cout, int padded_cin,
                 int padded_cout);

    size_t (*scratch_bytes)(const ConvCall *call); /* may be NULL: none */

    /* Enqueues; 0 or RESR_ERR_* (with resr_cuda_fail's message). */
    int (*run)(const ConvCall *call, cudaStream_t stream);

    int bf16; /* 1: of bf16 instead of fp16; supports() is then always 1 */
} ConvVariant;

extern const ConvVariant conv_variant_mma, conv_variant_mma_bf16, conv_variant_wgmma,
    conv_variant_cublas;

/* Checks a CUDA call inside a function that returns RESR_ERR_*: 0, or RESR_ERR_DEVICE with a
 * message that names `what` and CUDA's text. Out of memory is RESR_CUDA_NO_MEMORY (forward.c then
 * takes fewer tiles). Defined in device.c. */
#define RESR_CUDA_NO_MEMORY (-1069)
int resr_cuda_check(cudaError_t error, const char *what);

/* The same code, but RESR_ERR_DEVICE where memory is short and nothing can be given up for it. */
int resr_cuda_device_error(int code);

/* resr_fail() of the program that loaded the shared object (base/error.h). */
extern int (*resr_cuda_fail)(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
