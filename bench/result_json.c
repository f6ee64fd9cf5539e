#include "result_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int bench_row_print(const BenchRow *row, int *first)
{
    bool exact = row->ops->numerics == RESR_NUMERICS_EXACT, correct = row->error <= row->limit;
    double rate = row->flops / row->seconds;
    double peak = fmax(row->peak_before, row->peak_after),
           least = fmin(row->peak_before, row->peak_after);
    bool disturbed = least < 0.95 * peak || (exact && peak > 0 && rate > peak);
    printf("%s\n  {\"verdict\": \"%s\", \"relative_error\": %.2g, \"%s\": \"%s\", "
           "\"backend\": \"%s\", \"class\": \"%s\", \"operands\": \"%s\", \"threads\": %d, "
           "\"width_px\": %d, \"height_px\": %d, \"seconds\": %.6f, \"gflops\": %.1f, "
           "\"peak_gflops\": %.1f, \"share_of_peak\": %.3f, \"disturbed\": %s}",
           *first ? "" : ",",
           !correct ? "WRONG"
           : exact  ? "same values as c"
                    : "ok",
           row->error, row->kind, row->name, row->ops->name, resr_ops_class(row->ops),
           strstr(row->peak_of, "bf16") ? "bf16" : "fp32", row->threads, row->width_px,
           row->height_px, row->seconds, rate * 1e-9, peak * 1e-9, peak > 0 ? rate / peak : 0.0,
           disturbed ? "true" : "false");
    *first = 0;
    fflush(stdout);
    return correct ? 0 : RESR_ERR_INTERNAL;
}

double bench_relative_error(const float *expected, const float *got, size_t n)
{
    double mean = 0, variation = 0, difference = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)expected[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        variation += ((double)expected[i] - mean) * ((double)expected[i] - mean);
        difference += (double)(got[i] - expected[i]) * (double)(got[i] - expected[i]);
    }
    return sqrt(difference / variation);
}
