#include "base/cpu_features.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Register state that the operating system saves on a context switch (XCR0). An instruction
 * whose registers it does not save faults even if the CPU has it. */
enum {
    XCR0_SSE_AVX = 0x6,
    XCR0_AVX512 = 0xe0 | XCR0_SSE_AVX,
    XCR0_AMX = 0x60000,
};

/* CPUID leaf 7: bits that older versions of cpuid.h lack. */
enum {
    LEAF7_EDX_AMX = 1 << 22 | 1 << 24, /* AMX-BF16, AMX-TILE */
    LEAF7_1_EAX_AVX512_BF16 = 1 << 5,
};

static unsigned read_xcr0(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has(unsigned value, unsigned bits)
{
    return (value & bits) == bits;
}

/* Requests the tile registers, which Linux grants to a process only on request; threads inherit the
 * permission, and a second request is harmless (Linux: Documentation/arch/x86/xstate.rst). */
static bool tiles_permitted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

unsigned resr_cpu_flags(void)
{
    unsigned a, b, c, d, basic, flags = 0;
    if (!__get_cpuid(1, &a, &b, &basic, &d) || !has(basic, bit_OSXSAVE))
        return 0;
    unsigned xcr0 = read_xcr0();
    if (!has(xcr0, XCR0_SSE_AVX) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (!has(b, bit_AVX2) || !has(basic, bit_FMA | bit_F16C))
        return 0;
    flags |= RESR_CPU_AVX2;
    if (!has(xcr0, XCR0_AVX512) ||
        !has(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL))
        return flags;
    flags |= RESR_CPU_AVX512;

    unsigned amx = d, extended = 0;
    __get_cpuid_count(7, 1, &extended, &b, &c, &d);
    if (has(extended, LEAF7_1_EAX_AVX512_BF16))
        flags |= RESR_CPU_AVX512_BF16;
    if (has(flags, RESR_CPU_AVX512_BF16) && has(xcr0, XCR0_AMX) && has(amx, LEAF7_EDX_AMX) &&
        tiles_permitted())
        flags |= RESR_CPU_AMX_BF16;
    return flags;
}

static void read_brand(char brand[49])
{
    unsigned words[12] = {0};
    unsigned *word = words;
    for (unsigned leaf = 0x80000002; leaf <= 0x80000004; leaf++, word += 4)
        if (!__get_cpuid(leaf, &word[0], &word[1], &word[2], &word[3]))
            break;
    memcpy(brand, words, sizeof words);
    brand[48] = '\0';
}

#else

unsigned resr_cpu_flags(void)
{
    return 0;
}

static void read_brand(char brand[49])
{
    brand[0] = '\0';
}

#endif

const char *resr_cpu_brand(void)
{
    static _Thread_local char brand[49];
    read_brand(brand);
    size_t length = strlen(brand);
    while (length > 0 && brand[length - 1] == ' ')
        brand[--length] = '\0';
    const char *start = brand + strspn(brand, " ");
    return *start ? start : "unknown CPU";
}

int resr_cpu_parse_mask(unsigned *mask, const char *text)
{
    static const struct {
        const char *name;
        unsigned highest;
    } sets[] = {
        {"c", 0},
        {"avx2", RESR_CPU_AVX2},
        {"avx512", RESR_CPU_AVX512},
        {"avx512_bf16", RESR_CPU_AVX512_BF16},
        {"amx_bf16", RESR_CPU_AMX_BF16},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (strcmp(text, sets[i].name) == 0) {
            *mask = sets[i].highest ? 2 * sets[i].highest - 1 : 0;
            return 0;
        }
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 0);
    if (errno || end == text || *end || text[0] == '-' || value > 0xffffffffu)
        return resr_fail(RESR_ERR_USAGE,
                         "--cpumask %s: give c, avx2, avx512, avx512_bf16, amx_bf16 or a number",
                         text);
    *mask = (unsigned)value;
    return 0;
}
