#ifndef RESR_BENCH_RESULT_JSON_H
#define RESR_BENCH_RESULT_JSON_H

#include "net/backend.h"

/* What was measured, how far from the reference it is, and how fast. */
typedef struct BenchRow {
    const char *kind, *name; /* "network" or "layer", and which */
    const ResrOps *ops;
    const char *peak_of; /* backend whose kind of operand the products have (peak.h) */
    int threads, width_px, height_px;
    double error, limit;       /* relative to the reference's own variation */
    double flops, seconds;     /* of direct convolution */
    double peak_before, after; /* operations per second around the measurement */
} BenchRow;

/* A line of JSON in an array, verdict first; `first` is cleared. Returns 0, or RESR_ERR_INTERNAL if
 * the result is wrong. */
RESR_MUST_CHECK int bench_row_print(const BenchRow *row, int *first);

/* Root mean square of the difference of `got` to `expected`, over that of the latter's own
 * variation. */
double bench_relative_error(const float *expected, const float *got, size_t n);

#endif
