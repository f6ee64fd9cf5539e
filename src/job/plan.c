#include "job/plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/minmax.h"
#include "base/text.h"
#include "net/tile_auto.h"

int resr_plan_output_size(int *width_px, int *height_px, const ResrOptions *options,
                          const ResrVideoInfo *info, const ResrNetSpec *spec)
{
    double factor = options->outscale > 0 ? options->outscale : spec->scale * spec->resize;
    double width = floor(info->format.width_px * factor + 1e-9);
    double height = floor(info->format.height_px * factor + 1e-9);
    if (width < 1 || height < 1 || width > RESR_MAX_SIDE_PX || height > RESR_MAX_SIDE_PX ||
        width * height > RESR_MAX_FRAME_PX)
        return resr_fail(
            RESR_ERR_USAGE,
            "%s: %d x %d times %g is %.0f x %.0f, outside 1 .. %d a side and %d Mpx in "
            "all; choose another -s or --outscale",
            options->input, info->format.width_px, info->format.height_px, factor, width, height,
            RESR_MAX_SIDE_PX, RESR_MAX_FRAME_PX >> 20);
    double own = (double)info->format.width_px * info->format.height_px * spec->scale * spec->scale;
    if (own > RESR_MAX_NETWORK_PX)
        return resr_fail(RESR_ERR_USAGE,
                         "%s: %d x %d becomes %d x %d inside the network, before --outscale, which "
                         "is more than %lld Mpx; choose a network that enlarges less than %d times",
                         options->input, info->format.width_px, info->format.height_px,
                         info->format.width_px * spec->scale, info->format.height_px * spec->scale,
                         RESR_MAX_NETWORK_PX >> 20, spec->scale);
    *width_px = (int)width;
    *height_px = (int)height;
    return 0;
}

static int64_t default_memory_bytes(void)
{
    return resr_memory_bytes() / 4;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Sizes the pool of frames and the parts. If ranks encode, the pool holds the decoded frames of
 * every rank's open segment. */
static void spread(ResrPlan *plan, const ResrOptions *options)
{
    int64_t memory = options->memory_bytes > 0 ? options->memory_bytes : default_memory_bytes();
    int64_t frame_bytes =
        (int64_t)(resr_format_frame_bytes(&plan->input) + resr_format_frame_bytes(&plan->output));
    int64_t in_flight = (int64_t)plan->computing_ranks * RESR_PARTS_IN_FLIGHT;
    int64_t segment = options->segment_frames ? options->segment_frames : RESR_SEGMENT_FRAMES;
    int64_t open = options->encode.encoders > 1 ? options->encode.encoders : 1;
    if (plan->encode_ranks)
        open = plan->computing_ranks + 1;
    plan->pool_frames_wanted = in_flight * options->batch_frames + open * segment;
    plan->pool_frames = clamp(memory / frame_bytes, 1, plan->pool_frames_wanted);
    plan->part_frames = clamp(plan->pool_frames / in_flight, 1, options->batch_frames);
}

int64_t resr_plan_encoder_bytes(const ResrPlan *plan)
{
    int64_t frames = RESR_SEGMENT_FRAMES, segment = plan->batching.segment_frames;
    if (strncmp(plan->encode.codec, "libx26", 6) != 0)
        return 0;
    if (segment > 0 && segment < frames)
        frames = segment;
    if (plan->frames_estimate > 0 && plan->frames_estimate < frames)
        frames = plan->frames_estimate;
    int64_t held = RESR_ENCODER_POOL_FRAMES + RESR_ENCODER_COPIES * frames;
    return resr_max(plan->encode.encoders, 1) * held *
           (int64_t)resr_format_frame_bytes(&plan->output);
}

void resr_plan_expect_memory(const ResrPlan *plan, bool beside_root)
{
    int64_t encoders = resr_plan_encoder_bytes(plan), pool = resr_plan_pool_bytes(plan);
    resr_memory_expect(plan->encode_ranks ? encoders : 0,
                       beside_root ? pool + (plan->encode_ranks ? 0 : encoders) : 0);
}

/* The size of a frame that is extended to the network's groups of pixels. */
static void whole_groups(int *width_px, int *height_px, const ResrFormat *format,
                         const ResrNetSpec *spec)
{
    *width_px = (int)resr_round_up((size_t)format->width_px, (size_t)spec->unshuffle);
    *height_px = (int)resr_round_up((size_t)format->height_px, (size_t)spec->unshuffle);
}

int resr_plan_make(ResrPlan *plan, const ResrOptions *options, const ResrVideoInfo *info,
                   const ResrSinkPlan *output, const ResrModel *model, int ranks)
{
    ResrTilePlan tiles;
    bool chosen_later = options->tile_px == RESR_TILE_AUTO;
    int width_px, height_px;
    whole_groups(&width_px, &height_px, &info->format, &model->spec);
    int ret = resr_tile_plan(
        &tiles, width_px, height_px,
        resr_tile_square(chosen_later ? RESR_TILE_PX : options->tile_px, options->tile_pad_px),
        model->spec.unshuffle);
    if (ret < 0)
        return ret;
    if (options->root_dedicated && ranks < 2 && options->plan_request.count > 0)
        ranks = options->plan_request.ranks[0]; /* at least 2 */
    if (options->root_dedicated && ranks < 2)
        return resr_fail(RESR_ERR_USAGE, "--root dedicated: rank 0 would leave no rank to compute; "
                                         "start at least 2 (mpirun -n 2)");
    memset(plan, 0, sizeof *plan);
    plan->input = info->format;
    plan->stored = info->stored;
    memcpy(plan->hwaccel, info->hwaccel, sizeof plan->hwaccel);
    plan->output = output->format;
    plan->tags = output->tags;
    plan->encode = options->encode;
    plan->spec = model->spec;
    plan->batching = (ResrBatching){options->segment_frames, options->batch_frames};
    plan->tile = resr_tile_square(chosen_later ? 0 : options->tile_px, options->tile_pad_px);
    plan->ranks = ranks;
    plan->computing_ranks = ranks - (options->root_dedicated ? 1 : 0);
    plan->threads = options->threads;
    plan->cpumask = options->cpumask;
    plan->deadline_seconds = options->deadline_seconds;
    snprintf(plan->backend, sizeof plan->backend, "%s", options->backend);
    snprintf(plan->precision, sizeof plan->precision, "%s", options->precision);

    plan->frames_estimate = info->frames_estimate;
    if (options->max_frames > 0 &&
        (plan->frames_estimate == 0 || plan->frames_estimate > options->max_frames))
        plan->frames_estimate = options->max_frames;

    spread(plan, options);
    return 0;
}

void resr_plan_choose_tile(ResrPlan *plan, const ResrOptions *options)
{
    int width_px, height_px;
    if (options->tile_px != RESR_TILE_AUTO || plan->tile.width_px > 0)
        return;
    whole_groups(&width_px, &height_px, &plan->input, &plan->spec);
    plan->tile = resr_tile_auto(&plan->spec, plan->numerics_class, width_px, height_px,
                                options->tile_pad_px);
}

/* The reason why ranks cannot encode this job's segments; NULL: they can. */
static const char *no_ranks(const ResrPlan *plan, const ResrOptions *options, bool segmented)
{
    if (!segmented || options->checkpoint == RESR_CHECKPOINT_OFF)
        return "needs segments in files: a video, an encoder that writes its headers first, and "
               "no --checkpoint off";
    if (options->segment_frames == 0)
        return "needs segments: not --segment 0";
    if (options->checkpoint == RESR_CHECKPOINT_ALWAYS || options->keep_frames)
        return "keeps whole segments only: not with --checkpoint always or --keep-frames";
    if (plan->pool_frames < 2 * options->segment_frames)
        return "needs memory for two segments: a larger --memory or a shorter --segment";
    return NULL;
}

/* Output pixels per second that rank 0 encodes. */
static double root_px(const ResrOptions *options, const char *encoder, int cpus)
{
    int threads = options->encode.threads > 0 ? options->encode.threads : RESR_ENCODER_THREADS;
    int cores = threads * options->encode.encoders;
    double px = strcmp(encoder, "libx265") == 0 ? RESR_X265_CORE_PX : RESR_X264_CORE_PX;
    return px * (cores < cpus ? cores : cpus);
}

/* Frames per second of all ranks, by their probes or simulations. */
static double ranks_fps(const ResrPlan *plan, const ResrOptions *options, const ResrRankInfo *ranks)
{
    double computed, useful, fps = 0;
    resr_plan_frame_macs(plan, &computed, &useful);
    for (int i = options->root_dedicated; ranks && i < plan->ranks; i++)
        fps +=
            options->simulate[0]
                ? 1 / resr_simulation_frame_seconds(&options->simulation, i, 2 * computed)
                : resr_select_backend_speed(&ranks[i].probe, plan->numerics_class) / (2 * computed);
    return fps;
}

/* Chooses who encodes, for ranks that compute `fps`. */
static int choose_encode(ResrPlan *plan, const ResrOptions *options, const ResrSinkPlan *output,
                         double fps, int cpus)
{
    plan->encode_ranks = 1;
    spread(plan, options);
    const char *reason = no_ranks(plan, options, output->segmented);
    double px = (double)plan->output.width_px * plan->output.height_px * fps;
    if (options->encode_mode == RESR_ENCODE_RANKS && reason)
        return resr_fail(RESR_ERR_USAGE, "--encode ranks %s", reason);
    plan->encode_ranks =
        options->encode_mode == RESR_ENCODE_RANKS ||
        (options->encode_mode == RESR_ENCODE_AUTO && !reason && plan->computing_ranks > 1 &&
         px > root_px(options, output->encoder, cpus));
    spread(plan, options);
    return 0;
}

int resr_plan_choose_encode(ResrPlan *plan, const ResrOptions *options, const ResrSinkPlan *output,
                            const ResrRankInfo *ranks, int cpus)
{
    return choose_encode(plan, options, output, ranks_fps(plan, options, ranks), cpus);
}

int resr_plan_spread(ResrPlan *plan, const ResrOptions *options, const ResrSinkPlan *output,
                     int ranks, double fps, int cpus)
{
    plan->ranks = ranks;
    plan->computing_ranks = ranks - (options->root_dedicated ? 1 : 0);
    return choose_encode(plan, options, output, fps, cpus);
}

int64_t resr_plan_batch_file_bytes(const ResrPlan *plan, bool keep_frames)
{
    int64_t frames = plan->batching.segment_frames + plan->pool_frames;
    bool all = keep_frames || plan->batching.segment_frames == 0;
    if (all || (plan->frames_estimate > 0 && plan->frames_estimate < frames))
        frames = plan->frames_estimate;
    return frames * (int64_t)resr_format_frame_bytes(&plan->output);
}

int64_t resr_plan_pool_bytes(const ResrPlan *plan)
{
    int64_t frames = plan->pool_frames;
    if (plan->frames_estimate > 0 && plan->frames_estimate < frames)
        frames = plan->frames_estimate;
    return frames * (int64_t)(resr_format_frame_bytes(&plan->input) +
                              resr_format_frame_bytes(&plan->output));
}

void resr_plan_frame_macs(const ResrPlan *plan, double *computed, double *useful)
{
    ResrTilePlan tiles;
    int width_px, height_px;
    whole_groups(&width_px, &height_px, &plan->input, &plan->spec);
    *useful = (double)width_px * height_px * resr_spec_macs_per_px(&plan->spec);
    *computed = *useful;
    if (resr_tile_plan(&tiles, width_px, height_px, plan->tile, plan->spec.unshuffle) == 0)
        *computed *= resr_tile_overhead(&tiles);
}

void resr_plan_simulate(const ResrPlan *plan, const ResrOptions *options, int rank)
{
    double computed, useful;
    resr_plan_frame_macs(plan, &computed, &useful);
    if (options->simulate[0])
        resr_simulation_set(&options->simulation, rank,
                            (double)plan->input.width_px * plan->input.height_px, 2 * computed);
}

static void print_bytes(const char *label, double bytes, const char *note)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 4) {
        bytes /= 1024;
        unit++;
    }
    printf("%-18s %.*f %s%s\n", label, unit ? 1 : 0, bytes, units[unit], note);
}

static void print_disk(const ResrPlan *plan, const ResrOptions *options, double all_bytes)
{
    print_bytes("disk, at most", all_bytes, " (uncompressed; the encoded file is smaller)");
    if (options->checkpoint == RESR_CHECKPOINT_OFF) {
        printf("%-18s off: a kill costs all work\n", "checkpoint");
        return;
    }
    int64_t bytes = resr_plan_batch_file_bytes(plan, options->keep_frames);
    if (plan->encode_ranks)
        printf("%-18s finished segments: the encoded file twice at the end\n", "checkpoint");
    else if (bytes == 0)
        printf("%-18s batch files of all frames, whose number is unknown\n", "checkpoint");
    else
        print_bytes("checkpoint", (double)bytes,
                    options->checkpoint == RESR_CHECKPOINT_ALWAYS || options->keep_frames
                        ? " of batch files at most, and the encoded file twice at the end"
                        : " of batch files at most, if any, and the encoded file twice at the end");
    if (plan->batching.segment_frames == 0 && options->checkpoint != RESR_CHECKPOINT_ALWAYS)
        printf("%-18s all frames: one segment holds the whole video\n", "redone after kill");
    else
        printf("%-18s %" PRId64 " frames at most\n", "redone after kill", plan->pool_frames);
    printf("%-18s %s, %d segment%s at once%s\n", "encoded by",
           plan->encode_ranks ? "the ranks" : "rank 0", plan->encode.encoders,
           plan->encode.encoders == 1 ? "" : "s",
           options->encode_mode == RESR_ENCODE_AUTO ? ", or the ranks where they are faster" : "");
    printf("%-18s %g s without a sign of life, or %d times the longest frame without a next one\n",
           "hung rank", plan->deadline_seconds, RESR_DEADLINE_FRAMES);
}

static void print_tiles(const ResrPlan *plan)
{
    ResrTilePlan tiles;
    int width_px, height_px;
    whole_groups(&width_px, &height_px, &plan->input, &plan->spec);
    if (resr_tile_plan(&tiles, width_px, height_px, plan->tile, plan->spec.unshuffle) < 0)
        return;
    if (tiles.columns * tiles.rows == 1)
        printf("%-18s none: frames are computed as a whole\n", "tiles");
    else
        printf("%-18s %d x %d a frame, of %d x %d px, context of %d px: %.2f x the work\n", "tiles",
               tiles.columns, tiles.rows, plan->tile.width_px, plan->tile.height_px,
               plan->tile.pad_px, resr_tile_overhead(&tiles));
}

void resr_plan_print(const ResrPlan *plan, const ResrOptions *options, const ResrVideoInfo *info,
                     const ResrModel *model, size_t workspace_bytes, double flops)
{
    double computed, useful;
    char shown[RESR_TEXT_SHOWN_PATH_BYTES];
    resr_plan_frame_macs(plan, &computed, &useful);
    double in_bytes = (double)resr_format_frame_bytes(&plan->input);
    double out_bytes = (double)resr_format_frame_bytes(&plan->output);
    double frames = (double)plan->frames_estimate;

    printf("%-18s %s: %d x %d %s, %s in %s\n", "input",
           resr_text_show(shown, sizeof shown, options->input), plan->input.width_px,
           plan->input.height_px, plan->input.pix_fmt, info->codec, info->container);
    printf("%-18s %s: %d x %d %s\n", "output", resr_text_show(shown, sizeof shown, options->output),
           plan->output.width_px, plan->output.height_px, plan->output.pix_fmt);
    printf("%-18s %s: %s, %d blocks, %d features, %dx\n", "model",
           resr_text_show(shown, sizeof shown, model->name), resr_spec_arch_name(&model->spec),
           model->spec.num_blocks, model->spec.nf, model->spec.scale);
    if (plan->frames_estimate > 0)
        printf("%-18s %" PRId64 ", in %" PRId64 " batches of %" PRId64 "\n", "frames",
               plan->frames_estimate,
               resr_batching_batch_of(&plan->batching, plan->frames_estimate - 1) + 1,
               plan->batching.batch_frames);
    else
        printf("%-18s unknown: the container does not say\n", "frames");
    print_tiles(plan);
    printf("%-18s %.3f a frame computed (%.3f useful)", "TFLOP", computed * 2e-12, useful * 2e-12);
    if (frames > 0)
        printf(", %.1f in all", computed * 2e-12 * frames);
    printf("\n");
    printf("%-18s class %s, backend %s (rank 0's probe)\n", "numerics", plan->numerics_class,
           plan->backend);
    printf("%-18s %d, %d of them computing\n", "ranks", plan->ranks, plan->computing_ranks);
    double remote = plan->computing_ranks > 0 && plan->ranks > 1
                        ? (double)(plan->ranks - 1) / plan->computing_ranks
                        : 0;
    if (frames > 0)
        print_bytes("between ranks", frames * remote * (in_bytes + out_bytes), " in all");
    print_bytes("memory, a rank",
                (double)workspace_bytes + (double)model->arena_floats * 4 +
                    (double)(RESR_PARTS_IN_FLIGHT * plan->part_frames) * (in_bytes + out_bytes),
                " (workspace, the network's picture, weights, parts in flight)");
    print_bytes("memory, rank 0",
                (double)plan->pool_frames * (in_bytes + out_bytes) +
                    (double)resr_plan_encoder_bytes(plan),
                " more for the pool of frames and the encoders");
    print_disk(plan, options, frames * out_bytes);
    if (flops > 0 && frames > 0) {
        double rounds = ceil(frames / plan->computing_ranks);
        printf("%-18s %.1f s at %.1f GFLOP/s a rank (probe on rank 0; decode and encode overlap)\n",
               "estimated time", rounds * computed * 2 / flops, flops * 1e-9);
    }
}
