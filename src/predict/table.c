#include "predict/table.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/publish.h"
#include "job/json.h"
#include "version.h"

static const char *const marks[] = {"measured", "model", "datasheet", "given", "assumed"};

void resr_prediction_table_constant(ResrPredictionTable *table, const char *name, double value,
                                    const char *unit, ResrMark mark, const char *source, ...)
{
    va_list arguments;
    if (table->count == RESR_MAX_CONSTANTS)
        return;
    ResrConstant *constant = &table->constants[table->count++];
    *constant = (ResrConstant){.name = name, .unit = unit, .value = value, .mark = mark};
    va_start(arguments, source);
    vsnprintf(constant->source, sizeof constant->source, source, arguments);
    va_end(arguments);
}

int resr_prediction_table_predict(ResrPredictionTable *table, const ResrPredictInput *input,
                                  const ResrPlan *plan, const ResrSinkPlan *output,
                                  const ResrOptions *options)
{
    table->rows = options->plan_request.count;
    for (int i = 0; i < table->rows; i++) {
        ResrPredictInput job = *input;
        ResrPlan spread = *plan;
        int ranks = options->plan_request.ranks[i];
        double fps = (ranks - options->root_dedicated) / input->frame_seconds;
        int ret = resr_plan_spread(&spread, options, output, ranks, fps, (int)input->host_cpus);
        if (ret < 0)
            return ret;
        job.part_frames = spread.part_frames;
        job.pool_frames = spread.pool_frames < spread.pool_frames_wanted ? spread.pool_frames : 0;
        job.ranks_encode = table->ranks_encode[i] = spread.encode_ranks;
        resr_predict(&table->predictions[i], &job, ranks);
    }
    return 0;
}

/* Prints significant digits only: 0.0123, 1.23, 123, 123456. */
static void print_number(int width, double value)
{
    int digits = value < 1 ? 4 : value < 10 ? 2 : value < 1000 ? 1 : 0;
    if (value < 1e9)
        printf("%*.*f", width, digits, value);
    else
        printf("%*.2e", width, value);
}

void resr_prediction_table_print(const ResrPredictionTable *table)
{
    printf("\nPredicted, not measured: ranks of %s. Decoder and encoder are as fast as here.\n\n",
           table->device);
    printf("%8s %11s %11s %11s  %-10s %18s\n", "ranks", "wall, s", "frames/s", "efficiency",
           "limited by", "device-s a minute");
    for (int i = 0; i < table->rows; i++) {
        const ResrPrediction *p = &table->predictions[i];
        printf("%8" PRId32 " ", p->ranks);
        print_number(11, p->wall_seconds);
        printf(" ");
        print_number(11, p->frames_per_second);
        printf(" %9.1f %%  %-10s ", 100 * p->efficiency, resr_predict_stage_name(p->limit));
        print_number(18, p->device_seconds_per_minute);
        printf("\n");
    }
    printf("\n");
    for (int i = 0; i < table->count; i++) {
        const ResrConstant *c = &table->constants[i];
        char value[64];
        snprintf(value, sizeof value, "%.4g %s", c->value, c->unit);
        printf("%-18s %-22s %-10s %s\n", c->name, value, marks[c->mark], c->source);
    }
}

static json_t *prediction_json(const ResrPrediction *p, bool ranks_encode)
{
    json_t *stages = json_object();
    for (int i = 0; i < RESR_PREDICT_STAGES; i++)
        json_object_set_new(stages, resr_predict_stage_name((ResrPredictStage)i),
                            json_real(p->stage_seconds[i]));
    return json_pack("{s:i, s:s, s:f, s:f, s:f, s:s, s:f, s:f, s:f, s:o}", "ranks", (int)p->ranks,
                     "encode", ranks_encode ? "ranks" : "root", "wall_seconds", p->wall_seconds,
                     "frames_per_second", p->frames_per_second, "efficiency", p->efficiency,
                     "limit", resr_predict_stage_name(p->limit), "device_seconds_per_minute",
                     p->device_seconds_per_minute, "start_seconds", p->start_seconds,
                     "tail_seconds", p->tail_seconds, "stage_seconds", stages);
}

int resr_prediction_table_write(const ResrPredictionTable *table, const ResrPlan *plan,
                                const ResrOptions *options, const ResrModel *model)
{
    json_t *ranks = json_array(), *constants = json_array();
    for (int i = 0; i < table->rows; i++)
        json_array_append_new(ranks,
                              prediction_json(&table->predictions[i], table->ranks_encode[i]));
    for (int i = 0; i < table->count; i++) {
        const ResrConstant *c = &table->constants[i];
        json_array_append_new(constants, json_pack("{s:s, s:f, s:s, s:s, s:s}", "name", c->name,
                                                   "value", c->value, "unit", c->unit, "mark",
                                                   marks[c->mark], "source", c->source));
    }
    json_t *root = json_pack(
        "{s:s, s:b, s:o, s:o, s:o, s:s, s:I, s:o, s:o}", "version", RESR_VERSION, "predicted", 1,
        "input", resr_json_text(options->input), "output", resr_json_text(options->output), "model",
        resr_json_text(model->name), "device", table->device, "frames",
        (json_int_t)plan->frames_estimate, "ranks", ranks, "constants", constants);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    int ret =
        text ? resr_publish_bytes(options->report, text, strlen(text), true)
             : resr_fail(RESR_ERR_INTERNAL, "%s: the prediction cannot be built", options->report);
    free(text);
    json_decref(root);
    return ret;
}
