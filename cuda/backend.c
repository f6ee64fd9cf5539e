#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "forward.h"
#include "frames.h"
#include "nccl.h"

enum { MAX_TABLES = 6 };

/* Best last: the first table, "cuda", has the last of these that the device runs. */
static const ConvVariant *const variants[] = {
#if defined(RESR_CUDA_CUBLAS)
    &conv_variant_cublas,
#endif
    &conv_variant_mma,
#if defined(RESR_CUDA_WGMMA)
    &conv_variant_wgmma,
#endif
};

enum { N_VARIANTS = sizeof variants / sizeof *variants };

/* The process's device and its tables: fp16 and bf16 for "cuda" and for "cuda-mma", one for every
 * other variant by its name. */
static struct {
    int device, n_tables;
    ResrOps ops[MAX_TABLES];
    char names[MAX_TABLES][16], classes[MAX_TABLES][16];
} selected = {.device = -1};

static int prepare(const ResrOps *self, void **packed, const ResrModel *model)
{
    NetWeights *net;
    int ret = resr_cuda_weights_create(&net, model, selected.device, self->kernels);
    *packed = net;
    return ret;
}

static void release(void *packed)
{
    resr_cuda_weights_free(packed);
}

/* `name`: "cuda" or "cuda-" and the variant's. Results are the same on devices of one capability
 * only: the order of additions inside an mma is the hardware's; so it is part of the class. */
static void add_table(const ConvVariant *variant, const char *prefix, const char *name,
                      const char *class, int capability)
{
    int i = selected.n_tables++;
    snprintf(selected.names[i], sizeof selected.names[i], "%s%s", prefix, name);
    snprintf(selected.classes[i], sizeof selected.classes[i], "%s-sm%d", class, capability);
    selected.ops[i] =
        (ResrOps){.name = selected.names[i],
                  .numerics = variant == &conv_variant_mma_bf16 ? RESR_NUMERICS_BF16_GPU
                                                                : RESR_NUMERICS_FP16_GPU,
                  .class_name = selected.classes[i],
                  .by_name_only = name[0] != '\0',
                  .kernels = variant,
                  .prepare = prepare,
                  .release = release,
                  .workspace_bytes = resr_cuda_workspace_bytes,
                  .ctx_create = resr_cuda_ctx_create,
                  .ctx_free = resr_cuda_ctx_free,
                  .head = resr_cuda_head,
                  .dense_block = resr_cuda_dense_block,
                  .body_end = resr_cuda_body_end,
                  .compact_body = resr_cuda_compact_body,
                  .attention_block = resr_cuda_attention_block,
                  .attention_end = resr_cuda_attention_end,
                  .upsample = resr_cuda_upsample,
                  .tail = resr_cuda_tail,
                  .wait = resr_cuda_wait,
                  .reserve = resr_cuda_reserve,
                  .set_tiles = resr_cuda_set_tiles,
                  .frames_begin = resr_cuda_frames_begin,
                  .frames_submit = resr_cuda_frames_submit,
                  .frames_finish = resr_cuda_frames_finish,
                  .frames_collect = resr_cuda_frames_collect};
}

static int select_device(int device)
{
    ResrCudaDevice about;
    const char *why = "no variant was built";
    const ConvVariant *usable[N_VARIANTS], *best = NULL;
    int n = 0, ret = resr_cuda_describe(&about, device);
    if (ret < 0)
        return ret;
    for (int i = 0; i < N_VARIANTS; i++)
        if (variants[i]->available(about.capability, &why))
            best = usable[n++] = variants[i];
    if (!best)
        return resr_cuda_fail(RESR_ERR_DEVICE, "CUDA device %d (%s): %s", device, about.name, why);
    selected.device = device;
    selected.n_tables = 0;
    add_table(best, "cuda", "", "fp16", about.capability);
    bool bf16 = conv_variant_mma_bf16.available(about.capability, &why);
    if (bf16)
        add_table(&conv_variant_mma_bf16, "cuda", "", "bf16", about.capability);
    for (int i = 0; i < n; i++) {
        add_table(usable[i], "cuda-", usable[i]->name, usable[i]->name, about.capability);
        if (bf16 && usable[i] == &conv_variant_mma)
            add_table(&conv_variant_mma_bf16, "cuda-", usable[i]->name, "bf16", about.capability);
    }
    return 0;
}

static const ResrOps *ops_at(int index)
{
    return index >= 0 && index < selected.n_tables ? &selected.ops[index] : NULL;
}

const ResrCuda *resr_cuda_open(int abi, const ResrCudaHost *host)
{
    static const ResrCuda cuda = {.device_count = resr_cuda_device_count,
                                  .describe = resr_cuda_describe,
                                  .select = select_device,
                                  .ops = ops_at,
                                  .nccl = resr_cuda_nccl};
    if (abi != RESR_CUDA_ABI)
        return NULL;
    resr_cuda_fail = host->fail;
    resr_cuda_warn = host->warn;
    return &cuda;
}
