#ifndef RESR_CUDA_CONV_WGMMA_CUH
#define RESR_CUDA_CONV_WGMMA_CUH

/* Ladder 2's second way to lay pixels in shared memory: 1 takes 16-byte rows without a swizzle
 * (four times the copies). A variable so that tests and bench run both ways; 0 to begin with. */
extern int resr_wgmma_plain_rows;

#endif
