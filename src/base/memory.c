#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/cgroup.h"
#include "base/limits.h"

int resr_alloc_uninitialised(void *out, size_t count, size_t size)
{
    void **pointer = out;
    size_t bytes;
    *pointer = NULL;
    if (!resr_checked_mul(&bytes, count, size) || bytes > SIZE_MAX / 2)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu x %zu bytes overflow", count, size);
    bytes = resr_round_up(bytes ? bytes : 1, RESR_ALIGN_BYTES);
    *pointer = aligned_alloc(RESR_ALIGN_BYTES, bytes);
    if (!*pointer)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu bytes were refused", bytes);
    return 0;
}

int resr_alloc(void *out, size_t count, size_t size)
{
    int ret = resr_alloc_uninitialised(out, count, size);
    if (ret == 0)
        memset(*(void **)out, 0, count * size);
    return ret;
}

int resr_grow_zeroed(void *array, size_t *capacity, size_t index, size_t size)
{
    enum { FIRST = 1024 };
    void **pointer = array;
    size_t more, bytes;
    if (index < *capacity)
        return 0;
    bool fits = resr_checked_add(&more, index, index < FIRST ? FIRST : index / 2) &&
                resr_checked_mul(&bytes, more, size);
    void *grown = fits ? realloc(*pointer, bytes) : NULL;
    if (!grown)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu x %zu bytes", index, size);
    memset((char *)grown + *capacity * size, 0, bytes - *capacity * size);
    *pointer = grown;
    *capacity = more;
    return 0;
}

int resr_grow_by(void *array, size_t *capacity, size_t count, size_t more, size_t size)
{
    enum { FIRST = 64 };
    void **pointer = array;
    size_t needed, bytes, grown_capacity = *capacity ? 2 * *capacity : FIRST;
    bool fits = resr_checked_add(&needed, count, more);
    if (fits && needed <= *capacity)
        return 0;
    if (fits && grown_capacity < needed)
        grown_capacity = needed;
    fits = fits && resr_checked_mul(&bytes, grown_capacity, size);
    void *grown = fits ? realloc(*pointer, bytes) : NULL;
    if (!grown)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu + %zu elements of %zu bytes", count,
                         more, size);
    *pointer = grown;
    *capacity = grown_capacity;
    return 0;
}

int resr_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    return resr_grow_by(array, capacity, count, 1, size);
}

static int own_place = 1;
static int64_t expected_each_bytes, expected_once_bytes;

/* RAM, plus swap space with `swap`. */
static int64_t machine_bytes(bool swap)
{
    struct sysinfo info;
    if (sysinfo(&info) != 0)
        return INT64_MAX;
    return (int64_t)((info.totalram + (swap ? info.totalswap : 0)) * info.mem_unit);
}

int64_t resr_memory_bytes(void)
{
    int64_t machine = machine_bytes(false), group = resr_cgroup_memory_bytes("");
    return group < machine ? group : machine;
}

void resr_memory_share(int place)
{
    own_place = place > 1 ? place : 1;
}

void resr_memory_expect(int64_t each_bytes, int64_t once_bytes)
{
    expected_each_bytes = each_bytes;
    expected_once_bytes = once_bytes;
}

/* Bytes that the processes up to this one need without what is counted once. */
static double needed_bytes(int64_t bytes)
{
    return ((double)bytes + (double)expected_each_bytes) * own_place;
}

/* RAM and swap space, or the cgroup's limit. */
static double limit_bytes(bool *by_group)
{
    int64_t machine = machine_bytes(true), group = resr_cgroup_memory_bytes("");
    *by_group = group < machine;
    return (double)(*by_group ? group : machine);
}

bool resr_memory_fits(int64_t bytes)
{
    bool by_group;
    return needed_bytes(bytes) + (double)expected_once_bytes <= limit_bytes(&by_group);
}

int resr_memory_check(const char *what, int64_t bytes, const char *remedy)
{
    const double gib = 1 << 30;
    bool by_group;
    double limit = limit_bytes(&by_group), ranks = needed_bytes(bytes);
    if (resr_memory_fits(bytes))
        return 0;
    bool pool = ranks <= limit; /* a smaller pool is enough */
    return resr_fail(RESR_ERR_DEVICE,
                     "%s: %.1f GiB are needed (%d rank%s of %.1f GiB on this machine, %.1f GiB for "
                     "the pool of frames and its encoders), but %.1f GiB are available (%s); %s%s",
                     what, (ranks + (double)expected_once_bytes) / gib, own_place,
                     own_place == 1 ? "" : "s", ranks / own_place / gib,
                     (double)expected_once_bytes / gib, limit / gib,
                     by_group ? "the cgroup's limit" : "RAM and swap",
                     pool ? "bound the pool by a smaller --memory, or " : "", remedy);
}
