/* Which backend is chosen, and what is refused. */
#include "base/cpu_features.h"
#include "check_net.h"
#include "cpu/dispatch.h"

static void masks(void **state)
{
    (void)state;
    unsigned mask;
    assert_int_equal(resr_cpu_parse_mask(&mask, "c"), 0);
    assert_int_equal(mask, 0);
    assert_int_equal(resr_cpu_parse_mask(&mask, "avx2"), 0);
    assert_int_equal(mask, RESR_CPU_AVX2);
    assert_int_equal(resr_cpu_parse_mask(&mask, "avx512"), 0);
    assert_int_equal(mask, RESR_CPU_AVX2 | RESR_CPU_AVX512);
    assert_int_equal(resr_cpu_parse_mask(&mask, "amx_bf16"), 0);
    assert_int_equal(mask, 15);
    assert_int_equal(resr_cpu_parse_mask(&mask, "0x3"), 0);
    assert_int_equal(mask, 3);
    const char *const refused[] = {"", "avx", "AVX2", "-1", "3x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(resr_cpu_parse_mask(&mask, refused[i]), RESR_ERR_USAGE);
        assert_non_null(strstr(resr_error_text(), "--cpumask"));
    }
}

static void choice(void **state)
{
    (void)state;
    assert_string_equal(resr_cpu_select(RESR_NUMERICS_EXACT, NULL, 0)->name, "c");
    assert_string_equal(resr_cpu_select(RESR_NUMERICS_EXACT, "c", ~0u)->name, "c");
    const ResrOps *best = resr_cpu_select(RESR_NUMERICS_EXACT, NULL, ~0u);
    unsigned flags = resr_cpu_flags();
    assert_string_equal(best->name, flags & RESR_CPU_AVX512 ? "avx512"
                                    : flags & RESR_CPU_AVX2 ? "avx2"
                                                            : "c");
    assert_null(resr_cpu_select(RESR_NUMERICS_EXACT, "avx512", RESR_CPU_AVX2));
    assert_non_null(strstr(resr_error_text(), "avx512"));
    assert_null(resr_cpu_select(RESR_NUMERICS_EXACT, "abacus", ~0u));
    assert_null(resr_cpu_select(RESR_NUMERICS_FP16_GPU, NULL, ~0u));
    assert_true(resr_cpu_brand()[0] != '\0');
}

/* An instruction set is only reported together with those below it. */
static void flags_are_nested(void **state)
{
    (void)state;
    unsigned flags = resr_cpu_flags();
    if (flags & RESR_CPU_AMX_BF16)
        assert_true(flags & RESR_CPU_AVX512_BF16);
    if (flags & RESR_CPU_AVX512_BF16)
        assert_true(flags & RESR_CPU_AVX512);
    if (flags & RESR_CPU_AVX512)
        assert_true(flags & RESR_CPU_AVX2);
    assert_null(resr_cpu_ops(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks),
        cmocka_unit_test(choice),
        cmocka_unit_test(flags_are_nested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
