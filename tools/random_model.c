#include "random_model.h"

#include <math.h>

float resr_random_unit(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-24f;
}

static float uniform(uint64_t *state, float bound)
{
    float u = resr_random_unit(state);
    return (2.0f * u - 1.0f) * bound;
}

void resr_random_fill(float *values, size_t count, uint64_t seed)
{
    uint64_t state = seed;
    for (size_t i = 0; i < count; i++)
        values[i] = resr_random_unit(&state);
}

int resr_random_model(ResrModel **out, const ResrNetSpec *spec, uint64_t seed, double gain)
{
    int rc = resr_model_create(out, spec);
    if (rc)
        return rc;
    uint64_t state = seed;
    for (int i = 0; i < (*out)->n_convs; i++) {
        ResrConv *conv = &(*out)->convs[i];
        int taps = conv->kernel_px * conv->kernel_px;
        float bound = (float)(sqrt(3.0 / ((double)taps * conv->cin)) * gain);
        for (size_t k = 0; k < resr_conv_weights(conv); k++)
            conv->weight[k] = uniform(&state, bound);
        for (int k = 0; k < conv->cout; k++)
            conv->bias[k] = uniform(&state, 0.1f);
        for (int k = 0; conv->slope && k < conv->cout; k++)
            conv->slope[k] = 0.05f + 0.4f * resr_random_unit(&state);
    }
    return 0;
}
