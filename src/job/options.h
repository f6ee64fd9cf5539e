#ifndef RESR_JOB_OPTIONS_H
#define RESR_JOB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "job/plan_request.h"
#include "media/sink.h"
#include "net/simulate.h"

#define RESR_PATH_BYTES 4096

typedef enum ResrSchedule {
    RESR_SCHEDULE_PULL,   /* the rank that would finish first gets the next part */
    RESR_SCHEDULE_STATIC, /* batch b goes to computing rank b mod N */
} ResrSchedule;

typedef enum ResrCheckpointMode {
    RESR_CHECKPOINT_AUTO,   /* segments; batch files where much work is at risk, and on a signal */
    RESR_CHECKPOINT_ALWAYS, /* segments and batch files */
    RESR_CHECKPOINT_OFF,    /* nothing on disk but the output */
} ResrCheckpointMode;

typedef enum ResrTransport {
    RESR_TRANSPORT_AUTO, /* mpi: the start of NCCL takes longer than NCCL saves */
    RESR_TRANSPORT_MPI,
    RESR_TRANSPORT_NCCL, /* weights from device to device */
} ResrTransport;

typedef enum ResrProgressMode {
    RESR_PROGRESS_AUTO,
    RESR_PROGRESS_BAR,
    RESR_PROGRESS_PLAIN,
    RESR_PROGRESS_JSON,
    RESR_PROGRESS_NONE,
} ResrProgressMode;

typedef enum ResrOnError {
    RESR_ON_ERROR_STOP,     /* a damaged input ends the job, which can be resumed */
    RESR_ON_ERROR_CONTINUE, /* damaged places are bridged, counted and reported */
} ResrOnError;

/* In order of precedence: the last one that is given counts. */
typedef enum ResrRequest {
    RESR_REQUEST_UPSCALE,
    RESR_REQUEST_DRY_RUN,
    RESR_REQUEST_CONVERT,
    RESR_REQUEST_LIST_DEVICES,
    RESR_REQUEST_LIST_MODELS,
    RESR_REQUEST_VERSION,
    RESR_REQUEST_HELP,
} ResrRequest;

typedef enum ResrEncodeMode {
    RESR_ENCODE_AUTO,  /* ranks where rank 0 would be the bottleneck */
    RESR_ENCODE_ROOT,  /* rank 0 encodes all segments */
    RESR_ENCODE_RANKS, /* each rank encodes segments, whose frames it gathers */
} ResrEncodeMode;

/* The checked options of the command line, with the preset of --task applied. Empty strings, zeros
 * and negative numbers stand for "not given" as noted. Plain data: rank 0 parses the command line
 * and broadcasts the bytes of this struct. */
typedef struct ResrOptions {
    int32_t request; /* ResrRequest */
    char input[RESR_PATH_BYTES], output[RESR_PATH_BYTES];
    char list_folder[RESR_PATH_BYTES];    /* --list-models DIR; empty: the known networks */
    char jobs[RESR_PATH_BYTES];           /* list of jobs, "-": standard input; empty: one job */
    char model_path[RESR_PATH_BYTES];     /* -m: weight file or folder */
    char model_name[64];                  /* -n */
    int32_t scale;                        /* -s: 1, 2, 3, 4; 0: the network's own */
    double outscale;                      /* factor of the delivered size; 0: the network's own */
    double denoise;                       /* 0..1; negative: the model's default */
    int32_t tile_px, tile_pad_px;         /* tile 0: the whole frame; or RESR_TILE_AUTO */
    int32_t batch_frames, segment_frames; /* segment 0: one for the whole video */
    int64_t max_frames;                   /* stop after this many frames; 0: all */
    int64_t memory_bytes;                 /* bound on the pool of frames; 0: a quarter of the RAM */
    char backend[32], precision[16];      /* "auto" or a name */
    char hwaccel[32];                     /* "none", "auto" or FFmpeg's name of a device type */
    char simulate[192];                   /* --backend simulate:SPEC: SPEC; else empty */
    ResrSimulation simulation;
    uint32_t cpumask;
    int32_t threads;               /* of a rank; 0: the rank's share of its CPUs */
    int32_t schedule, progress;    /* ResrSchedule, ResrProgressMode */
    int32_t transport;             /* ResrTransport */
    int32_t checkpoint;            /* ResrCheckpointMode */
    bool keep_frames;              /* keep batch files, and write frames.h5 over them */
    char job_dir[RESR_PATH_BYTES]; /* empty: OUTPUT.resr */
    double deadline_seconds;       /* without a heartbeat until a rank counts as hung */
    bool root_dedicated;           /* rank 0 does not compute */
    bool overwrite;
    int32_t on_error; /* ResrOnError */
    ResrEncodeOptions encode;
    int32_t encode_mode; /* ResrEncodeMode */
    char report[RESR_PATH_BYTES], framehash[RESR_PATH_BYTES], trace[RESR_PATH_BYTES];
    ResrPlanRequest plan_request; /* --plan and --device of a dry run */
} ResrOptions;

#endif
