#include "job/plan_request.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define PCIE4 32, "PCIe 4.0 x16"
#define PCIE5 64, "PCIe 5.0 x16"

/* The figures of cuda/README.md; the test cuda.model compares them. */
static const ResrPlanDevice devices[] = {
    {"h100", "H100 SXM", "wgmma", 352, 488, PCIE5}, {"h200", "H200", "wgmma", 353, 492, PCIE5},
    {"a100", "A100 80 GB", "mma", 107, 151, PCIE4}, {"rtx4090", "RTX 4090", "mma", 57, 80, PCIE4},
    {"rtx5090", "RTX 5090", "mma", 72, 101, PCIE5}, {"b200", "B200", "mma", 190, 267, PCIE5},
};

const ResrPlanDevice *resr_plan_request_device(const char *name)
{
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (strcmp(devices[i].name, name) == 0)
            return &devices[i];
    return NULL;
}

static bool starts_with(const char **text, const char *word)
{
    size_t length = strlen(word);
    bool found = strncmp(*text, word, length) == 0;
    *text += found ? length : 0;
    return found;
}

/* Adds a number of ranks, which must be larger than the last one. */
static bool add(ResrPlanRequest *out, int64_t ranks)
{
    if (out->count == RESR_PLAN_REQUEST_RANKS || ranks > RESR_MAX_RANKS || ranks < 1 ||
        (out->count > 0 && ranks <= out->ranks[out->count - 1]))
        return false;
    out->ranks[out->count++] = (int32_t)ranks;
    return true;
}

static bool parse_ranks(const char **text, int64_t *ranks)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *ranks = strtoll(*text, &end, 10);
    *text = end;
    return errno == 0;
}

/* Adds the numbers that "..." stands for before `last`. */
static bool fill_gap(ResrPlanRequest *out, int64_t last)
{
    int n = out->count;
    if (n == 0 || last <= out->ranks[n - 1])
        return false;
    int64_t b = out->ranks[n - 1], a = n > 1 ? out->ranks[n - 2] : 0;
    bool doubling = n == 1 || b == 2 * a;
    for (int64_t next = doubling ? 2 * b : 2 * b - a; next < last;
         next = doubling ? 2 * next : next + b - a)
        if (!add(out, next))
            return false;
    return true;
}

static bool parse_list(ResrPlanRequest *out, const char **text)
{
    int64_t ranks;
    do {
        bool gap = starts_with(text, "...,");
        if (!parse_ranks(text, &ranks) || (gap && !fill_gap(out, ranks)) || !add(out, ranks))
            return false;
    } while (**text == ',' && (((*text)[1] >= '0' && (*text)[1] <= '9') || (*text)[1] == '.') &&
             (*text)++);
    return true;
}

static bool parse_option(ResrPlanRequest *out, const char **text)
{
    const char *start;
    int64_t ranks = 0;
    char *end;
    if (starts_with(text, ",host=")) {
        bool good = parse_ranks(text, &ranks) && ranks >= 1 && ranks <= RESR_MAX_RANKS;
        out->host_ranks = (int32_t)ranks;
        return good;
    }
    if (!starts_with(text, ",network="))
        return false;
    start = *text;
    out->network_gbit = strtod(start, &end);
    *text = end;
    return end != start && out->network_gbit >= 1e-3 && out->network_gbit <= 1e6;
}

int resr_plan_request_parse(ResrPlanRequest *out, const char *text)
{
    const char *rest = text;
    out->count = out->host_ranks = 0;
    out->network_gbit = 0;
    bool good = starts_with(&rest, "ranks=") && parse_list(out, &rest);
    while (good && *rest)
        good = parse_option(out, &rest);
    return good
               ? 0
               : resr_fail(RESR_ERR_USAGE,
                           "--plan: '%s' was given, near '%s'; expected ranks=LIST, rising numbers "
                           "up to %d, at most %d, with ... to continue by doubling or by a step: "
                           "ranks=1,2,4,...,1024 or ranks=2,4,6,...,24; then ,host=RANKS of a "
                           "machine and ,network=GBIT if known",
                           text, rest, RESR_MAX_RANKS, RESR_PLAN_REQUEST_RANKS);
}

int resr_plan_request_parse_device(ResrPlanRequest *out, const char *text)
{
    char list[256] = "cpu", *end;
    out->tflops = 0;
    snprintf(out->device, sizeof out->device, "%s", text);
    if (strcmp(text, "cpu") == 0 || (resr_plan_request_device(text)))
        return 0;
    double tflops = strtod(text, &end);
    if (end != text && !*end && tflops >= 1e-6 && tflops <= 1e6) {
        out->tflops = tflops;
        return 0;
    }
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), ", %s", devices[i].name);
    return resr_fail(RESR_ERR_USAGE,
                     "--device: '%s' was given, expected one of %s, or a number: effective TFLOP/s "
                     "of a rank",
                     text, list);
}
