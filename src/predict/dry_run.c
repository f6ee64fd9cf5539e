#include "predict/dry_run.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/publish.h"
#include "media/benchmark.h"
#include "net/select_backend.h"
#include "net/upscale.h"
#include "predict/calibrate.h"
#include "predict/table.h"

/* Time of each measurement: decoder, encoder, network. */
#define MEASURE_SECONDS 2.0

/* Slower frames are not measured: their time is computed from that of a small tile. */
#define LONGEST_TRY_SECONDS 10.0

/* Assumptions for quantities that cannot be measured here. */
#define NETWORK_GBIT 100
#define LINK_SHARE 0.8 /* share of a link's rate that messages reach */
#define LATENCY_SECONDS 20e-6
#define MESSAGE_SECONDS 0.6e-3
#define DISK_BYTES 1e9
#define GPU_START_SECONDS 3
#define RANK_START_SECONDS 2e-3
#define ANY_LINK_GBYTES 32 /* --device NUMBER */

/* Speed of a rank, per frame. */
typedef struct Speed {
    double seconds, cpu_seconds, flops;
    int64_t frames; /* measured frames; 0: computed from `flops` of a small tile */
    int at_once;    /* ranks that were measured together */
} Speed;

static bool is_for_ranks_as_here(const ResrOptions *options)
{
    return options->plan_request.count > 0 && strcmp(options->plan_request.device, "cpu") == 0;
}

/* Number of ranks like this one for which the machine has processors and memory, or a GPU. */
static int ranks_at_once(const ResrDryRun *run, int threads, size_t workspace_bytes)
{
    int most = run->options->plan_request.host_ranks, fit = run->cpus / threads;
    if (strcmp(run->plan->backend, "cuda") == 0 || fit < 1)
        return 1;
    if (most > 0 && most < fit)
        fit = most;
    while (fit > 1 && !resr_memory_fits(fit * (int64_t)workspace_bytes))
        fit--;
    return fit;
}

/* Measures frames, unless one takes too long. */
static int measure_speed(Speed *speed, const ResrOps *ops, const ResrDryRun *run, int threads)
{
    double computed, useful;
    ResrUpscaleRate rate = {0};
    resr_plan_frame_macs(run->plan, &computed, &useful);
    speed->seconds = 2 * computed / speed->flops;
    speed->cpu_seconds = speed->seconds * threads;
    if (!is_for_ranks_as_here(run->options) || speed->seconds > LONGEST_TRY_SECONDS)
        return 0;
    ResrFrame *frame = NULL;
    int ret = resr_decoder_read(run->decoder, &frame);
    if (ret == 0 && frame)
        ret = resr_calibrate_upscale(&rate, ops, run->model, run->plan, frame, threads,
                                     speed->at_once, MEASURE_SECONDS);
    if (ret == 0 && frame) {
        speed->seconds = rate.seconds;
        speed->cpu_seconds = rate.cpu_seconds;
        speed->frames = rate.frames;
    }
    resr_frame_free(frame);
    return ret;
}

/* Gets this rank's backend and speed, the bytes of its workspace, and the time of the start. */
static int probe(Speed *speed, size_t *workspace_bytes, ResrPredictInput *start,
                 const ResrDryRun *run, int threads)
{
    ResrPlan *plan = run->plan;
    ResrUpscaler *upscaler;
    ResrProbe measured;
    int ret = resr_select_backend_probe(&measured, (ResrArch)plan->spec.arch, plan->precision,
                                        plan->backend, plan->cpumask, threads);
    if (ret == 0)
        ret = resr_select_backend_class(plan->numerics_class, &measured, 1);
    if (ret < 0)
        return ret;
    const ResrOps *ops = resr_select_backend_fastest(&measured, plan->numerics_class);
    resr_plan_choose_tile(plan, run->options);
    resr_plan_simulate(plan, run->options, 0);
    resr_plan_expect_memory(plan, true);
    snprintf(plan->backend, sizeof plan->backend, "%s", ops->name);
    ret = resr_upscaler_create(&upscaler, ops, run->model, &plan->input, &plan->output, plan->tile,
                               threads);
    if (ret < 0)
        return ret;
    *workspace_bytes = resr_upscaler_workspace_bytes(upscaler);
    resr_upscaler_free(upscaler);
    speed->at_once = ranks_at_once(run, threads, *workspace_bytes);
    start->start_seconds = resr_clock_seconds_since(run->start_ns);
    start->start_cpu_seconds = (double)resr_clock_cpu_ns() * 1e-9;
    ret = resr_select_backend_flops(&speed->flops, ops, run->model, threads);
    return ret < 0 ? ret : measure_speed(speed, ops, run, threads);
}

/* --device cpu: ranks like this one, on CPU or GPU. */
static void describe_here(ResrPredictionTable *f, ResrPredictInput *in, const Speed *speed,
                          const ResrDryRun *run, int threads)
{
    in->frame_seconds = speed->seconds;
    in->frame_cpu_seconds = speed->cpu_seconds;
    snprintf(f->device, sizeof f->device, "%s, %d thread%s", run->plan->backend, threads,
             threads == 1 ? "" : "s");
    if (speed->frames > 0)
        resr_prediction_table_constant(
            f, "compute", 1 / speed->seconds, "frames/s", RESR_MARK_MEASURED,
            "here, now, a rank of %d at once: %d frames", speed->at_once, (int)speed->frames);
    else
        resr_prediction_table_constant(f, "compute", speed->flops * 1e-12, "TFLOP/s",
                                       RESR_MARK_MEASURED,
                                       "here, now, on a small tile: a frame takes too long");
    resr_prediction_table_constant(f, "compute, CPU", speed->cpu_seconds, "s a frame",
                                   RESR_MARK_MEASURED, "%s",
                                   speed->frames > 0 ? "here, now" : "time x threads");
}

static void describe_gpu(ResrPredictionTable *f, ResrPredictInput *in, const ResrDryRun *run)
{
    const ResrPlanRequest *request = &run->options->plan_request;
    const ResrPlanDevice *device = resr_plan_request_device(request->device);
    double computed, useful, tflops = request->tflops, link = ANY_LINK_GBYTES;
    resr_plan_frame_macs(run->plan, &computed, &useful);
    if (device) {
        tflops = (device->low_tflops + device->high_tflops) / 2;
        link = device->link_gbytes;
        snprintf(f->device, sizeof f->device, "one %s", device->title);
        resr_prediction_table_constant(
            f, "compute", tflops, "TFLOP/s", RESR_MARK_MODEL,
            "cuda/model.py, %s: %g to %g for RRDBNet%s; never run on the device", device->kernels,
            device->low_tflops, device->high_tflops,
            run->plan->spec.arch == RESR_ARCH_RRDB ? "" : ", assumed for this network");
        resr_prediction_table_constant(f, "device link", link, "GB/s each way", RESR_MARK_DATASHEET,
                                       "%s", device->link);
    } else {
        snprintf(f->device, sizeof f->device, "%g effective TFLOP/s", tflops);
        resr_prediction_table_constant(f, "compute", tflops, "TFLOP/s", RESR_MARK_GIVEN,
                                       "--device");
        resr_prediction_table_constant(f, "device link", link, "GB/s each way", RESR_MARK_ASSUMED,
                                       "PCIe 4.0 x16");
    }
    in->frame_seconds = 2 * computed / (tflops * 1e12);
    in->device_bytes = link * 1e9 * LINK_SHARE;
}

static int measure_codecs(ResrPredictionTable *f, ResrPredictInput *in, const ResrDryRun *run)
{
    const ResrOptions *options = run->options;
    ResrBenchmark decode, encode;
    ResrDecodeOptions how = {.hwaccel = options->hwaccel,
                             .bridge = options->on_error == RESR_ON_ERROR_CONTINUE};
    int ret = resr_benchmark_decode(&decode, options->input, &how, MEASURE_SECONDS);
    if (ret == 0)
        ret = resr_benchmark_encode(&encode, options->input, options->output, run->output,
                                    &options->encode, MEASURE_SECONDS);
    if (ret < 0)
        return ret;
    in->decode_fps = decode.fps;
    in->decode_cpu_seconds = decode.cpu_seconds;
    in->encode_fps = encode.fps;
    in->encode_cpu_seconds = encode.cpu_seconds;
    in->encode_lag_frames = encode.lag_frames;
    resr_prediction_table_constant(f, "decode", decode.fps, "frames/s", RESR_MARK_MEASURED,
                                   "here, now: %d frames of the input", (int)decode.frames);
    resr_prediction_table_constant(f, "decode, CPU", decode.cpu_seconds, "s a frame",
                                   RESR_MARK_MEASURED, "here, now");
    resr_prediction_table_constant(f, "encode", encode.fps, "frames/s", RESR_MARK_MEASURED,
                                   "here, now: %s, %d resized frames of the input",
                                   run->output->encoder, (int)encode.frames);
    in->encoders = options->encode.encoders > 1 ? options->encode.encoders : 1;
    resr_prediction_table_constant(f, "encoders", in->encoders, "at once", RESR_MARK_GIVEN,
                                   "--encoders [CPUs / 8], of rank 0 or of every rank");
    resr_prediction_table_constant(f, "encode, CPU", encode.cpu_seconds, "s a frame",
                                   RESR_MARK_MEASURED, "here, now");
    resr_prediction_table_constant(f, "encoder holds", encode.lag_frames, "frames",
                                   RESR_MARK_MEASURED, "here, now, until it is told the end");
    return 0;
}

static void describe_links(ResrPredictionTable *f, ResrPredictInput *in, const ResrDryRun *run)
{
    double gbit = run->options->plan_request.network_gbit;
    resr_prediction_table_constant(
        f, "network", gbit > 0 ? gbit : NETWORK_GBIT, "Gb/s each way",
        gbit > 0 ? RESR_MARK_GIVEN : RESR_MARK_ASSUMED, "rank 0's link%s",
        gbit > 0 ? ", --plan network=" : "; --plan ...,network=GBIT sets it");
    in->network_bytes = (gbit > 0 ? gbit : NETWORK_GBIT) * 1e9 / 8 * LINK_SHARE;
    resr_prediction_table_constant(f, "of links reached", LINK_SHARE, "", RESR_MARK_ASSUMED, "%s",
                                   in->device_bytes > 0 ? "network and device link" : "network");
    in->latency_seconds = LATENCY_SECONDS;
    resr_prediction_table_constant(f, "latency", LATENCY_SECONDS * 1e6, "us", RESR_MARK_ASSUMED,
                                   "of a message, one way");
    in->message_seconds = MESSAGE_SECONDS;
    resr_prediction_table_constant(
        f, "message", MESSAGE_SECONDS * 1e3, "ms a part", RESR_MARK_MEASURED,
        "rank 0's main thread with 64 simulated ranks, 2 cores, 2026-11-25 "
        "(README)");
    if (run->options->checkpoint == RESR_CHECKPOINT_ALWAYS) {
        in->disk_bytes = DISK_BYTES;
        resr_prediction_table_constant(f, "disk", DISK_BYTES * 1e-9, "GB/s", RESR_MARK_ASSUMED,
                                       "batch files, written and read back");
    }
}

static void describe_start(ResrPredictionTable *f, ResrPredictInput *in, const ResrDryRun *run)
{
    resr_prediction_table_constant(f, "start-up", in->start_seconds, "s", RESR_MARK_MEASURED,
                                   "here, now: MPI, input, weights, probe");
    resr_prediction_table_constant(f, "start-up, CPU", in->start_cpu_seconds, "s a rank",
                                   RESR_MARK_MEASURED, "here, now");
    if (in->device_bytes > 0) {
        resr_prediction_table_constant(f, "start-up of a GPU", GPU_START_SECONDS, "s",
                                       RESR_MARK_ASSUMED, "driver, libraries, first frame");
        in->start_seconds += GPU_START_SECONDS;
    }
    in->start_rank_seconds = RANK_START_SECONDS;
    resr_prediction_table_constant(f, "start-up of ranks", RANK_START_SECONDS * 1e3, "ms",
                                   RESR_MARK_ASSUMED,
                                   "more for each after the first; and %.1f MB of weights, "
                                   "log2(ranks) times",
                                   in->model_bytes * 1e-6);
    in->host_cpus = run->cpus;
    resr_prediction_table_constant(f, "CPUs of a machine", run->cpus, "", RESR_MARK_MEASURED,
                                   "here; rank 0's decoder and encoder run on them, too");
}

/* Ranks that share a machine's processors. */
static void describe_hosts(ResrPredictionTable *f, ResrPredictInput *in, const ResrDryRun *run,
                           const Speed *speed)
{
    int given = run->options->plan_request.host_ranks;
    bool here = is_for_ranks_as_here(run->options);
    in->host_ranks = given > 0 ? given : here ? speed->at_once : 1;
    resr_prediction_table_constant(f, "ranks of a machine", in->host_ranks, "",
                                   given > 0 ? RESR_MARK_GIVEN : RESR_MARK_ASSUMED,
                                   given > 0 ? "--plan host=" : "--plan ...,host=RANKS sets it");
}

static int table(const ResrDryRun *run, const Speed *speed, const ResrPredictInput *start,
                 int threads)
{
    const ResrVideoInfo *info = resr_decoder_info(run->decoder);
    const ResrOptions *options = run->options;
    const ResrPlan *plan = run->plan;
    ResrPredictionTable f = {.count = 0};
    ResrPredictInput in = {
        .frames = plan->frames_estimate,
        .video_fps =
            info->frame_rate_num > 0 ? (double)info->frame_rate_num / info->frame_rate_den : 0,
        .in_bytes = (double)resr_format_frame_bytes(&plan->input),
        .out_bytes = (double)resr_format_frame_bytes(&plan->output),
        .model_bytes = (double)run->model->arena_floats * sizeof(float),
        .root_computes = !options->root_dedicated,
        .segment_frames = (double)plan->batching.segment_frames,
        .start_seconds = start->start_seconds,
        .start_cpu_seconds = start->start_cpu_seconds,
    };
    if (in.frames <= 0)
        return resr_fail(RESR_ERR_USAGE,
                         "--plan: %s does not say how many frames it has; --frames N does",
                         options->input);
    if (is_for_ranks_as_here(options))
        describe_here(&f, &in, speed, run, threads);
    else
        describe_gpu(&f, &in, run);
    int ret = measure_codecs(&f, &in, run);
    if (ret < 0)
        return ret;
    describe_links(&f, &in, run);
    describe_hosts(&f, &in, run, speed);
    describe_start(&f, &in, run);
    ret = resr_prediction_table_predict(&f, &in, plan, run->output, options);
    if (ret < 0)
        return ret;
    resr_prediction_table_print(&f);
    return options->report[0] ? resr_prediction_table_write(&f, plan, options, run->model) : 0;
}

int resr_dry_run(const ResrDryRun *run)
{
    const ResrOptions *options = run->options;
    int threads = run->plan->threads > 0 ? run->plan->threads : run->threads;
    bool plans = options->plan_request.count > 0;
    size_t workspace_bytes = 0;
    ResrPredictInput start = {.frames = 0};
    Speed speed = {0};
    int ret =
        plans && options->report[0] ? resr_publish_check(options->report, options->input, true) : 0;
    if (ret == 0)
        ret = probe(&speed, &workspace_bytes, &start, run, threads);
    if (ret < 0)
        return ret;
    resr_plan_print(run->plan, options, resr_decoder_info(run->decoder), run->model,
                    workspace_bytes, speed.flops);
    return plans ? table(run, &speed, &start, threads) : 0;
}
