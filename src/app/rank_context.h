#ifndef RESR_APP_RANK_CONTEXT_H
#define RESR_APP_RANK_CONTEXT_H

#include "job/report.h"
#include "run/compute.h"

/* The state of a rank between the jobs of a launch: the network, the compute thread with its
 * packed weights, and the measured speeds. Main threads only, unless noted. */

/* The measured backends of the ranks for one kind of network. */
typedef struct ResrRankContextProbe {
    bool measured;
    int status; /* of this rank's probe, with its message in `error` */
    char error[RESR_ERROR_TEXT_BYTES];
    ResrProbe own;
    ResrRankInfo *all; /* rank 0: of all ranks */
} ResrRankContextProbe;

/* Identity of a network: the options that select it and its file. A file with an equal key is not
 * read again. */
typedef struct ResrModelKey {
    char path[RESR_PATH_BYTES], name[64];
    int scale; /* 0: given by the name */
    double denoise;
    int64_t inode, bytes, changed_ns;
} ResrModelKey;

typedef struct ResrRankContext {
    int rank, size;
    const ResrOptions *options; /* of the launch; they apply to all of its jobs */
    int threads, cpus;          /* this rank's share of the CPUs, and the CPUs that it may use */
    bool beside_root;           /* this rank's machine is rank 0's */
    ResrModel *model;           /* the network in use; NULL: none yet */
    ResrModelKey key;           /* rank 0: its key */
    ResrCompute *compute;       /* NULL: none, or this rank does not compute */
    const ResrOps *ops;         /* backend and plan of `compute` */
    ResrPlan plan;
    ResrRankContextProbe probes[2]; /* by kind of network */
    ResrRankInfo *ranks;            /* rank 0: of the current job */
    bool detached;                  /* a compute thread that hangs still uses `model` */
} ResrRankContext;

/* Fills in rank, host, process and CPU; the rest becomes zero. */
void resr_rank_context_describe(ResrRankInfo *info, int rank);

/* Collective. Determines this rank's CPUs; network and backends are unknown yet. */
void resr_rank_context_create(ResrRankContext *context, int rank, int size,
                              const ResrOptions *options);

/* If the ranks were probed for the plan's kind of network (*known), sets the plan's numerics class
 * and who encodes. A class that is already set must be one that some rank can run. Rank 0; call
 * from any thread. RESR_ERR_DEVICE, errors of resr_plan_choose_encode(). */
RESR_MUST_CHECK int resr_rank_context_choose_class(const ResrRankContext *context, ResrPlan *plan,
                                                   const ResrOptions *options,
                                                   const ResrSinkPlan *output, bool *known);

/* Reads the network of `options` into *own_model (the caller's), or sets *own_model to NULL if the
 * context's network is the same. *key: its identity. Rank 0; call from any thread. Errors of
 * resr_model_find(). */
RESR_MUST_CHECK int resr_rank_context_find_model(const ResrRankContext *context, ResrModelKey *key,
                                                 ResrModel **own_model, const ResrOptions *options);

/* Collective. Broadcasts rank 0's `model` (taken over, also on failure) as the new network.
 * `model`, `key`: rank 0 only. Errors of resr_weights_broadcast(). */
RESR_MUST_CHECK int resr_rank_context_set_model(ResrRankContext *context, ResrModel *model,
                                                const ResrModelKey *key);

/* Collective. Gets the ranks ready for `plan`, which is equal on all ranks and receives its
 * numerics class and who encodes: probes backends, agrees on the class, and restarts compute
 * threads that do not fit the plan. Ranks that fail are excluded with a warning. `options`,
 * `output`: of the job, rank 0 only. Errors of resr_rank_context_choose_class() (with rank 0's
 * message), RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_rank_context_start(ResrRankContext *context, ResrPlan *plan,
                                            const ResrOptions *options, const ResrSinkPlan *output);

/* Stops a compute thread that still has work of the ended job. */
void resr_rank_context_end_job(ResrRankContext *context);

/* Abandons a compute thread that hangs, with the network that it uses, until the process ends. */
void resr_rank_context_detach_compute(ResrRankContext *context);

/* Stops the compute thread and frees everything else. */
void resr_rank_context_end(ResrRankContext *context);

#endif
