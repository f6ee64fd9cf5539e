#ifndef RESR_MODEL_READERS_H
#define RESR_MODEL_READERS_H

/* The readers of weight files and their common functions. Every number in a file is untrusted, and
 * nothing in a file is ever executed. Messages lack the path, which resr_model_load() prepends. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

typedef struct ResrBytes {
    uint8_t *data;
    size_t bytes;
} ResrBytes;

/* Reads a whole regular file of at most 1 GiB; the caller frees out->data. The message names the
 * path. RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_DATA, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_bytes_read(ResrBytes *out, const char *path);

/* Name and shape of one convolution; model.h gives the order. */
typedef struct ResrConvShape {
    char name[48];
    int cout, cin;
    int kernel_px;
    bool has_slope;
} ResrConvShape;

ResrConvShape resr_spec_conv(const ResrNetSpec *spec, int index);

/* Name of the tensor with the slopes after SRVGG's convolution `index`: the PReLU between two
 * convolutions of the body. */
void resr_spec_slope_name(char out[48], int index);

typedef enum ResrDtype {
    RESR_DTYPE_F32,
    RESR_DTYPE_F16,
    RESR_DTYPE_BF16,
    RESR_DTYPE_F64,
    RESR_DTYPE_I64, /* integers: counters and indices beside the weights */
    RESR_DTYPE_I32,
    RESR_DTYPE_I16,
    RESR_DTYPE_I8, /* also unsigned and bool */
} ResrDtype;

size_t resr_dtype_bytes(ResrDtype dtype);

/* RESR_ERR_DATA unless all values are finite and of magnitude at most 1e4; the message begins with
 * `what`. */
RESR_MUST_CHECK int resr_weights_check(const float *values, size_t count, const char *what);

/* Converts `count` little-endian floating-point values to fp32 (fp64: rounded to the nearest), with
 * the checks of resr_weights_check(). */
RESR_MUST_CHECK int resr_weights_convert(float *out, const uint8_t *data, ResrDtype dtype,
                                         size_t count, const char *what);

/* The largest supported network has fewer than 4,000 tensors. */
enum { RESR_TENSOR_MAX_RANK = 4, RESR_TENSOR_NAME_BYTES = 256, RESR_MAX_TENSORS = 5000 };

/* A named tensor of a state dict; its data lies inside the reader's buffers. */
typedef struct ResrTensor {
    char name[RESR_TENSOR_NAME_BYTES];      /* in the file */
    char canonical[RESR_TENSOR_NAME_BYTES]; /* set by resr_tensors_set_names() */
    int rank;
    int64_t shape[RESR_TENSOR_MAX_RANK];
    int64_t stride[RESR_TENSOR_MAX_RANK]; /* in elements; all 0: the last index runs fastest */
    ResrDtype dtype;
    const uint8_t *data;
    bool used;
} ResrTensor;

/* Bytes of a tensor whose sizes have been checked, so that their product does not overflow. */
size_t resr_tensor_bytes(const ResrTensor *tensor);

/* Sets every tensor's canonical name and sorts by it. RESR_ERR_DATA: two tensors have one name, or
 * the names are those of a known architecture that is not supported, which the message names. */
RESR_MUST_CHECK int resr_tensors_set_names(ResrTensor *tensors, size_t n);

/* Finds a tensor by canonical name, after resr_tensors_set_names(); NULL if it does not exist. */
const ResrTensor *resr_tensor_find(const ResrTensor *tensors, size_t n, const char *canonical);

/* "[64, 3, 3, 3]": the text of a shape of at most RESR_TENSOR_MAX_RANK sizes. Returns `out`. */
enum { RESR_SHAPE_TEXT_BYTES = 96 };
const char *resr_tensor_shape_text(char out[RESR_SHAPE_TEXT_BYTES], const int64_t *shape, int rank);

/* The empty tensor by which SPAN's state dict says that the input is not normalised. */
#define RESR_TENSOR_NO_NORM "no_norm"

/* Key in the metadata of a .safetensors file: ResrNetSpec.resize as a decimal number. */
#define RESR_METADATA_RESIZE "resize"
#define RESR_METADATA_NORMALISE "normalise" /* value: "imagenet" */
#define RESR_METADATA_IMAGENET "imagenet"

/* Reads architecture and sizes from the tensors' canonical names and shapes, after
 * resr_tensors_set_names(). The sizes are those of a supported network; not every tensor has been
 * compared with it. RESR_ERR_DATA, with the tensor, its shape and the expected shape. */
RESR_MUST_CHECK int resr_spec_infer(ResrNetSpec *spec, const ResrTensor *tensors, size_t n);

/* SPAN's convolutions are trained as four: a row of 1x1, 3x3 and 1x1 with twice the channels
 * between them, and a 1x1 beside the row. conv3xc.c folds them. */
enum { RESR_CONV3XC_PARTS = 4 };

/* The four convolutions behind a convolution with the name "NAME.eval_conv": NAME.sk, NAME.conv.0,
 * NAME.conv.1, NAME.conv.2. False if its name has another ending. */
bool resr_conv3xc_shapes(ResrConvShape parts[RESR_CONV3XC_PARTS], const ResrConvShape *shape);

/* Allocates weights and biases of the parts in one block, which starts at parts[0].weight; the
 * caller frees it. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_conv3xc_create(ResrConv parts[RESR_CONV3XC_PARTS],
                                        const ResrConvShape shapes[RESR_CONV3XC_PARTS]);

/* Folds the parts into `conv`, in fp64 with one rounding to fp32. RESR_ERR_DATA if a folded weight
 * is out of the range of resr_weights_check(); RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_conv3xc_fold(const ResrConv *conv,
                                      const ResrConv parts[RESR_CONV3XC_PARTS]);

/* Builds a model from a state dict in any layout of names.c. Architecture and sizes follow from the
 * tensors alone; every tensor of this network must exist with its shape, and no other. Sorts
 * `tensors`. RESR_ERR_DATA, with the tensor, its shape and the expected shape. */
RESR_MUST_CHECK int resr_model_from_tensors(ResrModel **out, ResrTensor *tensors, size_t n);

/* Key `index` under which programs put the state dict into a larger dictionary, the preferred one
 * first ("params_ema", "params", "state_dict", ...); NULL past the end. */
const char *resr_state_dict_key(int index);

/* Builds a model, as resr_model_from_tensors(), from the tensors that a reader lists. Tensors of
 * another order of elements (`stride`) are copied into the usual order. If names begin with a key
 * of resr_state_dict_key() and a dot, the prefix is removed and other tensors are left out.
 * `data_bytes` are the bytes that the file justifies: more in all tensors together (several on one
 * storage) are RESR_ERR_DATA. Tensors of integers are left out. */
RESR_MUST_CHECK int resr_model_from_state_dict(ResrModel **out, ResrTensor *tensors, size_t n,
                                               size_t data_bytes);

/* PyTorch's zip container with a pickle; model/pickle.h says which pickles are accepted. */
RESR_MUST_CHECK int resr_model_read_pth(ResrModel **out, const ResrBytes *file);

/* PyTorch's stream of before version 1.6, which begins with RESR_LEGACY_MAGIC. */
#define RESR_LEGACY_MAGIC "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
RESR_MUST_CHECK int resr_model_read_legacy(ResrModel **out, const ResrBytes *file);

/* github.com/huggingface/safetensors, README "Format". */
RESR_MUST_CHECK int resr_model_read_safetensors(ResrModel **out, const ResrBytes *file);

/* An ONNX file of one of the networks: model/onnx.c. */
RESR_MUST_CHECK int resr_model_read_onnx(ResrModel **out, const ResrBytes *file);

/* ncnn's text .param (in `file`, read from `path`) and its .bin in the same folder, whose hash
 * becomes the model's. */
RESR_MUST_CHECK int resr_model_read_ncnn(ResrModel **out, const ResrBytes *file, const char *path);

#endif
