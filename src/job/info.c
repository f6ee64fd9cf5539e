#include "job/info.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "base/cpu_features.h"
#include "base/text.h"
#include "media/version.h"
#include "version.h"

static void print_cpu_features(void)
{
    static const struct {
        unsigned flag;
        const char *name;
    } features[] = {
        {RESR_CPU_AVX2, "avx2+fma"},
        {RESR_CPU_AVX512, "avx512"},
        {RESR_CPU_AVX512_BF16, "avx512-bf16"},
        {RESR_CPU_AMX_BF16, "amx-bf16"},
    };
    unsigned flags = resr_cpu_flags();
    printf("%-12s %s:", "CPU", resr_cpu_brand());
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        printf(" %s%s", flags & features[i].flag ? "" : "no-", features[i].name);
    printf("\n");
}

/* "fp32 avx512 742": class, backend, GFLOP/s of direct convolution. */
static void print_candidate(const ResrCandidate *candidate)
{
    printf("%-12s %-12s", candidate->class, candidate->backend);
    if (candidate->flops > 0)
        printf(" %6.0f GFLOP/s", candidate->flops * 1e-9);
    printf("\n");
}

static void print_probe(const ResrProbe *probe)
{
    char class[16];
    for (int i = 0; i < probe->count; i++) {
        printf("%-12s ", "");
        print_candidate(&probe->candidates[i]);
    }
    if (resr_select_backend_class(class, probe, 1) == 0)
        printf("%-12s chosen for one rank: class %s, backend %s\n", "", class,
               resr_select_backend_fastest(probe, class)->name);
}

static void print_backends(void)
{
    ResrProbe probe;
    printf("%-12s of one thread, x4plus's layers:\n", "backends");
    if (resr_select_backend_probe(&probe, RESR_ARCH_RRDB, "all", "auto", ~0u, 1) == 0)
        print_probe(&probe);
}

void resr_info_print_version(const char *mpi)
{
    struct utsname system;
    printf("realesrgan-mpi %s\n", RESR_VERSION);
    printf("%-12s %s, %s\n", "built with", RESR_COMPILER, RESR_BUILD_TYPE);
    if (uname(&system) == 0)
        printf("%-12s %s %s %s\n", "system", system.sysname, system.release, system.machine);
    printf("%-12s %.*s\n", "MPI", 60, mpi);
    resr_media_print_versions();
    print_cpu_features();
    print_backends();
}

void resr_info_print_models(const char *where)
{
    const ResrModelEntry *entry;
    char path[RESR_PATH_BYTES], shown[RESR_TEXT_SHOWN_PATH_BYTES], command[RESR_PATH_BYTES];
    resr_model_fetch_command(command, sizeof command);
    for (int i = 0; (entry = resr_model_entry(i)); i++) {
        int missing =
            resr_model_locate(path, sizeof path, entry, where && where[0] ? where : NULL) < 0;
        printf("%-32s %dx  %s\n", entry->name, entry->scale, entry->about);
        if (entry->alias)
            printf("%-32s     also %s\n", "", entry->alias);
        if (missing)
            printf("%-32s     not found; fetch it with: %s %s\n", "",
                   resr_text_show(shown, sizeof shown, command), entry->name);
        else
            printf("%-32s     %s\n", "", resr_text_show(shown, sizeof shown, path));
    }
}

void resr_info_print_devices(const ResrRankInfo *ranks, int n)
{
    for (int i = 0; i < n; i++) {
        printf("rank %-4d %s: %s, %d of its %d CPUs\n", ranks[i].rank, ranks[i].host, ranks[i].cpu,
               ranks[i].threads, ranks[i].cpus);
        if (ranks[i].probe.device[0])
            printf("%-12s %s\n", "", ranks[i].probe.device);
        print_probe(&ranks[i].probe);
    }
}
