#include "job/report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "base/publish.h"
#include "job/json.h"
#include "version.h"

typedef struct PartRecord {
    ResrPart part;
    int rank;
    double seconds;
} PartRecord;

struct ResrReport {
    size_t length, capacity;
    PartRecord *parts;
};

int resr_report_create(ResrReport **out)
{
    return resr_alloc(out, 1, sizeof **out);
}

void resr_report_free(ResrReport *report)
{
    if (!report)
        return;
    free(report->parts);
    free(report);
}

int resr_report_part(ResrReport *report, const ResrPart *part, int rank, double seconds)
{
    int ret = resr_grow(&report->parts, &report->capacity, report->length, sizeof *report->parts);
    if (ret == 0)
        report->parts[report->length++] = (PartRecord){*part, rank, seconds};
    return ret;
}

static int by_first_frame(const void *a, const void *b)
{
    const PartRecord *left = a, *right = b;
    return left->part.first < right->part.first ? -1 : left->part.first > right->part.first;
}

/* Array of batches in order, each with its parts. */
static json_t *batches_json(const ResrReport *report)
{
    json_t *batches = json_array();
    json_t *batch = NULL;
    int64_t number = -1;
    qsort(report->parts, report->length, sizeof *report->parts, by_first_frame);
    for (size_t i = 0; i < report->length; i++) {
        const PartRecord *record = &report->parts[i];
        if (record->part.batch != number) {
            number = record->part.batch;
            batch = json_pack("{s:I, s:I, s:i, s:[]}", "batch", (json_int_t)number, "first",
                              (json_int_t)record->part.first, "frames", 0, "parts");
            json_array_append_new(batches, batch);
        }
        json_integer_set(json_object_get(batch, "frames"),
                         json_integer_value(json_object_get(batch, "frames")) + record->part.count);
        json_array_append_new(json_object_get(batch, "parts"),
                              json_pack("{s:I, s:i, s:i, s:i, s:f}", "first",
                                        (json_int_t)record->part.first, "frames",
                                        record->part.count, "rank", record->rank, "attempt",
                                        record->part.attempt, "seconds", record->seconds));
    }
    return batches;
}

static json_t *format_json(const char *path, const ResrFormat *format)
{
    return json_pack("{s:o, s:i, s:i, s:s}", "path", resr_json_text(path), "width",
                     format->width_px, "height", format->height_px, "pix_fmt", format->pix_fmt);
}

static json_t *probe_json(const ResrProbe *probe)
{
    json_t *array = json_array();
    for (int i = 0; i < probe->count; i++)
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:f}", "backend", probe->candidates[i].backend,
                                        "numerics_class", probe->candidates[i].class, "gflops",
                                        probe->candidates[i].flops * 1e-9));
    return array;
}

const char *resr_report_device(const ResrRankInfo *rank)
{
    return strncmp(rank->backend, "cuda", 4) == 0 ? rank->probe.device : NULL;
}

static json_t *rank_json(const ResrRankInfo *rank)
{
    json_t *object =
        json_pack("{s:i, s:o, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:f, s:f, s:o}", "rank",
                  rank->rank, "host", resr_json_text(rank->host), "cpu", rank->cpu, "backend",
                  rank->backend, "threads", rank->threads, "cpus", rank->cpus, "workspace_bytes",
                  (json_int_t)rank->workspace_bytes, "frames", (json_int_t)rank->frames, "parts",
                  (json_int_t)rank->parts, "compute_seconds", rank->compute_seconds,
                  "encode_seconds", rank->encode_seconds, "probe", probe_json(&rank->probe));
    const char *device = resr_report_device(rank);
    if (device)
        json_object_set_new(object, "device", json_string(device));
    return object;
}

static json_t *ranks_json(const ResrRankInfo *ranks, int n)
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(array, rank_json(&ranks[i]));
    return array;
}

static json_t *model_json(const ResrModel *model)
{
    return json_pack("{s:o, s:o, s:s, s:s, s:i, s:i}", "name", resr_json_text(model->name), "path",
                     resr_json_text(model->path), "sha256", model->sha256, "architecture",
                     resr_spec_arch_name(&model->spec), "blocks", model->spec.num_blocks, "scale",
                     model->spec.scale);
}

static void set_damage(json_t *input, const ResrVideoInfo *info, ResrDamageCount count)
{
    json_object_set_new(input, "damaged_places", json_integer((json_int_t)count.places));
    json_object_set_new(input, "damaged_frames", json_integer((json_int_t)count.damaged));
    json_object_set_new(input, "missing_frames", json_integer((json_int_t)count.missing));
    json_object_set_new(input, "skipped_frames", json_integer((json_int_t)count.skipped));
    json_object_set_new(input, "cut", json_boolean(count.cut));
    json_object_set_new(input, "end_unknown", json_boolean(info->end_unknown));
}

int resr_report_write(const ResrReport *report, const char *path, const ResrReportInput *in)
{
    double computed, useful;
    const ResrOptions *options = in->options;
    const ResrPlan *plan = in->plan;
    const ResrTimes *times = in->times;
    const ResrVideoInfo *info = resr_decoder_info(in->decoder);
    resr_plan_frame_macs(plan, &computed, &useful);
    computed = 0;
    for (int i = 0; i < plan->ranks; i++)
        computed += in->ranks[i].macs;
    json_t *input = format_json(options->input, &info->format);
    json_object_set_new(input, "codec", json_string(info->codec));
    json_object_set_new(input, "hwaccel", json_string(info->hwaccel));
    json_object_set_new(input, "container", json_string(info->container));
    set_damage(input, info, resr_decoder_damage(in->decoder));
    json_t *output = format_json(options->output, &plan->output);
    json_object_set_new(output, "encoder", json_string(in->encoder));
    json_object_set_new(output, "encoded_by", json_string(plan->encode_ranks ? "ranks" : "root"));
    json_object_set_new(output, "encoders", json_integer(plan->encode.encoders));
    json_t *command =
        json_pack("{s:I, s:I, s:i, s:i, s:i, s:s, s:s}", "batch_frames",
                  (json_int_t)plan->batching.batch_frames, "segment_frames",
                  (json_int_t)plan->batching.segment_frames, "tile_width_px", plan->tile.width_px,
                  "tile_height_px", plan->tile.height_px, "tile_pad_px", plan->tile.pad_px,
                  "schedule", options->schedule == RESR_SCHEDULE_STATIC ? "static" : "pull", "root",
                  options->root_dedicated ? "dedicated" : "computes");
    json_t *seconds = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "wall", times->wall,
                                "start_up", times->start_up, "makespan", times->makespan, "decode",
                                times->decode, "compute", times->compute, "encode", times->encode,
                                "hash", times->hash, "scheduler_cpu", times->scheduler);
    json_t *root = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o}", "version",
        RESR_VERSION, "command", command, "input", input, "output", output, "model",
        model_json(in->model), "numerics_class", plan->numerics_class, "ranks",
        ranks_json(in->ranks, plan->ranks), "frames_in", (json_int_t)in->frames_in, "frames_out",
        (json_int_t)in->frames_out, "pool_frames", (json_int_t)plan->pool_frames,
        "frames_per_second", times->wall > 0 ? (double)in->frames_out / times->wall : 0.0,
        "tflop_computed", computed * 2e-12, "tflop_useful", useful * 2e-12 * (double)in->frames_out,
        "seconds", seconds, "batches", batches_json(report));
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    json_object_set_new(root, "root_bytes_out", json_integer(times->bytes_out));
    json_object_set_new(root, "root_bytes_in", json_integer(times->bytes_in));
    json_object_set_new(root, "root_peak_bytes", json_integer((json_int_t)usage.ru_maxrss * 1024));
    if (options->simulate[0])
        json_object_set_new(root, "simulated", json_string(options->simulate));
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    int ret = text ? resr_publish_bytes(path, text, strlen(text), true)
                   : resr_fail(RESR_ERR_INTERNAL, "%s: the report cannot be built", path);
    free(text);
    json_decref(root);
    return ret;
}
