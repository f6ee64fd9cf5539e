#ifndef RESR_TESTS_RANDOM_MODEL_H
#define RESR_TESTS_RANDOM_MODEL_H

#include <stdint.h>

#include "model/model.h"

/* Seeded weights and pixels, so that a test needs no weight file and a Python reference can build
 * the same network. The definition, to be mirrored to the bit (all float operations are fp32, each
 * rounded, none fused):
 *
 *   state = seed                                               (64 bits, wraps)
 *   draw: state += 0x9E3779B97F4A7C15; z = state;
 *         z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
 *         z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
 *         z ^= z >> 31;
 *         u = (float)(z >> 40) * 2^-24                         in [0, 1), exact
 *   uniform(a) = (2u - 1) * a                                  (2u - 1 is exact, one rounding)
 *
 * The model's convolutions in the order of ResrModel.convs share one state. For each of them:
 *   weights, in memory order: uniform((float)(sqrt(3.0 / (k * k * cin)) * gain)), k the kernel's
 * side, the argument computed in double; biases [cout]: uniform(0.1f); slopes [cout], where the
 * convolution has them: 0.05f + 0.4f * u.
 *
 * gain = 1 keeps the variance of a plain chain of convolutions; 2 makes up for activations. */
RESR_MUST_CHECK int resr_random_model(ResrModel **out, const ResrNetSpec *spec, uint64_t seed,
                                      double gain);

/* One draw u from *state. */
float resr_random_unit(uint64_t *state);

/* Fills `values` with draws u, in order, from a state that starts at `seed`: test pixels in
 * [0, 1), plane by plane, row by row. */
void resr_random_fill(float *values, size_t count, uint64_t seed);

#endif
