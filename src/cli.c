#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <popt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "cpu/dispatch.h"

/* Values as popt leaves them: text, since a number's error message should show what was typed. */
typedef struct Values {
    char *input, *output, *jobs, *scale, *model_name, *model_path, *tile, *tile_pad, *batch,
        *segment, *memory, *backend, *conv, *precision, *transport, *cpumask, *threads, *task,
        *outscale, *denoise, *codec, *crf, *preset, *pix_fmt, *encoder_threads, *encoders, *encode,
        *schedule, *root, *frames, *report, *framehash, *trace, *progress, *hwaccel, *checkpoint,
        *job_dir, *deadline, *plan, *device, *on_error;
    int overwrite, keep_frames, dry_run, list_models, list_devices, version, help;
} Values;

/* Taken by parse_words(), which frees what an option had before: popt would lose it. */
#define STR(long_name, letter, field, text, value)                                                 \
    {                                                                                              \
        long_name, letter, POPT_ARG_STRING, NULL,                                                  \
            (int)(offsetof(Values, field) / sizeof(char *)) + 1, text, value                       \
    }
#define FLAG(long_name, letter, field, text)                                                       \
    {                                                                                              \
        long_name, letter, POPT_ARG_NONE, &v->field, 0, text, NULL                                 \
    }

#define XSTR(x) #x
#define STRING(x) XSTR(x)
enum { N_OPTIONS = 49 };

static void fill_table(struct poptOption table[N_OPTIONS], Values *v)
{
    const struct poptOption options[] = {
        STR("input", 'i', input, "video, image, folder of images or pattern (%05d.png)", "PATH"),
        STR("output", 'o', output, "video, image, folder or pattern to write", "PATH"),
        STR("jobs", 0, jobs, "many videos, a line of options for each; -: stdin", "FILE|-"),
        STR("scale", 's', scale, "2: RealESRGAN_x2plus, 4: RealESRGAN_x4plus, unless -n says else",
            "N"),
        STR("model-name", 'n', model_name, "network, see --list-models", "NAME"),
        STR("model", 'm', model_path, "weight file (.pth, .safetensors, .param) or folder of them",
            "DIR|FILE"),
        STR("task", 0, task, "SD2HD, HD24K (x2plus), SD24K (x4plus), 4K28K (x4plus at 2x)", "TASK"),
        STR("outscale", 0, outscale, "resize the network's output to F times the input", "F"),
        STR("denoise", 0, denoise, "0..1, realesr-general-x4v3 only [0.5]", "F"),
        STR("tile", 't', tile,
            "tile side in input pixels, 0: whole frame [" STRING(RESR_TILE_PX) "]", "PX"),
        STR("tile-pad", 0, tile_pad, "context around a tile [" STRING(RESR_TILE_PAD_PX) "]", "PX"),
        STR("batch", 0, batch, "frames handed to a rank at once [" STRING(RESR_BATCH_FRAMES) "]",
            "N"),
        STR("segment", 0, segment,
            "frames of a closed GOP, 0: one for all [" STRING(RESR_SEGMENT_FRAMES) "]", "N"),
        STR("frames", 0, frames, "only the first N frames", "N"),
        STR("hwaccel", 0, hwaccel,
            "decode by a device: auto, or vaapi, cuda, vdpau, ... as FFmpeg has it [none]", "NAME"),
        STR("on-error", 0, on_error, "at damage in the input: stop, continue [stop]", "NAME"),
        STR("memory", 0, memory, "bound on rank 0's pool of frames [a quarter of the RAM]", "SIZE"),
        STR("backend", 0, backend,
            "auto, c, avx2, avx512, avx512_bf16, amx_bf16, cuda; simulate:SPEC, for planning "
            "[auto]",
            "NAME"),
        STR("conv", 0, conv, "the GPU's convolutions: auto, mma, wgmma, cublas [auto]", "NAME"),
        STR("transport", 0, transport, "of weights to GPUs: auto, mpi, nccl [auto]", "NAME"),
        STR("precision", 0, precision,
            "bf16, fp32, exact (direct fp32, same bits on every CPU), fp16 (GPUs), auto: the "
            "faster of bf16 and fp32, on GPUs fp16 [auto]",
            "NAME"),
        STR("cpumask", 0, cpumask, "use no more than this instruction set: c, avx2, avx512, ...",
            "SET"),
        STR("threads", 0, threads, "threads of a rank [its share of the CPUs or quota]", "N"),
        STR("codec", 0, codec, "any video encoder of FFmpeg [libx264, or by the ending]", "NAME"),
        STR("crf", 0, crf, "quality of the encoder [17: libx264]; .jpg 0..31, .webp 0..100", "N"),
        STR("preset", 0, preset, "preset of the encoder", "NAME"),
        STR("pix-fmt", 0, pix_fmt, "pixel format of the output [nearest to the input's]", "NAME"),
        STR("encode", 0, encode, "who encodes: auto, root or ranks [auto]", "NAME"),
        STR("encoders", 0, encoders, "segments encoded at once [rank 0's CPUs / 8]", "N"),
        STR("encoder-threads", 0, encoder_threads, "threads of the encoder, part of its result [4]",
            "N"),
        STR("schedule", 0, schedule, "pull, or static: batch b on rank b mod N [pull]", "NAME"),
        STR("root", 0, root, "compute, or dedicated: rank 0 only decodes and encodes [compute]",
            "NAME"),
        STR("checkpoint", 0, checkpoint,
            "auto, always (every batch on disk), off: what survives a kill [auto]", "NAME"),
        STR("job-dir", 0, job_dir, "where it is kept until the output is there [OUTPUT.resr]",
            "DIR"),
        FLAG("keep-frames", 0, keep_frames,
             "keep all upscaled frames as HDF5 files in OUTPUT.frames"),
        STR("deadline", 0, deadline,
            "seconds without a sign of life after which a rank is left out "
            "[" STRING(RESR_DEADLINE_SECONDS) "]",
            "S"),
        STR("report", 0, report, "write what happened as JSON", "FILE"),
        STR("framehash", 0, framehash, "write index, pts and xxh128 of every output frame", "FILE"),
        STR("trace", 0, trace, "write when each rank did what, for Perfetto (JSON)", "FILE"),
        STR("progress", 0, progress, "auto, bar, plain, json, none [auto]", "NAME"),
        FLAG("overwrite", 0, overwrite, "replace an existing output"),
        FLAG("dry-run", 0, dry_run, "say what would be done and how long it takes"),
        STR("plan", 0, plan,
            "of --dry-run: predict for ranks=1,2,4,...,1024[,host=RANKS][,network=GBIT]", "LIST"),
        STR("device", 0, device,
            "of --plan: cpu (this rank), h100, h200, b200, a100, rtx4090, rtx5090, TFLOP/s [cpu]",
            "NAME"),
        FLAG("list-models", 0, list_models, "known networks and where their weights are"),
        FLAG("list-devices", 0, list_devices, "what this machine computes with"),
        FLAG("version", 0, version, "versions and CPU features, for bug reports"),
        FLAG("help", 'h', help, "this page"),
        POPT_TABLEEND,
    };
    _Static_assert(sizeof options == N_OPTIONS * sizeof *options, "N_OPTIONS");
    memcpy(table, options, sizeof options);
}

void resr_cli_print_help(void)
{
    struct poptOption table[N_OPTIONS];
    Values values = {0};
    fill_table(table, &values);
    printf(
        "usage: mpirun -n RANKS realesrgan-mpi -i INPUT -o OUTPUT [-s 2|4] [options]\n"
        "Upscales a video or images with Real-ESRGAN networks, frames spread over MPI ranks.\n\n");
    for (int i = 0; i < N_OPTIONS - 1; i++) {
        char name[64];
        int used = table[i].shortName ? snprintf(name, sizeof name, "-%c, ", table[i].shortName)
                                      : snprintf(name, sizeof name, "    ");
        snprintf(name + used, sizeof name - (size_t)used, "--%s %s", table[i].longName,
                 table[i].argDescrip ? table[i].argDescrip : "");
        printf("  %-27s %s\n", name, table[i].descrip);
    }
}

static int copy_text(char *out, size_t out_bytes, const char *option, const char *text)
{
    if (!text)
        return 0;
    if (!*text)
        return resr_fail(RESR_ERR_USAGE, "%s: an empty value was given", option);
    if ((size_t)snprintf(out, out_bytes, "%s", text) >= out_bytes)
        return resr_fail(RESR_ERR_USAGE, "%s: '%.40s...' is longer than %zu bytes", option, text,
                         out_bytes - 1);
    return 0;
}

static int parse_integer(int64_t *out, const char *option, const char *text, int64_t low,
                         int64_t high)
{
    char *end;
    if (!text)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end || value < low || value > high)
        return resr_fail(RESR_ERR_USAGE,
                         "%s: '%s' was given, expected a whole number from %lld to %lld", option,
                         text, (long long)low, (long long)high);
    *out = value;
    return 0;
}

static int parse_int32(int32_t *out, const char *option, const char *text, int64_t low,
                       int64_t high)
{
    int64_t value = *out;
    int ret = parse_integer(&value, option, text, low, high);
    *out = (int32_t)value;
    return ret;
}

static int parse_real(double *out, const char *option, const char *text, double low, double high)
{
    char *end;
    if (!text)
        return 0;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < low || value > high)
        return resr_fail(RESR_ERR_USAGE, "%s: '%s' was given, expected a number from %g to %g",
                         option, text, low, high);
    *out = value;
    return 0;
}

/* A number of bytes with an optional K, M, G or T. */
static int parse_bytes(int64_t *out, const char *option, const char *text)
{
    static const char suffixes[] = "KMGT";
    char *end;
    if (!text)
        return 0;
    double value = strtod(text, &end);
    const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    if (suffix) {
        value = ldexp(value, 10 * (int)(suffix - suffixes + 1));
        end++;
    }
    if (end == text || *end || !(value >= 1) || value > ldexp(1, 60))
        return resr_fail(RESR_ERR_USAGE, "%s: '%s' was given, expected bytes such as 800M or 4G",
                         option, text);
    *out = (int64_t)value;
    return 0;
}

/* Index of `text` in a NULL-ended list of names. */
static int parse_name(int32_t *out, const char *option, const char *text, const char *const *names)
{
    char list[256] = "";
    if (!text)
        return 0;
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return 0;
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    }
    return resr_fail(RESR_ERR_USAGE, "%s: '%s' was given, expected one of %s", option, text, list);
}

typedef struct Task {
    const char *name, *model;
    int scale;
    double outscale;
} Task;

static const Task tasks[] = {
    {"SD2HD", "RealESRGAN_x2plus", 2, 0},
    {"HD24K", "RealESRGAN_x2plus", 2, 0},
    {"SD24K", "RealESRGAN_x4plus", 4, 0},
    {"4K28K", "RealESRGAN_x4plus", 0, 2}, /* the x4 network, delivered at twice the size */
};

/* A task is a preset: what was given explicitly stays. */
static int apply_task(ResrOptions *options, const char *name)
{
    const size_t n = sizeof tasks / sizeof *tasks;
    size_t i = 0;
    while (i < n && strcmp(tasks[i].name, name) != 0)
        i++;
    if (i == n)
        return resr_fail(RESR_ERR_USAGE,
                         "--task: '%s' was given, expected SD2HD, HD24K, SD24K or 4K28K", name);
    if (!options->model_name[0])
        snprintf(options->model_name, sizeof options->model_name, "%s", tasks[i].model);
    if (options->scale == 0)
        options->scale = tasks[i].scale;
    if (options->outscale == 0)
        options->outscale = tasks[i].outscale;
    return 0;
}

/* --conv: a rung of the CUDA backend by its name as a backend, "cuda-mma". */
static int apply_conv(ResrOptions *options, const char *name)
{
    static const char *const names[] = {"auto", "mma", "wgmma", "cublas", NULL};
    int32_t index = 0;
    int ret = parse_name(&index, "--conv", name, names);
    if (ret < 0 || index == 0)
        return ret;
    if (strcmp(options->backend, "auto") != 0 && strcmp(options->backend, "cuda") != 0)
        return resr_fail(RESR_ERR_USAGE,
                         "--conv %s goes with --backend cuda, but --backend %s was given", name,
                         options->backend);
    snprintf(options->backend, sizeof options->backend, "cuda-%s", name);
    return 0;
}

/* --backend NAME or simulate:SPEC. */
static int apply_backend(ResrOptions *options, const char *name)
{
    static const char simulate[] = "simulate";
    size_t length = sizeof simulate - 1;
    options->encode.simulated = name && strncmp(name, simulate, length) == 0;
    if (!options->encode.simulated)
        return copy_text(options->backend, sizeof options->backend, "--backend", name);
    const char *spec = name[length] == ':' ? name + length + 1 : name + length;
    int ret = resr_simulation_parse(&options->simulation, spec);
    if (ret == 0)
        ret = copy_text(options->simulate, sizeof options->simulate, "--backend", spec);
    return ret < 0 ? ret
                   : copy_text(options->backend, sizeof options->backend, "--backend", simulate);
}

static int apply_plan(ResrOptions *options, const Values *v)
{
    ResrPlanRequest *planner = &options->planner;
    if (!v->plan && !v->device)
        return 0;
    if (!v->dry_run || !v->plan)
        return resr_fail(RESR_ERR_USAGE, "--%s: goes with --dry-run%s", v->plan ? "plan" : "device",
                         v->plan ? "" : " and --plan ranks=LIST");
    int ret = resr_plan_request_parse(planner, v->plan);
    if (ret == 0)
        ret = resr_plan_request_parse_device(planner, v->device ? v->device : "cpu");
    if (ret == 0 && options->root_dedicated && planner->ranks[0] < 2)
        ret = resr_fail(RESR_ERR_USAGE, "--plan: with --root dedicated no rank of 1 computes; "
                                        "begin the list with 2");
    return ret;
}

static int convert_values(ResrOptions *o, const Values *v)
{
    static const char *const schedules[] = {"pull", "static", NULL};
    static const char *const encoding[] = {"auto", "root", "ranks", NULL};
    static const char *const roots[] = {"compute", "dedicated", NULL};
    static const char *const transports[] = {"auto", "mpi", "nccl", NULL};
    static const char *const modes[] = {"auto", "bar", "plain", "json", "none", NULL};
    static const char *const precisions[] = {"auto", "bf16", "fp16", "fp32", "exact", NULL};
    static const char *const checkpoints[] = {"auto", "always", "off", NULL};
    static const char *const on_error[] = {"stop", "continue", NULL};
    int32_t root = 0, precision = 0;
    int ret;
    if ((ret = copy_text(o->input, sizeof o->input, "-i", v->input)) < 0 ||
        (ret = copy_text(o->output, sizeof o->output, "-o", v->output)) < 0 ||
        (ret = copy_text(o->jobs, sizeof o->jobs, "--jobs", v->jobs)) < 0 ||
        (ret = copy_text(o->model_path, sizeof o->model_path, "-m", v->model_path)) < 0 ||
        (ret = copy_text(o->model_name, sizeof o->model_name, "-n", v->model_name)) < 0 ||
        (ret = apply_backend(o, v->backend)) < 0 || (ret = apply_conv(o, v->conv)) < 0 ||
        (ret = copy_text(o->encode.codec, sizeof o->encode.codec, "--codec", v->codec)) < 0 ||
        (ret = copy_text(o->encode.preset, sizeof o->encode.preset, "--preset", v->preset)) < 0 ||
        (ret = copy_text(o->encode.pix_fmt, sizeof o->encode.pix_fmt, "--pix-fmt", v->pix_fmt)) <
            0 ||
        (ret = copy_text(o->report, sizeof o->report, "--report", v->report)) < 0 ||
        (ret = copy_text(o->framehash, sizeof o->framehash, "--framehash", v->framehash)) < 0 ||
        (ret = copy_text(o->hwaccel, sizeof o->hwaccel, "--hwaccel", v->hwaccel)) < 0 ||
        (ret = copy_text(o->trace, sizeof o->trace, "--trace", v->trace)) < 0 ||
        (ret = parse_int32(&o->scale, "-s", v->scale, 1, 8)) < 0 ||
        (ret = parse_real(&o->outscale, "--outscale", v->outscale, 0.05, 16)) < 0 ||
        (ret = parse_real(&o->denoise, "--denoise", v->denoise, 0, 1)) < 0 ||
        (ret = parse_int32(&o->tile_px, "-t", v->tile, 0, RESR_MAX_SIDE_PX)) < 0 ||
        (ret = parse_int32(&o->tile_pad_px, "--tile-pad", v->tile_pad, 0, 4096)) < 0 ||
        (ret = parse_int32(&o->batch_frames, "--batch", v->batch, 1, RESR_MAX_BATCH_FRAMES)) < 0 ||
        (ret = parse_int32(&o->segment_frames, "--segment", v->segment, 0, INT_MAX)) < 0 ||
        (ret = parse_integer(&o->max_frames, "--frames", v->frames, 1, INT64_MAX)) < 0 ||
        (ret = parse_bytes(&o->memory_bytes, "--memory", v->memory)) < 0 ||
        (ret = parse_name(&precision, "--precision", v->precision, precisions)) < 0 ||
        (ret = v->cpumask ? resr_cpu_parse_mask(&o->cpumask, v->cpumask) : 0) < 0 ||
        (ret = parse_int32(&o->threads, "--threads", v->threads, 1, 4096)) < 0 ||
        (ret = parse_real(&o->encode.crf, "--crf", v->crf, 0, 255)) < 0 ||
        (ret = parse_int32(&o->encode.encoders, "--encoders", v->encoders, 1, 256)) < 0 ||
        (ret = parse_int32(&o->encode.threads, "--encoder-threads", v->encoder_threads, 1, 256)) <
            0 ||
        (ret = parse_name(&o->schedule, "--schedule", v->schedule, schedules)) < 0 ||
        (ret = parse_name(&o->encode_mode, "--encode", v->encode, encoding)) < 0 ||
        (ret = parse_name(&o->transport, "--transport", v->transport, transports)) < 0 ||
        (ret = parse_name(&root, "--root", v->root, roots)) < 0 ||
        (ret = parse_name(&o->checkpoint, "--checkpoint", v->checkpoint, checkpoints)) < 0 ||
        (ret = parse_name(&o->on_error, "--on-error", v->on_error, on_error)) < 0 ||
        (ret = copy_text(o->job_dir, sizeof o->job_dir, "--job-dir", v->job_dir)) < 0 ||
        (ret = parse_real(&o->deadline_seconds, "--deadline", v->deadline, 0.5, 1e6)) < 0 ||
        (ret = parse_name(&o->progress, "--progress", v->progress, modes)) < 0)
        return ret;
    snprintf(o->precision, sizeof o->precision, "%s", precisions[precision]);
    o->encode.segment_frames = o->segment_frames;
    o->root_dedicated = root == 1;
    o->overwrite = v->overwrite;
    o->keep_frames = v->keep_frames;
    if (o->keep_frames && o->checkpoint == RESR_CHECKPOINT_OFF)
        return resr_fail(
            RESR_ERR_USAGE,
            "--keep-frames: needs the job's folder, which --checkpoint off leaves out");
    o->request = v->help           ? RESR_REQUEST_HELP
                 : v->version      ? RESR_REQUEST_VERSION
                 : v->list_models  ? RESR_REQUEST_LIST_MODELS
                 : v->list_devices ? RESR_REQUEST_LIST_DEVICES
                 : v->dry_run      ? RESR_REQUEST_DRY_RUN
                                   : RESR_REQUEST_UPSCALE;
    ret = apply_plan(o, v);
    return ret == 0 && v->task ? apply_task(o, v->task) : ret;
}

/* With --jobs: what each video needs for itself is a line's business. */
static int check_launch(const ResrOptions *options)
{
    if (options->request == RESR_REQUEST_DRY_RUN)
        return resr_fail(RESR_ERR_USAGE, "--dry-run: takes one video, not --jobs");
    if (options->output[0] || options->job_dir[0] || options->report[0] || options->framehash[0] ||
        options->trace[0])
        return resr_fail(RESR_ERR_USAGE, "-o, --job-dir, --report, --framehash and --trace: with "
                                         "--jobs they belong into its lines");
    return 0;
}

/* What must be there once everything is read. */
static int check_complete(const ResrOptions *options)
{
    if (options->request != RESR_REQUEST_UPSCALE && options->request != RESR_REQUEST_DRY_RUN)
        return 0;
    if (options->jobs[0])
        return check_launch(options);
    if (!options->input[0])
        return resr_fail(RESR_ERR_USAGE, "-i: no input was given; --help shows the options");
    if (!options->output[0])
        return resr_fail(RESR_ERR_USAGE, "-o: no output was given; --help shows the options");
    return 0;
}

static void free_values(Values *v)
{
    char **strings = (char **)v;
    for (size_t i = 0; i < offsetof(Values, overwrite) / sizeof *strings; i++)
        free(strings[i]);
}

static int parse_words(ResrOptions *options, int argc, const char *const *argv)
{
    struct poptOption table[N_OPTIONS];
    Values values = {0};
    *options = (ResrOptions){
        .denoise = -1,
        .tile_px = RESR_TILE_PX,
        .tile_pad_px = RESR_TILE_PAD_PX,
        .batch_frames = RESR_BATCH_FRAMES,
        .segment_frames = RESR_SEGMENT_FRAMES,
        .deadline_seconds = RESR_DEADLINE_SECONDS,
        .backend = "auto",
        .hwaccel = "none",
        .cpumask = ~0u,
        .encode = {.crf = -1},
    };
    fill_table(table, &values);
    poptContext context = poptGetContext("realesrgan-mpi", argc, (const char **)argv, table, 0);
    int code, ret = 0;
    while ((code = poptGetNextOpt(context)) > 0) {
        char **text = (char **)&values + (code - 1);
        free(*text);
        *text = poptGetOptArg(context);
    }
    if (code < -1)
        ret = resr_fail(RESR_ERR_USAGE, "%s: %s; --help shows the options",
                        poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(code));
    else if (poptPeekArg(context))
        ret = resr_fail(RESR_ERR_USAGE,
                        "'%s' was given without an option; inputs take -i, outputs -o",
                        poptPeekArg(context));
    if (ret == 0)
        ret = convert_values(options, &values);
    poptFreeContext(context);
    free_values(&values);
    return ret;
}

int resr_cli_parse(ResrOptions *options, int argc, const char *const *argv)
{
    int ret = parse_words(options, argc, argv);
    if (ret == 0 && options->simulate[0])
        resr_log_warn("the devices are simulated: no network runs, and the output repeats the "
                      "input's pixels");
    return ret < 0 ? ret : check_complete(options);
}

/* The ranks were started with these. */
static int check_same_launch(const ResrOptions *options, const ResrOptions *launch)
{
    if (strcmp(options->jobs, launch->jobs) != 0 || options->request != RESR_REQUEST_UPSCALE)
        return resr_fail(RESR_ERR_USAGE, "a line of --jobs is one video to upscale");
    if (strcmp(options->backend, launch->backend) != 0 ||
        strcmp(options->simulate, launch->simulate) != 0 ||
        strcmp(options->precision, launch->precision) != 0 || options->cpumask != launch->cpumask ||
        options->threads != launch->threads || options->transport != launch->transport ||
        options->root_dedicated != launch->root_dedicated)
        return resr_fail(RESR_ERR_USAGE,
                         "--backend, --conv, --precision, --cpumask, --threads, --transport and "
                         "--root hold for all of --jobs: give them on the command line");
    return 0;
}

int resr_cli_parse_line(ResrOptions *options, const ResrOptions *launch, int argc,
                        const char *const *argv, const char *line)
{
    const char **words = NULL, **all = NULL;
    int n = 0;
    int code = poptParseArgvString(line, &n, &words);
    if (code != 0)
        return resr_fail(RESR_ERR_USAGE, "the line cannot be split into words: %s",
                         poptStrerror(code));
    int ret = resr_alloc(&all, (size_t)(argc + n + 1), sizeof *all);
    if (ret == 0) {
        memcpy(all, argv, (size_t)argc * sizeof *all);
        memcpy(all + argc, words, (size_t)n * sizeof *all);
        ret = parse_words(options, argc + n, all);
    }
    if (ret == 0)
        ret = check_same_launch(options, launch);
    if (ret == 0 && !options->input[0])
        ret = resr_fail(RESR_ERR_USAGE, "-i: no input was given");
    if (ret == 0 && !options->output[0])
        ret = resr_fail(RESR_ERR_USAGE, "-o: no output was given");
    free(all);
    free(words);
    return ret;
}
