/* The choice of a numerics class from the measurements of the ranks. */
#include <stdio.h>
#include <string.h>

#include "check_net.h"
#include "net/select_backend.h"

static ResrProbe probe_of(int count, const ResrCandidate *candidates)
{
    ResrProbe probe = {.count = count, .threads = 1};
    memcpy(probe.candidates, candidates, (size_t)count * sizeof *candidates);
    return probe;
}

static const ResrCandidate zen[] = {
    {"c", "exact", 0, RESR_NUMERICS_EXACT},
    {"avx512", "exact", 0, RESR_NUMERICS_EXACT},
    {"avx2", "fp32", 400e9, RESR_NUMERICS_FP32},
    {"avx512", "fp32", 750e9, RESR_NUMERICS_FP32},
    {"avx512_bf16", "bf16-avx512", 900e9, RESR_NUMERICS_BF16_AVX512}};
static const ResrCandidate old[] = {{"c", "exact", 0, RESR_NUMERICS_EXACT},
                                    {"avx2", "fp32", 400e9, RESR_NUMERICS_FP32}};

static void bf16_where_it_is_faster(void **state)
{
    (void)state;
    char class[16];
    ResrProbe probe = probe_of(5, zen);
    assert_int_equal(resr_select_backend_class(class, &probe, 1), 0);
    assert_string_equal(class, "bf16-avx512");
    assert_string_equal(resr_select_backend_fastest(&probe, "fp32")->name, "avx512");
    assert_null(resr_select_backend_fastest(&probe, "bf16-amx"));

    probe.candidates[4].flops = 770e9; /* less than a twentieth more */
    assert_int_equal(resr_select_backend_class(class, &probe, 1), 0);
    assert_string_equal(class, "fp32");
}

static void bf16_by_the_instructions_of_fp32(void **state)
{
    (void)state;
    char class[16];
    ResrProbe probes[] = {probe_of(5, zen), probe_of(5, zen)};
    snprintf(probes[0].candidates[4].backend, sizeof probes[0].candidates[4].backend, "avx512");
    assert_int_equal(resr_select_backend_class(class, probes, 1), 0);
    assert_string_equal(class, "fp32");
    probes[1].candidates[4].flops = 1800e9; /* gains more than the other rank loses */
    probes[0].candidates[4].flops = 600e9;
    assert_int_equal(resr_select_backend_class(class, probes, 2), 0);
    assert_string_equal(class, "bf16-avx512");
}

/* Ranks that cannot run a class have speed 0 in it. */
static void the_sum_over_ranks_decides(void **state)
{
    (void)state;
    char class[16];
    ResrProbe probes[] = {probe_of(5, zen), probe_of(2, old), probe_of(0, zen)};
    assert_int_equal(resr_select_backend_class(class, probes, 3), 0);
    assert_string_equal(class, "fp32");
}

static void exact_is_the_last_resort(void **state)
{
    (void)state;
    char class[16];
    ResrProbe probes[] = {probe_of(1, zen), probe_of(1, zen)};
    assert_int_equal(resr_select_backend_class(class, probes, 2), 0);
    assert_string_equal(class, "exact");
    assert_int_equal(resr_select_backend_class(class, probes, 0), RESR_ERR_DEVICE);
    probes[0] = probe_of(4, zen);
    probes[0].candidates[1].flops = 5000e9; /* faster than fp32 */
    assert_int_equal(resr_select_backend_class(class, probes, 1), 0);
    assert_string_equal(class, "fp32");
}

static void options_narrow_the_candidates(void **state)
{
    (void)state;
    ResrProbe probe;
    assert_int_equal(resr_select_backend_probe(&probe, RESR_ARCH_SRVGG, "auto", "auto", 0, 2), 0);
    assert_int_equal(probe.count, 1);
    assert_string_equal(probe.candidates[0].backend, "c");
    assert_int_equal(resr_select_backend_probe(&probe, RESR_ARCH_RRDB, "exact", "auto", ~0u, 2), 0);
    for (int i = 0; i < probe.count; i++) {
        assert_string_equal(probe.candidates[i].class, "exact");
        assert_true(i == 0 || probe.candidates[i].flops > 0);
    }
    assert_int_equal(resr_select_backend_probe(&probe, RESR_ARCH_RRDB, "fp32", "auto", 0, 1),
                     RESR_ERR_DEVICE);
    assert_non_null(strstr(resr_error_text(), "--precision fp32"));
    assert_int_equal(resr_select_backend_probe(&probe, RESR_ARCH_RRDB, "auto", "abacus", ~0u, 1),
                     RESR_ERR_USAGE);
    assert_non_null(strstr(resr_error_text(), "abacus"));
}

/* A resumed job compares --precision with the class in its folder. */
static void classes_have_the_precision_that_asks_for_them(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"exact", "exact"},   {"fp32", "fp32"},        {"bf16-avx512", "bf16"},
        {"bf16-amx", "bf16"}, {"fp16-sm90", "fp16"},   {"bf16-sm90", "bf16"},
        {"mma-sm80", "fp16"}, {"cublas-sm75", "fp16"}, {"", ""},
        {"fp64", ""},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(resr_numerics_precision(expected[i][0]), expected[i][1]);
}

TEST_MAIN(bf16_where_it_is_faster, bf16_by_the_instructions_of_fp32, the_sum_over_ranks_decides,
          exact_is_the_last_resort, options_narrow_the_candidates,
          classes_have_the_precision_that_asks_for_them)
