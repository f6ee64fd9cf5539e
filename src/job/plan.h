#ifndef RESR_JOB_PLAN_H
#define RESR_JOB_PLAN_H

#include <stdbool.h>

#include "job/batching.h"
#include "job/options.h"
#include "model/model.h"
#include "net/backend.h"
#include "net/select_backend.h"
#include "net/tile.h"

/* The plan of a job: all that ranks need to compute frames, and the bounds of memory for rank 0.
 * Plain data, sent to all ranks. */
typedef struct ResrPlan {
    ResrFormat input, output;
    ResrFormat stored; /* the input's format that the output should keep, see ResrVideoInfo */
    char hwaccel[32];  /* kind of device that decodes, or "none" */
    ResrEncodeOptions encode;
    ResrEncodingTags tags; /* of the output, if it is a video */
    int32_t encode_ranks;  /* the ranks encode segments; else rank 0 does */
    ResrNetSpec spec;
    ResrBatching batching;
    ResrTileSize tile; /* -t auto: without a size until the numerics class is chosen */
    int32_t ranks, computing_ranks;
    int32_t threads;                 /* of --threads; 0: each rank uses its share */
    char precision[16], backend[32]; /* of the options, or "auto" */
    char numerics_class[16];         /* chosen from the ranks' probes; empty until then */
    uint32_t cpumask;
    int64_t pool_frames;        /* frames from decode until their segment is durable, at any time */
    int64_t pool_frames_wanted; /* without the limit of memory */
    int64_t part_frames;        /* frames of a part before the end of the video */
    double deadline_seconds;    /* of silence, after which a rank counts as hung */
    int64_t frames_estimate;    /* 0: unknown */
} ResrPlan;

/* Description of a rank, for reports and logs. Plain data. */
typedef struct ResrRankInfo {
    char host[64];
    char cpu[64];
    char backend[32];
    int32_t rank, pid, threads, cpus; /* cpus: CPUs that the rank may use */
    int64_t workspace_bytes;
    int64_t frames, parts; /* computed so far; set by rank 0 */
    double compute_seconds;
    double macs;           /* multiply-accumulates computed so far, lost and late parts included */
    double encode_seconds; /* --encode ranks: of its segments */
    ResrProbe probe;       /* its measured backends */
} ResrRankInfo;

/* Size of the delivered frames: the input's times --outscale, or times the network's scale and the
 * factor in its file. RESR_ERR_USAGE when it is out of range. */
RESR_MUST_CHECK int resr_plan_output_size(int *width_px, int *height_px, const ResrOptions *options,
                                          const ResrVideoInfo *info, const ResrNetSpec *spec);

/* Fills in the plan of a job with the output format of resr_sink_plan(). `ranks`: size of the
 * MPI world. RESR_ERR_USAGE, with the option, if the tile geometry is impossible. */
RESR_MUST_CHECK int resr_plan_make(ResrPlan *plan, const ResrOptions *options,
                                   const ResrVideoInfo *info, const ResrSinkPlan *output,
                                   const ResrModel *model, int ranks);

/* -t auto: sets the size of tiles, which depends on the numerics class, unless a resumed job has
 * set it. */
void resr_plan_choose_tile(ResrPlan *plan, const ResrOptions *options);

/* Decides who encodes, by --encode, or the ranks if they compute more than the `cpus` of rank 0 can
 * encode, and sizes the pool. `ranks`: NULL before they are probed. RESR_ERR_USAGE with the reason
 * if
 * --encode ranks is impossible. */
RESR_MUST_CHECK int resr_plan_choose_encode(ResrPlan *plan, const ResrOptions *options,
                                            const ResrSinkPlan *output, const ResrRankInfo *ranks,
                                            int cpus);

/* Changes the plan to another number of ranks (at least 2 with --root dedicated) that compute
 * `fps`: who encodes, the pool and the parts. RESR_ERR_USAGE as above. */
RESR_MUST_CHECK int resr_plan_spread(ResrPlan *plan, const ResrOptions *options,
                                     const ResrSinkPlan *output, int ranks, double fps, int cpus);

/* Interval of heartbeats. */
static inline double resr_plan_heartbeat_seconds(const ResrPlan *plan)
{
    return plan->deadline_seconds > 8 ? 1 : plan->deadline_seconds / 8;
}

/* Bytes of batch files that can exist at once: of the frames from the open segment on, or, when
 * frames are kept or the video is one segment, of all frames (0 if their number is unknown). */
int64_t resr_plan_batch_file_bytes(const ResrPlan *plan, bool keep_frames);

/* Bytes of the frames in a full pool. */
int64_t resr_plan_pool_bytes(const ResrPlan *plan);

/* Estimated bytes of the encoders of a rank that encodes: x264's and x265's; others count 0. */
int64_t resr_plan_encoder_bytes(const ResrPlan *plan);

/* Calls resr_memory_expect() for a rank: its encoders, or on rank 0's machine (`beside_root`) rank
 * 0's, and the pool. */
void resr_plan_expect_memory(const ResrPlan *plan, bool beside_root);

/* Multiply-accumulates of one frame, tile context included (`computed`) or not (`useful`). */
void resr_plan_frame_macs(const ResrPlan *plan, double *computed, double *useful);

/* --backend simulate: sets the device of this process, `rank`. */
void resr_plan_simulate(const ResrPlan *plan, const ResrOptions *options, int rank);

/* Prints the plan for --dry-run on stdout: frames, batches, tiles, TFLOP, bytes between ranks,
 * memory of a rank, disk, and the time from a probe of this rank (`flops` per second; 0 leaves the
 * time out). `workspace_bytes`: of one computing rank. */
void resr_plan_print(const ResrPlan *plan, const ResrOptions *options, const ResrVideoInfo *info,
                     const ResrModel *model, size_t workspace_bytes, double flops);

#endif
