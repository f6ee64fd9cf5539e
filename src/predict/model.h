#ifndef RESR_PREDICT_MODEL_H
#define RESR_PREDICT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* How long a job takes on any number of ranks, from a model of its stages: pure arithmetic. Stages
 * work at the same time, the slowest one limits; the start, the first frame's way in, the last
 * frames of ranks that share no frame, and what the encoder still holds then, are added. */

typedef enum ResrPredictStage {
    RESR_PREDICT_COMPUTE,
    RESR_PREDICT_PCIE,    /* frames to and from the devices */
    RESR_PREDICT_NETWORK, /* frames between rank 0 and the others, its messages included */
    RESR_PREDICT_DECODE,
    RESR_PREDICT_ENCODE,
    RESR_PREDICT_DISK,   /* batch files of --checkpoint always */
    RESR_PREDICT_MEMORY, /* the pool holds fewer frames than there are ranks */
    RESR_PREDICT_STAGES, /* those above overlap */
    RESR_PREDICT_TAIL =
        RESR_PREDICT_STAGES, /* no frame is shared: ranks idle while the last ones are made */
    RESR_PREDICT_START,
} ResrPredictStage;

/* "compute", "pcie", ... */
const char *resr_predict_stage_name(ResrPredictStage stage);

/* A job and where it runs. Rates are per second; a rate of 0 or less stands for "no such limit".
 */
typedef struct ResrPredictInput {
    int64_t frames;
    double video_fps;           /* of playing it; 0: 25 */
    double in_bytes, out_bytes; /* a frame as it travels */
    double model_bytes;         /* weights, sent to every rank */
    bool root_computes;         /* rank 0 computes too */
    double segment_frames;      /* 0: one for the video */
    int64_t pool_frames;        /* in memory at once, for this number of ranks; 0: no bound */
    int64_t part_frames;        /* in one message; at least 1 */
    double frame_seconds;       /* a rank with nothing else on its machine, for a frame */
    double frame_cpu_seconds;   /* of the machine's processors; 0: the device is no CPU */
    double device_bytes;        /* to or from a device */
    double host_cpus;           /* processors of a machine */
    int32_t host_ranks;         /* ranks on a machine; at least 1 */
    double network_bytes;       /* in or out of rank 0 */
    double latency_seconds;     /* of a message, one way */
    double message_seconds;     /* rank 0's main thread, for a part to a rank and back */
    double decode_fps, encode_fps;
    double decode_cpu_seconds, encode_cpu_seconds; /* a frame */
    double encoders;          /* segments encoded at once, by rank 0 or by each rank; 0: 1 */
    bool ranks_encode;        /* segments; rank 0 receives packets */
    double encode_lag_frames; /* the encoder holds, until it is told the end */
    double disk_bytes;
    double start_seconds;      /* of one rank, until frames move */
    double start_cpu_seconds;  /* of a machine's processors, a rank */
    double start_rank_seconds; /* more for every other rank */
} ResrPredictInput;

/* Every figure is finite. */
typedef struct ResrPrediction {
    int32_t ranks;
    ResrPredictStage limit;
    double wall_seconds, frames_per_second;
    double efficiency; /* of the computing ranks' own speed, start and end included */
    double device_seconds_per_minute; /* ranks x wall, for a minute of video */
    double start_seconds;
    double tail_seconds;                       /* of ranks without a frame at the end */
    double stage_seconds[RESR_PREDICT_STAGES]; /* what the video takes in each; 0: not there */
} ResrPrediction;

void resr_predict(ResrPrediction *out, const ResrPredictInput *input, int ranks);

#endif
