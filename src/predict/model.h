#ifndef RESR_PREDICT_MODEL_H
#define RESR_PREDICT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* Predicts the time of a job on any number of ranks: pure arithmetic. The stages work at the same
 * time and the slowest one limits. Added to its time are the start, the first frame's way to a
 * rank, the idle time of ranks without a frame at the end, and the frames that the encoder still
 * holds. */

typedef enum ResrPredictStage {
    RESR_PREDICT_COMPUTE,
    RESR_PREDICT_PCIE,    /* frames to and from the devices */
    RESR_PREDICT_NETWORK, /* frames between rank 0 and the others, its messages included */
    RESR_PREDICT_DECODE,
    RESR_PREDICT_ENCODE,
    RESR_PREDICT_DISK,                       /* batch files of --checkpoint always */
    RESR_PREDICT_MEMORY,                     /* the pool holds fewer frames than there are ranks */
    RESR_PREDICT_STAGES,                     /* the stages above overlap */
    RESR_PREDICT_TAIL = RESR_PREDICT_STAGES, /* frames are not divided: ranks idle while the last
                                                frames are computed */
    RESR_PREDICT_START,
} ResrPredictStage;

/* "compute", "pcie", ... */
const char *resr_predict_stage_name(ResrPredictStage stage);

/* A job and its machines. Rates are per second; a rate of 0 or less means no limit. */
typedef struct ResrPredictInput {
    int64_t frames;
    double video_fps;           /* of the video; 0: 25 */
    double in_bytes, out_bytes; /* of a frame between ranks */
    double model_bytes;         /* weights, sent to every rank */
    bool root_computes;         /* rank 0 computes too */
    double segment_frames;      /* 0: one segment for the video */
    int64_t pool_frames;        /* in memory at once, for this number of ranks; 0: unlimited */
    int64_t part_frames;        /* in one message; at least 1 */
    double frame_seconds;       /* per frame of a rank that is alone on its machine */
    double frame_cpu_seconds;   /* per frame, of the machine's processors; 0: not a CPU */
    double device_bytes;        /* to or from a device */
    double host_cpus;           /* processors of a machine */
    int32_t host_ranks;         /* ranks on a machine; at least 1 */
    double network_bytes;       /* in or out of rank 0 */
    double latency_seconds;     /* of a message, one way */
    double message_seconds;     /* rank 0's main thread, for a part to a rank and back */
    double decode_fps, encode_fps;
    double decode_cpu_seconds, encode_cpu_seconds; /* a frame */
    double encoders;          /* segments encoded at once, by rank 0 or by each rank; 0 means 1 */
    bool ranks_encode;        /* segments; rank 0 receives packets */
    double encode_lag_frames; /* frames that the encoder holds until the end of a segment */
    double disk_bytes;
    double start_seconds;      /* of one rank, until frames move */
    double start_cpu_seconds;  /* per rank, of the machine's processors */
    double start_rank_seconds; /* additional time for every other rank */
} ResrPredictInput;

/* All numbers are finite. */
typedef struct ResrPrediction {
    int32_t ranks;
    ResrPredictStage limit;
    double wall_seconds, frames_per_second;
    double efficiency; /* share of the computing ranks' own speed, start and end included */
    double device_seconds_per_minute; /* ranks x wall, for a minute of video */
    double start_seconds;
    double tail_seconds;                       /* idle time of ranks without a frame at the end */
    double stage_seconds[RESR_PREDICT_STAGES]; /* of each stage for the video; 0: no such limit */
} ResrPrediction;

/* Predicts the job on `ranks` ranks. */
void resr_predict(ResrPrediction *out, const ResrPredictInput *input, int ranks);

#endif
