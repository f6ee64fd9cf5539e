#ifndef RESR_MODEL_READERS_H
#define RESR_MODEL_READERS_H

/* The readers of weight files, and what they share. Every number in a file is untrusted; nothing in
 * a file is ever executed. Messages lack the path: resr_model_load() puts it in front. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

typedef struct ResrBytes {
    uint8_t *data;
    size_t bytes;
} ResrBytes;

/* Reads a whole regular file of at most 1 GiB; out->data is the caller's. The message names the
 * path. RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_DATA, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_bytes_read(ResrBytes *out, const char *path);

/* Name and shape of one convolution; see the order in model.h. */
typedef struct ResrConvShape {
    char name[48];
    int cout, cin;
    bool has_slope;
} ResrConvShape;

ResrConvShape resr_spec_conv(const ResrNetSpec *spec, int index);

/* Weights, biases and slopes of a network that resr_spec_check() accepts. */
size_t resr_spec_floats(const ResrNetSpec *spec);

typedef enum ResrDtype { RESR_DTYPE_F32, RESR_DTYPE_F16, RESR_DTYPE_BF16 } ResrDtype;

size_t resr_dtype_bytes(ResrDtype dtype);

/* Converts `count` little-endian values to fp32 and checks that they are weights: finite and of
 * magnitude at most 1e4. RESR_ERR_DATA names `what`. */
RESR_MUST_CHECK int resr_weights_convert(float *out, const uint8_t *data, ResrDtype dtype,
                                         size_t count, const char *what);

/* The largest network that is accepted has under 4,000 tensors. */
enum { RESR_TENSOR_MAX_RANK = 4, RESR_TENSOR_NAME_BYTES = 256, RESR_MAX_TENSORS = 5000 };

/* A named tensor of a state dict; its data lies inside the reader's buffers. */
typedef struct ResrTensor {
    char name[RESR_TENSOR_NAME_BYTES];
    int rank;
    int64_t shape[RESR_TENSOR_MAX_RANK];
    ResrDtype dtype;
    const uint8_t *data;
    bool used;
} ResrTensor;

/* Its sizes must have been checked: their product fits. */
size_t resr_tensor_bytes(const ResrTensor *tensor);

/* Builds a model from a state dict in the official naming: the network's kind and sizes are read
 * from names and shapes; every tensor must fit, none may be missing or left over. RESR_ERR_DATA
 * with the tensor, its shape and what was expected. */
RESR_MUST_CHECK int resr_model_from_tensors(ResrModel **out, ResrTensor *tensors, size_t n);

/* PyTorch's zip container with a pickle, read by a machine that knows tensors in dictionaries and
 * nothing else. */
RESR_MUST_CHECK int resr_model_read_pth(ResrModel **out, const ResrBytes *file);

/* github.com/huggingface/safetensors, README "Format". */
RESR_MUST_CHECK int resr_model_read_safetensors(ResrModel **out, const ResrBytes *file);

/* ncnn's text .param (in `file`, read from `path`) and the .bin beside it, whose hash becomes the
 * model's. */
RESR_MUST_CHECK int resr_model_read_ncnn(ResrModel **out, const ResrBytes *file, const char *path);

#endif
