/* State dicts as programs save them: inside a larger dictionary, with a prefix before each name, or
 * with tensors whose elements lie in another order. */

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/readers.h"

/* An average of the weights (ema) is preferred to the weights of the last step. */
static const char *const keys[] = {
    "params_ema", "params-ema", "g_ema", "params", "model_state_dict", "state_dict", "generator",
    "netG",       "net_g",      "model", "net",    "module",
};

const char *resr_state_dict_key(int index)
{
    return index < (int)(sizeof keys / sizeof *keys) ? keys[index] : NULL;
}

/* The name behind "KEY."; NULL if it does not begin so. Old ESRGAN's own names are model.0...: a
 * number is no name. */
static const char *after_key(const char *name, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(name, key, length) != 0 || name[length] != '.')
        return NULL;
    const char *rest = name + length + 1;
    return *rest && (*rest < '0' || *rest > '9') ? rest : NULL;
}

/* Removes the prefix "KEY." and the tensors without it; false, with all tensors kept, if no name
 * has it. */
static bool strip(ResrTensor *tensors, size_t *n, const char *key)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        const char *rest = after_key(tensors[i].name, key);
        if (!rest)
            continue;
        tensors[kept] = tensors[i];
        rest = after_key(tensors[kept].name, key);
        memmove(tensors[kept++].name, rest, strlen(rest) + 1);
    }
    if (kept > 0)
        *n = kept;
    return kept > 0;
}

static void remove_integers(ResrTensor *tensors, size_t *n)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (tensors[i].dtype < RESR_DTYPE_I64)
            tensors[kept++] = tensors[i];
    *n = kept;
}

static bool is_reordered(const ResrTensor *tensor)
{
    bool reordered = false;
    for (int i = 0; i < tensor->rank; i++)
        reordered = reordered || tensor->stride[i] != 0;
    return reordered;
}

/* Copies the elements so that the last index runs fastest. */
static void reorder(uint8_t *out, ResrTensor *tensor)
{
    int64_t index[RESR_TENSOR_MAX_RANK] = {0}, from = 0;
    size_t element = resr_dtype_bytes(tensor->dtype);
    const uint8_t *end = out + resr_tensor_bytes(tensor);
    for (uint8_t *to = out; to < end; to += element) {
        memcpy(to, tensor->data + (size_t)from * element, element);
        for (int i = tensor->rank - 1; i >= 0; i--) {
            from += tensor->stride[i];
            if (++index[i] < tensor->shape[i])
                break;
            from -= tensor->stride[i] * tensor->shape[i];
            index[i] = 0;
        }
    }
    tensor->data = out;
    memset(tensor->stride, 0, sizeof tensor->stride);
}

/* Brings all tensors into the usual order; the caller frees *buffer, which holds the copies. */
static int reorder_all(uint8_t **buffer, ResrTensor *tensors, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += is_reordered(&tensors[i]) ? resr_tensor_bytes(&tensors[i]) : 0;
    *buffer = NULL;
    int ret = bytes > 0 ? resr_alloc_uninitialised(buffer, 1, bytes) : 0;
    if (ret < 0)
        return ret;
    uint8_t *next = *buffer;
    for (size_t i = 0; i < n; i++)
        if (is_reordered(&tensors[i])) {
            reorder(next, &tensors[i]);
            next += resr_tensor_bytes(&tensors[i]);
        }
    return 0;
}

int resr_model_from_state_dict(ResrModel **out, ResrTensor *tensors, size_t n, size_t data_bytes)
{
    uint8_t *buffer;
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        if (!resr_checked_add(&total, total, resr_tensor_bytes(&tensors[i])) || total > data_bytes)
            return resr_fail(RESR_ERR_DATA,
                             "the tensors have more bytes than the file: they share data");
    remove_integers(tensors, &n);
    for (int i = 0; resr_state_dict_key(i);)
        i = strip(tensors, &n, keys[i]) ? 0 : i + 1;
    int ret = reorder_all(&buffer, tensors, n);
    if (ret == 0)
        ret = resr_model_from_tensors(out, tensors, n);
    free(buffer);
    return ret;
}
