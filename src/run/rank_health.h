#ifndef RESR_RUN_RANK_HEALTH_H
#define RESR_RUN_RANK_HEALTH_H

#include "run/delivery.h"
#include "sched/liveness.h"

/* On rank 0: what is wrong with each rank. A rank without faults is active. Call from the main
 * thread only. */
typedef enum ResrRankFault {
    RESR_RANK_SILENT = 1,    /* no message arrives; until one does, it gets none */
    RESR_RANK_STUCK = 2,     /* it answers, but finishes no frame; until it does, it gets no work */
    RESR_RANK_NO_DEVICE = 4, /* its device or its encoder has failed, which lasts */
} ResrRankFault;

/* All pointers must outlive the object. */
typedef struct ResrRankHealthConfig {
    const ResrPlan *plan;
    const ResrRankInfo *ranks; /* threads 0: the rank does not compute */
    ResrScheduler *scheduler;
    ResrDelivery *delivery;
    ResrCheckpoint *checkpoint; /* NULL: none */
} ResrRankHealthConfig;

/* Zero-initialise before use. */
typedef struct ResrRankHealth {
    ResrRankHealthConfig config;
    unsigned *faults; /* by rank: sum of ResrRankFault */
    ResrLiveness *liveness;
    int64_t checked_ns; /* 0: never */
} ResrRankHealth;

/* RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_rank_health_create(ResrRankHealth *health,
                                            const ResrRankHealthConfig *config);
void resr_rank_health_clear(ResrRankHealth *health); /* safe on a zeroed one */

/* A message of the rank has arrived. */
void resr_rank_health_heard(ResrRankHealth *health, int rank);

/* The rank has computed `frames` frames so far. True if that is progress. */
bool resr_rank_health_progress(ResrRankHealth *health, int rank, int64_t frames);

/* A frame took `seconds` to compute, on any rank. */
void resr_rank_health_frame(ResrRankHealth *health, double seconds);

/* The number of parts in flight on the rank has changed. */
void resr_rank_health_update(ResrRankHealth *health, int rank);

/* Excludes the ranks from which a message or a frame is overdue. Call about once per heartbeat. */
void resr_rank_health_check(ResrRankHealth *health);

/* Gives the rank no more work, and its parts to others. */
void resr_rank_health_exclude(ResrRankHealth *health, int rank, ResrRankFault fault);

/* The fault is over, if the rank had it. After its last fault the rank gets work again:
 * *readmitted. Errors of the delivery's readmit(). */
RESR_MUST_CHECK int resr_rank_health_recover(ResrRankHealth *health, int rank, ResrRankFault fault,
                                             bool *readmitted);

#endif
