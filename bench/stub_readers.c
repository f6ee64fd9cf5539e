/* Stubs of the readers of weight files, for programs that are built without libzip and jansson, as
 * on a borrowed GPU machine: their networks have random weights. */
#include "model/readers.h"

#define STUB(reader, ...)                                                                          \
    int reader(ResrModel **out, const ResrBytes *file, ##__VA_ARGS__)                              \
    {                                                                                              \
        (void)out;                                                                                 \
        (void)file;                                                                                \
        return resr_fail(RESR_ERR_NOINPUT,                                                         \
                         "this program was built without readers of weight files");                \
    }

STUB(resr_model_read_pth)
STUB(resr_model_read_legacy)
STUB(resr_model_read_safetensors)
STUB(resr_model_read_onnx)
STUB(resr_model_read_ncnn, const char *path __attribute__((unused)))
