/* Stubs of the readers of weight files, for programs that are built without libzip and jansson, as
 * on a borrowed GPU machine: their networks have random weights. */
#include "model/readers.h"

static int refuse(void)
{
    return resr_fail(RESR_ERR_NOINPUT, "this program was built without readers of weight files");
}

int resr_model_read_pth(ResrModel **out, const ResrBytes *file)
{
    (void)out;
    (void)file;
    return refuse();
}

int resr_model_read_safetensors(ResrModel **out, const ResrBytes *file)
{
    (void)out;
    (void)file;
    return refuse();
}

int resr_model_read_ncnn(ResrModel **out, const ResrBytes *file, const char *path)
{
    (void)out;
    (void)file;
    (void)path;
    return refuse();
}

int resr_model_read_legacy(ResrModel **out, const ResrBytes *file)
{
    (void)out;
    (void)file;
    return refuse();
}

int resr_model_read_onnx(ResrModel **out, const ResrBytes *file)
{
    (void)out;
    (void)file;
    return refuse();
}
