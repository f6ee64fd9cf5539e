#include "small_job.h"

ResrModel *test_model;

int test_create_group_model(void **state)
{
    (void)state;
    const ResrNetSpec spec = {RESR_ARCH_SRVGG, 1, 1, 1, 16, 0, 3, 0, 1};
    return resr_model_create(&test_model, &spec);
}

int test_free_group_model(void **state)
{
    (void)state;
    resr_model_free(test_model);
    return 0;
}
