#ifndef RESR_BENCH_PEAK_H
#define RESR_BENCH_PEAK_H

/* Floating-point operations per second of `threads` threads that do nothing but fp32 fused
 * multiply-adds between registers, with the vectors of a backend ("avx2", "avx512"); 0 for other
 * names. The best of several short runs. The machine must have the instructions. */
double bench_peak_flops(const char *backend, int threads);

#endif
