#include "base/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Iteration over the process's cgroups of one controller. */
typedef struct CgroupPaths {
    const char *root, *controller;
    char places[2][PATH_MAX]; /* paths of the process's cgroups, by version - 1; empty: none */
    /* Called for each cgroup's folder. */
    void (*visit)(void *result, const char *folder, bool unified);
    void *result;
} CgroupPaths;

/* Whether `word` is one of the comma-separated words of `list`. */
static bool contains(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && strchr(",\n", at[length]))
            return true;
    }
    return false;
}

/* Replaces the kernel's octal escapes, such as \040, by their characters. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
}

/* ID:CONTROLLERS:PATH; version 2 names no controllers. */
static void parse_cgroup(CgroupPaths *cgroups, char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(++controllers, ':') : NULL;
    if (!path)
        return;
    *path++ = 0;
    path[strcspn(path, "\n")] = 0;
    if (!*controllers || contains(controllers, cgroups->controller))
        snprintf(cgroups->places[!*controllers], PATH_MAX, "%s", path);
}

/* The process's cgroup and its parents below a mount, whose own cgroup is `top`. Where the process
 * is not below `top`, as seen from within a container, the mount's own limits still hold. */
static void visit_mount(const CgroupPaths *cgroups, const char *mount, const char *top,
                        bool unified)
{
    char folder[PATH_MAX];
    size_t top_length = strcmp(top, "/") == 0 ? 0 : strlen(top);
    const char *below = cgroups->places[unified];
    below = strncmp(below, top, top_length) == 0 ? below + top_length : "";
    int used =
        snprintf(folder, sizeof folder, "%s%s%s", cgroups->root, mount, *below == '/' ? below : "");
    if (used >= (int)sizeof folder)
        return;
    for (char *end = folder + used; end; end = strrchr(folder, '/')) {
        *end = 0;
        if (strlen(folder) < strlen(cgroups->root) + strlen(mount))
            break;
        cgroups->visit(cgroups->result, folder, unified);
    }
}

/* ID PARENT DEVICE TOP MOUNT OPTIONS [TAG...] - TYPE SOURCE OPTIONS. */
static void parse_mount(CgroupPaths *cgroups, char *line)
{
    char top[PATH_MAX], mount[PATH_MAX], type[16], *tail = strstr(line, " - ");
    int options = 0;
    _Static_assert(PATH_MAX == 4096, "the widths below");
    if (!tail || sscanf(tail, " - %15s %*s %n", type, &options) != 1 || options == 0 ||
        sscanf(line, "%*s %*s %*s %4095s %4095s", top, mount) != 2)
        return;
    bool unified = strcmp(type, "cgroup2") == 0;
    if (!unified && (strcmp(type, "cgroup") != 0 || !contains(tail + options, cgroups->controller)))
        return;
    unescape(top);
    unescape(mount);
    if (cgroups->places[unified][0])
        visit_mount(cgroups, mount, top, unified);
}

static void read_lines(CgroupPaths *cgroups, const char *name,
                       void (*take)(CgroupPaths *cgroups, char *line))
{
    char path[PATH_MAX], *line = NULL;
    size_t room = 0;
    if (snprintf(path, sizeof path, "%s%s", cgroups->root, name) >= (int)sizeof path)
        return;
    FILE *file = fopen(path, "rbe");
    while (file && getline(&line, &room, file) > 0)
        take(cgroups, line);
    if (file)
        fclose(file);
    free(line);
}

static void walk_cgroups(const char *root, const char *controller,
                         void (*visit)(void *result, const char *folder, bool unified),
                         void *result)
{
    CgroupPaths cgroups = {
        .root = root, .controller = controller, .visit = visit, .result = result};
    read_lines(&cgroups, "/proc/self/cgroup", parse_cgroup);
    read_lines(&cgroups, "/proc/self/mountinfo", parse_mount);
}

/* The first `count` numbers of a folder's file; "max" is -1. False if it has fewer. */
static bool read_numbers(const char *folder, const char *name, long long *numbers, int count)
{
    char path[PATH_MAX], word[32];
    int found = 0;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    for (; found < count && fscanf(file, "%31s", word) == 1; found++)
        numbers[found] = strcmp(word, "max") == 0 ? -1 : strtoll(word, NULL, 10);
    fclose(file);
    return found == count;
}

static void lower_quota(void *result, const char *folder, bool unified)
{
    ResrCpuQuota *quota = result;
    long long numbers[2]; /* quota, period */
    struct stat status;
    bool found = unified ? read_numbers(folder, "cpu.max", numbers, 2)
                         : read_numbers(folder, "cpu.cfs_quota_us", numbers, 1) &&
                               read_numbers(folder, "cpu.cfs_period_us", numbers + 1, 1);
    if (!found || numbers[0] <= 0 || numbers[1] <= 0 || stat(folder, &status) != 0)
        return;
    double cpus = (double)numbers[0] / (double)numbers[1];
    if (quota->cpus == 0 || cpus < quota->cpus)
        *quota = (ResrCpuQuota){cpus, (uint64_t)status.st_dev, (uint64_t)status.st_ino};
}

ResrCpuQuota resr_cgroup_cpu_quota(const char *root)
{
    ResrCpuQuota quota = {0};
    walk_cgroups(root, "cpu", lower_quota, &quota);
    return quota;
}

static void lower_memory(void *result, const char *folder, bool unified)
{
    int64_t *bytes = result;
    long long limit;
    if (read_numbers(folder, unified ? "memory.max" : "memory.limit_in_bytes", &limit, 1) &&
        limit > 0 && limit < INT64_MAX / 2 && limit < *bytes) /* version 1 has no "max" */
        *bytes = limit;
}

int64_t resr_cgroup_memory_bytes(const char *root)
{
    int64_t bytes = INT64_MAX;
    walk_cgroups(root, "memory", lower_memory, &bytes);
    return bytes;
}
