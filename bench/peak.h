#ifndef RESR_BENCH_PEAK_H
#define RESR_BENCH_PEAK_H

/* Peak of a backend's instructions ("avx2", "avx512": fp32 fused multiply-adds; "avx512_bf16":
 * VDPBF16PS): floating-point operations per second of `threads` threads that compute between
 * registers only, the best of several short runs. 0 for other names. The CPU must have the
 * instructions. */
double bench_peak_flops(const char *backend, int threads);

#endif
