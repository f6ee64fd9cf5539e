#ifndef RESR_BENCH_RESULT_JSON_H
#define RESR_BENCH_RESULT_JSON_H

#include "net/backend.h"

/* A measurement: its subject, error and speed. */
typedef struct BenchRow {
    const char *kind, *name; /* "network" or "layer", and which */
    const ResrOps *ops;
    const char *peak_of; /* backend whose peak the speed is related to (peak.h) */
    int threads, width_px, height_px;
    double error, limit;            /* as of bench_relative_error() */
    double flops, seconds;          /* operations of direct convolution; best time */
    double peak_before, peak_after; /* operations per second around the measurement */
} BenchRow;

/* Prints a line of a JSON array, verdict first, and clears *first. RESR_ERR_INTERNAL if the result
 * is wrong. */
RESR_MUST_CHECK int bench_row_print(const BenchRow *row, int *first);

/* Root mean square of got - expected, over the standard deviation of `expected`. */
double bench_relative_error(const float *expected, const float *got, size_t n);

#endif
