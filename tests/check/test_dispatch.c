/* The list of CPU backends, and --cpumask. */
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

/* A backend needs the instruction set of its name, and runs if the mask allows this set and the CPU
 * has it. The first backend is the scalar reference. */
static void backends(void **state)
{
    (void)state;
    unsigned flags = resr_cpu_flags();
    assert_string_equal(resr_cpu_ops(0)->name, "c");
    assert_true(resr_cpu_can_run(resr_cpu_ops(0), 0));
    for (int i = 1; resr_cpu_ops(i); i++) {
        const ResrOps *ops = resr_cpu_ops(i);
        bool as_described = !ops->available || ops->available(ops);
        unsigned mask;
        assert_int_equal(resr_cpu_parse_mask(&mask, ops->name), 0);
        assert_int_equal(2 * ops->cpu_needs - 1, mask);
        assert_false(resr_cpu_can_run(ops, ~ops->cpu_needs));
        assert_int_equal(resr_cpu_can_run(ops, ops->cpu_needs),
                         (flags & ops->cpu_needs) == ops->cpu_needs && as_described);
        assert_int_equal(resr_numerics(ops->numerics)->needs, RESR_ON_CPU);
        assert_string_equal(resr_ops_class(ops), resr_numerics(ops->numerics)->name);
    }
    assert_null(resr_cpu_ops(-1));
    assert_true(resr_cpu_brand()[0] != '\0');
}

/* An instruction set is reported only together with all sets below it. */
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
}

TEST_MAIN(masks, backends, flags_are_nested)
