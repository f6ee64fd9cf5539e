#include "peak.h"

#include <string.h>

#include "base/clock.h"

#if defined(__x86_64__)

enum { LOOPS = 2000000, ACCUMULATORS = 12, RUNS = 5 };

/* Twelve accumulators exceed latency (4 or 5 clocks) x throughput (2 a clock). In assembler, since
 * a compiler may merge accumulators of equal value. */
#define DOT_BF16(n) "vdpbf16ps %%zmm14, %%zmm15, %%zmm" #n "\n\t"
#define FMA(reg, n) "vfmadd231ps %%" reg "14, %%" reg "15, %%" reg #n "\n\t"
#define FMA_4(reg, a, b, c, d) FMA(reg, a) FMA(reg, b) FMA(reg, c) FMA(reg, d)
#define FMA_12(reg) FMA_4(reg, 0, 1, 2, 3) FMA_4(reg, 4, 5, 6, 7) FMA_4(reg, 8, 9, 10, 11)
#define CLOBBERS                                                                                   \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

static void multiply_avx2(void)
{
    __asm__ volatile("vzeroall" ::: CLOBBERS); /* zeros: no slow denormal or NaN can appear */
    for (int i = 0; i < LOOPS; i++)
        __asm__ volatile(FMA_12("ymm")::: CLOBBERS);
    __asm__ volatile("vzeroupper" ::: CLOBBERS);
}

static void multiply_avx512(void)
{
    __asm__ volatile("vzeroall" ::: CLOBBERS);
    for (int i = 0; i < LOOPS; i++)
        __asm__ volatile(FMA_12("zmm")::: CLOBBERS);
    __asm__ volatile("vzeroupper" ::: CLOBBERS);
}

/* The assembler knows the instruction without a compiler option. */
static void multiply_avx512_bf16(void)
{
    __asm__ volatile("vzeroall" ::: CLOBBERS);
    for (int i = 0; i < LOOPS; i++)
        __asm__ volatile(DOT_BF16(0) DOT_BF16(1) DOT_BF16(2) DOT_BF16(3) DOT_BF16(4) DOT_BF16(5)
                             DOT_BF16(6) DOT_BF16(7) DOT_BF16(8) DOT_BF16(9) DOT_BF16(10)
                                 DOT_BF16(11)::
                                     : CLOBBERS);
    __asm__ volatile("vzeroupper" ::: CLOBBERS);
}

double bench_peak_flops(const char *backend, int threads)
{
    static const struct {
        const char *backend;
        double flops; /* of an instruction */
        void (*multiply)(void);
    } kinds[] = {{"avx2", 16, multiply_avx2},
                 {"avx512", 32, multiply_avx512},
                 {"avx512_bf16", 64, multiply_avx512_bf16}};
    double best = 0, flops = (double)ACCUMULATORS * LOOPS * threads;
    void (*multiply)(void) = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(backend, kinds[i].backend) == 0) {
            flops *= kinds[i].flops;
            multiply = kinds[i].multiply;
        }
    if (!multiply)
        return 0;
    for (int run = 0; run < RUNS; run++) {
        int64_t start_ns = resr_clock_ns();
#pragma omp parallel num_threads(threads)
        multiply();
        double rate = flops / resr_clock_seconds_since(start_ns);
        best = rate > best ? rate : best;
    }
    return best;
}

#else

double bench_peak_flops(const char *backend, int threads)
{
    (void)backend;
    (void)threads;
    return 0;
}

#endif
