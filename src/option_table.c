/* The option table and the conversion of arguments. An option is added by a row of the table and a
 * field of ResrOptions; only an option that means more than its own field needs a function. */

#include "option_table.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu_features.h"
#include "base/limits.h"
#include "model/model.h"

enum { LABEL_BYTES = 32 };

/* "-i" for options with a short form, else "--jobs": the option's name in messages. */
static const char *label(char out[LABEL_BYTES], const ResrOption *option)
{
    if (option->letter)
        snprintf(out, LABEL_BYTES, "-%c", option->letter);
    else
        snprintf(out, LABEL_BYTES, "--%s", option->name);
    return out;
}

static int copy_text(char *out, size_t out_bytes, const ResrOption *option, const char *text)
{
    char name[LABEL_BYTES];
    if (!*text)
        return resr_fail(RESR_ERR_USAGE, "%s: an empty value was given", label(name, option));
    if ((size_t)snprintf(out, out_bytes, "%s", text) >= out_bytes)
        return resr_fail(RESR_ERR_USAGE, "%s: '%.40s...' is longer than %zu bytes",
                         label(name, option), text, out_bytes - 1);
    return 0;
}

static int parse_integer(int64_t *out, const ResrOption *option, const char *text)
{
    char *end, name[LABEL_BYTES];
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end || value < option->low || value > option->high)
        return resr_fail(
            RESR_ERR_USAGE, "%s: '%s' was given, expected a whole number from %lld to %lld",
            label(name, option), text, (long long)option->low, (long long)option->high);
    *out = value;
    return 0;
}

static int parse_int32(int32_t *out, const ResrOption *option, const char *text)
{
    int64_t value = 0;
    int ret = parse_integer(&value, option, text);
    if (ret == 0)
        *out = (int32_t)value;
    return ret;
}

static int parse_real(double *out, const ResrOption *option, const char *text)
{
    char *end, name[LABEL_BYTES];
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < option->real_low ||
        value > option->real_high)
        return resr_fail(RESR_ERR_USAGE, "%s: '%s' was given, expected a number from %g to %g",
                         label(name, option), text, option->real_low, option->real_high);
    *out = value;
    return 0;
}

static int parse_bytes(int64_t *out, const ResrOption *option, const char *text)
{
    static const char suffixes[] = "KMGT";
    char *end, name[LABEL_BYTES];
    double value = strtod(text, &end);
    const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    if (suffix) {
        value = ldexp(value, 10 * (int)(suffix - suffixes + 1));
        end++;
    }
    if (end == text || *end || !(value >= 1) || value > ldexp(1, 60))
        return resr_fail(RESR_ERR_USAGE, "%s: '%s' was given, expected bytes such as 800M or 4G",
                         label(name, option), text);
    *out = (int64_t)value;
    return 0;
}

/* "auto, root, ranks" */
static void list_names(char *out, size_t out_bytes, const char *const *names)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; names[i] && used < out_bytes; i++)
        used += (size_t)snprintf(out + used, out_bytes - used, "%s%s", i > 0 ? ", " : "", names[i]);
}

static int parse_choice(int32_t *out, const ResrOption *option, const char *text)
{
    char list[256], name[LABEL_BYTES];
    for (int i = 0; option->names[i]; i++)
        if (strcmp(option->names[i], text) == 0) {
            *out = i;
            return 0;
        }
    list_names(list, sizeof list, option->names);
    return resr_fail(RESR_ERR_USAGE, "%s: '%s' was given, expected one of %s", label(name, option),
                     text, list);
}

static bool is_given(const ResrOptionValue *values, const char *name)
{
    for (int i = 0; i < RESR_OPTION_COUNT; i++)
        if (strcmp(resr_option_table[i].name, name) == 0)
            return values[i].given;
    return false;
}

static const struct {
    const char *model;
    int scale;
    double outscale;
} tasks[] = {
    {"RealESRGAN_x2plus", 2, 0},
    {"RealESRGAN_x2plus", 2, 0},
    {"RealESRGAN_x4plus", 4, 0},
    {"RealESRGAN_x4plus", 0, 2}, /* the x4 network, resized to twice the input's size */
};
static const char *const task_names[] = {"SD2HD", "HD24K", "SD24K", "4K28K", NULL};

/* A task is a preset: --model-name, --scale and --outscale win over it. */
static int convert_task(ResrOptions *out, const ResrOption *option, const char *text,
                        const ResrOptionValue *values)
{
    int32_t i = 0;
    int ret = parse_choice(&i, option, text);
    (void)values;
    if (ret < 0)
        return ret;
    if (!out->model_name[0])
        snprintf(out->model_name, sizeof out->model_name, "%s", tasks[i].model);
    if (out->scale == 0)
        out->scale = tasks[i].scale;
    if (out->outscale == 0)
        out->outscale = tasks[i].outscale;
    return 0;
}

static const char simulate[] = "simulate";

static int convert_backend(ResrOptions *out, const ResrOption *option, const char *text,
                           const ResrOptionValue *values)
{
    size_t length = sizeof simulate - 1;
    (void)values;
    out->encode.simulated = strncmp(text, simulate, length) == 0;
    if (!out->encode.simulated)
        return copy_text(out->backend, sizeof out->backend, option, text);
    const char *spec = text[length] == ':' ? text + length + 1 : text + length;
    int ret = resr_simulation_parse(&out->simulation, spec);
    if (ret == 0)
        ret = copy_text(out->simulate, sizeof out->simulate, option, spec);
    return ret < 0 ? ret : copy_text(out->backend, sizeof out->backend, option, simulate);
}

/* Kernels of the CUDA backend are backends of their own: "cuda-mma". */
static int convert_conv(ResrOptions *out, const ResrOption *option, const char *text,
                        const ResrOptionValue *values)
{
    int32_t index = 0;
    int ret = parse_choice(&index, option, text);
    (void)values;
    if (ret < 0 || index == 0)
        return ret;
    if (strcmp(out->backend, "auto") != 0 && strcmp(out->backend, "cuda") != 0)
        return resr_fail(RESR_ERR_USAGE,
                         "--conv %s goes with --backend cuda, but --backend %s was given", text,
                         out->backend);
    snprintf(out->backend, sizeof out->backend, "cuda-%s", text);
    return 0;
}

static int convert_cpumask(ResrOptions *out, const ResrOption *option, const char *text,
                           const ResrOptionValue *values)
{
    (void)option, (void)values;
    return resr_cpu_parse_mask(&out->cpumask, text);
}

static int convert_root(ResrOptions *out, const ResrOption *option, const char *text,
                        const ResrOptionValue *values)
{
    int32_t index = 0;
    int ret = parse_choice(&index, option, text);
    (void)values;
    out->root_dedicated = index == 1;
    return ret;
}

static int convert_plan(ResrOptions *out, const ResrOption *option, const char *text,
                        const ResrOptionValue *values)
{
    (void)option;
    if (!is_given(values, "dry-run"))
        return resr_fail(RESR_ERR_USAGE, "--plan: goes with --dry-run");
    int ret = resr_plan_request_parse(&out->plan_request, text);
    if (ret == 0 && out->root_dedicated && out->plan_request.ranks[0] < 2)
        ret = resr_fail(RESR_ERR_USAGE, "--plan: with --root dedicated the only rank of 1 would "
                                        "not compute; start the list with 2");
    return ret;
}

static int convert_device(ResrOptions *out, const ResrOption *option, const char *text,
                          const ResrOptionValue *values)
{
    (void)option;
    if (is_given(values, "device") && out->plan_request.count == 0)
        return resr_fail(RESR_ERR_USAGE, "--device: goes with --dry-run and --plan ranks=LIST");
    return resr_plan_request_parse_device(&out->plan_request, text);
}

static const char *suggest_model(int index)
{
    const ResrModelEntry *entry = resr_model_entry(index);
    return entry ? entry->name : NULL;
}

static int convert_tile(ResrOptions *out, const ResrOption *option, const char *text,
                        const ResrOptionValue *values)
{
    int64_t px = RESR_TILE_AUTO;
    (void)values;
    if (strcmp(text, "auto") != 0 && parse_integer(&px, option, text) < 0)
        return resr_fail(RESR_ERR_USAGE,
                         "-t: '%s' was given, expected auto or a whole number from %d to %d", text,
                         (int)option->low, (int)option->high);
    out->tile_px = (int32_t)px;
    return 0;
}

/* Rows of the table. */
#define FIELD(field)                                                                               \
    .offset = offsetof(ResrOptions, field), .bytes = sizeof(((ResrOptions *)NULL)->field)
#define TEXT(field) .type = RESR_OPTION_TEXT, FIELD(field)
#define INT32(field, least, most)                                                                  \
    .type = RESR_OPTION_INT32, FIELD(field), .low = (least), .high = (most)
#define INT64(field, least, most)                                                                  \
    .type = RESR_OPTION_INT64, FIELD(field), .low = (least), .high = (most)
#define REAL(field, least, most)                                                                   \
    .type = RESR_OPTION_REAL, FIELD(field), .real_low = (least), .real_high = (most)
#define BYTES(field) .type = RESR_OPTION_BYTES, FIELD(field)
#define NAMES(...)                                                                                 \
    .names = (const char *const[])                                                                 \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define CHOICE(field, ...) .type = RESR_OPTION_CHOICE, FIELD(field), NAMES(__VA_ARGS__)
#define NAME(field, ...) .type = RESR_OPTION_NAME, FIELD(field), NAMES(__VA_ARGS__)
#define CUSTOM(function) .type = RESR_OPTION_CUSTOM, .convert = (function)
#define FLAG(field) .type = RESR_OPTION_FLAG, FIELD(field)
#define REQUEST(request) .type = RESR_OPTION_REQUEST, .low = (request)
#define REQUEST_WITH(request, field) REQUEST(request), FIELD(field)
#define QUOTE(x) #x
#define STRING(x) QUOTE(x)

#define INPUT RESR_HEADING_INPUT
#define MODEL RESR_HEADING_MODEL
#define TILES RESR_HEADING_TILES
#define OUTPUT RESR_HEADING_OUTPUT
#define JOBS RESR_HEADING_JOBS
#define MACHINE RESR_HEADING_MACHINE
#define REPORTS RESR_HEADING_REPORTS

/* clang-format off */
const ResrOption resr_option_table[] = {
    {"input", 'i', INPUT, TEXT(input), .argument = "PATH",
     .help = "video, image, folder of images or pattern (%05d.png)"},
    {"frames", 0, INPUT, INT64(max_frames, 1, INT64_MAX), .argument = "N", .unset = "all",
     .help = "only the first N frames"},
    {"hwaccel", 0, INPUT, TEXT(hwaccel), NAMES("none", "auto", "vaapi", "cuda", "vdpau"),
     .standard = "none", .argument = "NAME",
     .help = "decode on a device of FFmpeg: %s, ..."},
    {"on-error", 0, INPUT, CHOICE(on_error, "stop", "continue"),
     .standard = "stop", .argument = "NAME", .help = "at damage in the input: %s",
     .more = "stop ends the job, which can be resumed. continue bridges the damaged places, counts "
             "them and reports them."},

    {"scale", 's', MODEL, INT32(scale, 1, 8), .argument = "N", .unset = "4",
     .help = "scale; without -n, 2 means RealESRGAN_x2plus, else RealESRGAN_x4plus",
     .more = "With -n or -m the network's output is resized to this scale; the default is then the "
             "network's own."},
    {"model-name", 'n', MODEL, TEXT(model_name), .suggest = suggest_model, .argument = "NAME",
     .unset = "by -s", .help = "network; --list-models shows the known ones"},
    {"model", 'm', MODEL, TEXT(model_path), .argument = "DIR|FILE", .unset = "searched",
     .help = "weight file (.pth, .safetensors, .onnx, .param) or its folder",
     .more = "FILES lists the folders that are searched without this option."},
    {"outscale", 0, MODEL, REAL(outscale, 0.05, 16), .argument = "F", .unset = "the network's",
     .help = "resize the network's output to F times the input"},
    {"denoise", 0, MODEL, REAL(denoise, 0, 1), .argument = "F", .unset = STRING(RESR_DENOISE),
     .help = "denoising strength of realesr-general-x4v3, 0 to 1"},
    {"task", 0, MODEL, CUSTOM(convert_task), .names = task_names, .argument = "TASK",
     .help = "preset of network and scale: %s",
     .more = "SD2HD and HD24K: RealESRGAN_x2plus. SD24K: RealESRGAN_x4plus. 4K28K: "
             "RealESRGAN_x4plus, resized to twice the input's size. -n, -s and --outscale override "
             "a task."},
    {"precision", 0, MODEL, NAME(precision, "auto", "bf16", "fp16", "fp32", "exact"),
     .standard = "auto", .argument = "NAME", .help = "precision of the network: %s",
     .more = "auto chooses the faster of bf16 and fp32, on GPUs fp16. exact is direct fp32, with "
             "the same bits on every CPU. fp16 is for GPUs. Precision and processor determine the "
             "numerics class: machines of one class give the same frames."},

    {"tile", 't', TILES, CUSTOM(convert_tile), NAMES("auto"), .low = 0, .high = RESR_MAX_SIDE_PX,
     .standard = "auto", .argument = "PX",
     .help = "side of a tile in input px; 0: the whole frame; auto: few tiles",
     .more = "auto computes frames as a whole if that takes at most 3 GiB (on GPUs 4 GiB), and cuts "
             "larger ones into the fewest even tiles that do, of the frame's full width where "
             "possible. The tiles follow from the network, the frame's size and CPU or GPU, never "
             "from the machine. -t 256 with --tile-pad 10 is the geometry of the official scripts."},
    {"tile-pad", 0, TILES, INT32(tile_pad_px, 0, 4096), .standard = STRING(RESR_TILE_PAD_PX),
     .argument = "PX", .help = "context on each side of a tile in input pixels"},

    {"output", 'o', OUTPUT, TEXT(output), .argument = "PATH",
     .help = "video, image, folder or pattern to write"},
    {"overwrite", 0, OUTPUT, FLAG(overwrite), .help = "replace an existing output"},
    {"codec", 0, OUTPUT, TEXT(encode.codec), .argument = "NAME",
     .unset = "libx264, or by the ending", .help = "any video encoder of FFmpeg"},
    {"crf", 0, OUTPUT, REAL(encode.crf, 0, 255), .argument = "N",
     .unset = "libx264: " STRING(RESR_X264_CRF),
     .help = "quality; .jpg 0 (best) to 31, .webp 0 to 100 (best)"},
    {"preset", 0, OUTPUT, TEXT(encode.preset), .argument = "NAME", .unset = "the encoder's",
     .help = "preset of the encoder"},
    {"pix-fmt", 0, OUTPUT, TEXT(encode.pix_fmt), .argument = "NAME",
     .unset = "nearest to the input's", .help = "pixel format of the output"},
    {"segment", 0, OUTPUT, INT32(segment_frames, 0, INT_MAX), .argument = "N",
     .standard = STRING(RESR_SEGMENT_FRAMES),
     .help = "frames of a segment, a closed GOP; 0: one for the whole video",
     .more = "A segment has its own encoder; segments are encoded in parallel and are durable one "
             "by one."},
    {"encode", 0, OUTPUT, CHOICE(encode_mode, "auto", "root", "ranks"),
     .standard = "auto", .argument = "NAME", .help = "encoding rank: %s",
     .more = "root: rank 0. ranks: each rank encodes segments. auto: ranks where rank 0 would be "
             "the bottleneck."},
    {"encoders", 0, OUTPUT, INT32(encode.encoders, 1, 256), .argument = "N",
     .unset = "rank 0's CPUs / " STRING(RESR_CPUS_PER_ENCODER), .help = "segments encoded at once"},
    {"encoder-threads", 0, OUTPUT, INT32(encode.threads, 1, 256), .argument = "N",
     .unset = STRING(RESR_ENCODER_THREADS),
     .help = "threads of an encoder; they change its result"},
    {"keep-frames", 0, OUTPUT, FLAG(keep_frames),
     .help = "keep all upscaled frames as HDF5 files in OUTPUT.frames"},

    {"jobs", 0, JOBS, TEXT(jobs), .argument = "FILE|-",
     .help = "many videos: a line of options for each; -: standard input",
     .more = "Each line holds -i IN -o OUT and further options of one video. FILE.journal records "
             "the state of each line; the same command resumes the list."},
    {"checkpoint", 0, JOBS, CHOICE(checkpoint, "auto", "always", "off"),
     .standard = "auto", .argument = "NAME", .help = "data that survives a kill: %s",
     .more = "auto: finished segments, and batches of frames where much work is at risk. always: "
             "segments and every batch. off: nothing."},
    {"job-dir", 0, JOBS, TEXT(job_dir), .argument = "DIR", .unset = "OUTPUT.resr",
     .help = "folder of the checkpoint until the output is complete"},

    {"backend", 0, MACHINE, CUSTOM(convert_backend),
     NAMES("auto", "c", "avx2", "avx512", "avx512_bf16", "amx_bf16", "cuda"),
     .standard = "auto", .argument = "NAME", .help = "%s, simulate:SPEC",
     .more = "auto measures and chooses the fastest. simulate:SPEC simulates devices for planning: "
             "no network runs."},
    {"conv", 0, MACHINE, CUSTOM(convert_conv), NAMES("auto", "mma", "wgmma", "cublas"),
     .standard = "auto", .argument = "NAME", .help = "convolution kernels of the GPU: %s"},
    {"transport", 0, MACHINE, CHOICE(transport, "auto", "mpi", "nccl"),
     .standard = "auto", .argument = "NAME", .help = "transport of weights to GPUs: %s"},
    {"cpumask", 0, MACHINE, CUSTOM(convert_cpumask),
     NAMES("c", "avx2", "avx512", "avx512_bf16", "amx_bf16"), .argument = "SET",
     .unset = "the CPU's",
     .help = "highest instruction set to use: c, avx2, avx512, ..."},
    {"threads", 0, MACHINE, INT32(threads, 1, 4096), .argument = "N",
     .unset = "its share of the CPUs or quota", .help = "threads of a rank"},
    {"memory", 0, MACHINE, BYTES(memory_bytes), .argument = "SIZE", .unset = "a quarter of the RAM",
     .help = "bound on rank 0's frame pool, such as 800M or 4G"},
    {"batch", 0, MACHINE, INT32(batch_frames, 1, RESR_MAX_BATCH_FRAMES),
     .standard = STRING(RESR_BATCH_FRAMES), .argument = "N",
     .help = "frames sent to a rank at once"},
    {"schedule", 0, MACHINE, CHOICE(schedule, "pull", "static"),
     .standard = "pull", .argument = "NAME", .help = "assignment of frames to ranks: %s",
     .more = "pull: the rank that would finish the next frames first gets them. static: of N "
             "computing ranks, rank b mod N gets batch b."},
    {"root", 0, MACHINE, CUSTOM(convert_root), NAMES("compute", "dedicated"),
     .standard = "compute", .argument = "NAME", .help = "work of rank 0: %s",
     .more = "compute: rank 0 runs the network, too. dedicated: it decodes and encodes only."},
    {"deadline", 0, MACHINE, REAL(deadline_seconds, 0.5, 1e6),
     .standard = STRING(RESR_DEADLINE_SECONDS),
     .argument = "S", .help = "seconds without a heartbeat until a rank is excluded",
     .more = "A rank with work is excluded, too, if it finishes no frame for this time and for "
             STRING(RESR_DEADLINE_FRAMES) " times the longest frame so far."},

    {"report", 0, REPORTS, TEXT(report), .argument = "FILE",
     .help = "write a summary of the job as JSON"},
    {"framehash", 0, REPORTS, TEXT(framehash), .argument = "FILE",
     .help = "write index, pts and xxh128 of every output frame"},
    {"trace", 0, REPORTS, TEXT(trace), .argument = "FILE",
     .help = "write a timeline of all ranks for Perfetto (JSON)"},
    {"progress", 0, REPORTS, CHOICE(progress, "auto", "bar", "plain", "json", "none"),
     .standard = "auto", .argument = "NAME", .help = "progress display: %s"},
    {"dry-run", 0, REPORTS, REQUEST(RESR_REQUEST_DRY_RUN),
     .help = "print the plan of the job and the estimated time"},
    {"plan", 0, REPORTS, CUSTOM(convert_plan), .argument = "LIST",
     .help = "with --dry-run: ranks=1,2,4,...,1024[,host=RANKS][,network=GBIT]",
     .more = "Predicts the time for each number of ranks. host: ranks on a machine. network: rank "
             "0's link in Gbit/s."},
    {"device", 0, REPORTS, CUSTOM(convert_device),
     NAMES("cpu", "h100", "h200", "b200", "a100", "rtx4090", "rtx5090"),
     .standard = "cpu", .argument = "NAME", .help = "with --plan: %s, TFLOP/s",
     .more = "The device of each rank: cpu is this one, measured; a number is the effective "
             "TFLOP/s."},
    {"list-models", 0, REPORTS, REQUEST_WITH(RESR_REQUEST_LIST_MODELS, list_folder),
     .argument = "[DIR]", .help = "print the known networks, or the networks in the files of DIR",
     .more = "For each file in DIR: its network, scale, channels and cost, or why it does not run."},
    {"convert", 0, REPORTS, REQUEST_WITH(RESR_REQUEST_CONVERT, input), .argument = "FILE OUT",
     .help = "write a weight file's network as OUT.safetensors",
     .more = "OUT.safetensors has the official names and fp32 weights. It is replaced with "
             "--overwrite only."},
    {"list-devices", 0, REPORTS, REQUEST(RESR_REQUEST_LIST_DEVICES),
     .help = "print the devices and backends of each rank"},
    {"version", 0, REPORTS, REQUEST(RESR_REQUEST_VERSION),
     .help = "print versions and CPU features, for bug reports"},
    {"help", 'h', REPORTS, REQUEST(RESR_REQUEST_HELP), .help = "print this page"},
};
/* clang-format on */

const char *resr_option_heading(ResrOptionHeading heading)
{
    static const char *const headings[RESR_HEADING_COUNT] = {"Input", "Model",   "Tiles",  "Output",
                                                             "Jobs",  "Machine", "Reports"};
    return headings[heading];
}

bool resr_option_is_bare(const ResrOption *option)
{
    return option->argument && option->argument[0] == '[';
}

const char *resr_option_suggestion(const ResrOption *option, int i)
{
    if (option->suggest)
        return option->suggest(i);
    return option->names ? option->names[i] : NULL;
}

const char *resr_option_describe(char *out, size_t out_bytes, const ResrOption *option)
{
    char list[256] = "";
    const char *mark = strstr(option->help, "%s");
    const char *standard = option->standard ? option->standard : option->unset;
    if (mark)
        list_names(list, sizeof list, option->names);
    snprintf(out, out_bytes, "%.*s%s%s%s%s%s", mark ? (int)(mark - option->help) : INT_MAX,
             option->help, list, mark ? mark + 2 : "", standard ? " [" : "",
             standard ? standard : "", standard ? "]" : "");
    return out;
}

static int convert(ResrOptions *out, const ResrOption *option, const char *text,
                   const ResrOptionValue *values)
{
    void *field = (char *)out + option->offset;
    int32_t index = 0;
    int ret;
    switch (option->type) {
    case RESR_OPTION_TEXT:
        return copy_text(field, option->bytes, option, text);
    case RESR_OPTION_INT32:
        return parse_int32(field, option, text);
    case RESR_OPTION_INT64:
        return parse_integer(field, option, text);
    case RESR_OPTION_REAL:
        return parse_real(field, option, text);
    case RESR_OPTION_BYTES:
        return parse_bytes(field, option, text);
    case RESR_OPTION_CHOICE:
        return parse_choice(field, option, text);
    case RESR_OPTION_NAME:
        ret = parse_choice(&index, option, text);
        return ret < 0 ? ret : copy_text(field, option->bytes, option, text);
    case RESR_OPTION_CUSTOM:
        return option->convert(out, option, text, values);
    case RESR_OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case RESR_OPTION_REQUEST:
        if (option->low > out->request)
            out->request = (int32_t)option->low;
        return text ? copy_text(field, option->bytes, option, text) : 0;
    }
    return 0;
}

int resr_option_convert_all(ResrOptions *out, const ResrOptionValue *values)
{
    int ret = 0;
    for (int i = 0; ret == 0 && i < RESR_OPTION_COUNT; i++) {
        const char *text = values[i].text ? values[i].text : resr_option_table[i].standard;
        if (values[i].given || text)
            ret = convert(out, &resr_option_table[i], text, values);
    }
    return ret;
}
