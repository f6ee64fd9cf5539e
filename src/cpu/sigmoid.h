#ifndef RESR_CPU_SIGMOID_H
#define RESR_CPU_SIGMOID_H

/* The sigmoid function of all CPU backends, 1 / (1 + exp(-x)), in fp32 operations that each round
 * once, so that every instruction set gives the same bits:
 *
 *   t = 0 - x, clamped to -80 .. 80 (NaN stays NaN)
 *   s = fma(t, log2(e), 1.5 * 2^23)             its low bits hold k, the integer nearest to t / ln
 * 2 k = s - 1.5 * 2^23 r = fma(-k, ln2_low, fma(-k, ln2_high, t))  |r| <= ln 2 / 2 p = 1 + r (1 + r
 * (C2 + r (C3 + r (C4 + r C5)))), by fma from the inside out: exp(r) sigmoid = 1 / fma(p, 2^k, 1)
 *
 * The coefficients are those of the smallest relative error of p, 1.05e-7. The error of the result
 * is at most 2.5e-7 of it for |x| <= 80 (tests/check/test_convs.c). */
#define RESR_SIGMOID_MAX 80.0f
#define RESR_SIGMOID_MAGIC 0x1.8p23f
#define RESR_SIGMOID_LOG2_E 0x1.715476p+0f
#define RESR_SIGMOID_LN2_HIGH 0x1.62ep-1f
#define RESR_SIGMOID_LN2_LOW 0x1.0bfbe8p-15f
#define RESR_SIGMOID_C2 0x1.fffdfcp-2f
#define RESR_SIGMOID_C3 0x1.5557aep-3f
#define RESR_SIGMOID_C4 0x1.572a06p-5f
#define RESR_SIGMOID_C5 0x1.10627ap-7f

#endif
