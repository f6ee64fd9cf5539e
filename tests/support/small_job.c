#include "small_job.h"

ResrModel *test_model;

int test_create_group_model(void **state)
{
    (void)state;
    const ResrNetSpec spec = {.arch = RESR_ARCH_SRVGG,
                              .scale = 1,
                              .unshuffle = 1,
                              .num_blocks = 1,
                              .nf = 16,
                              .channels = 3,
                              .resize = 1};
    return resr_model_create(&test_model, &spec);
}

int test_free_group_model(void **state)
{
    (void)state;
    resr_model_free(test_model);
    return 0;
}
