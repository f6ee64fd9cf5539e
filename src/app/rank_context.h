#ifndef RESR_APP_RANK_CONTEXT_H
#define RESR_APP_RANK_CONTEXT_H

#include "job/report.h"
#include "run/compute.h"

/* The ranks of a launch, and what each of them keeps from one video to the next: the network, the
 * compute thread with its packed weights, and what was measured at the start. Main threads, unless
 * noted. */

/* What the ranks can compute networks of one kind with; measured once. */
typedef struct ResrRankContextProbe {
    bool measured;
    int status; /* of this rank's probe, and its message */
    char error[RESR_ERROR_TEXT_BYTES];
    ResrProbe own;
    ResrRankInfo *all; /* rank 0: of all ranks */
} ResrRankContextProbe;

/* How a network is asked for, and what its file was: the same again need not be read again. */
typedef struct ResrModelKey {
    char path[RESR_PATH_BYTES], name[64];
    int scale; /* 0: the name says all */
    double denoise;
    int64_t inode, bytes, changed_ns;
} ResrModelKey;

typedef struct ResrRankContext {
    int rank, size;
    const ResrOptions *options; /* of the launch: what holds for all of its videos */
    int threads, cpus;          /* this rank's share, and what it may run on */
    ResrModel *model;           /* the network at work; NULL: none yet */
    ResrModelKey key;           /* rank 0: its key */
    ResrCompute *compute;       /* NULL: none, or this rank does not compute */
    const ResrOps *ops;         /* that compute was started with, and the plan */
    ResrPlan plan;
    ResrRankContextProbe probes[2]; /* by kind of network */
    ResrRankInfo *ranks;            /* rank 0: as of the video at work */
    bool forsaken;                  /* a compute thread that hangs still uses the network */
} ResrRankContext;

/* What a rank is; threads and probe are left zero. */
void resr_rank_context_describe(ResrRankInfo *info, int rank);

/* Collective. Nothing is known but this rank's processors. */
void resr_rank_context_create(ResrRankContext *crew, int rank, int size,
                              const ResrOptions *options);

/* Rank 0, any thread: the numerics class of `plan`, unless it has one (then some rank must be able
 * to run it), and who encodes, if the ranks were probed for its kind of network: *known.
 * RESR_ERR_DEVICE, and those of resr_plan_choose_encode(). */
RESR_MUST_CHECK int resr_rank_context_choose(const ResrRankContext *crew, ResrPlan *plan,
                                             const ResrOptions *options, const ResrSinkPlan *output,
                                             bool *known);

/* Rank 0, any thread: the network that `options` ask for, read into *own_model (the caller's), or
 * the crew's, which is still so: *own_model is then NULL. The errors of resr_model_find(). */
RESR_MUST_CHECK int resr_rank_context_find_model(const ResrRankContext *crew, ResrModelKey *key,
                                                 ResrModel **own_model, const ResrOptions *options);

/* Collective. Another network than before: rank 0's `model` (taken over, also on failure) goes to
 * all. `key`: rank 0 only. The errors of resr_weights_broadcast(). */
RESR_MUST_CHECK int resr_rank_context_adopt(ResrRankContext *crew, ResrModel *model,
                                            const ResrModelKey *key);

/* Collective. Makes the ranks ready for `plan`, which is the same on all and gets its numerics
 * class and who encodes: they are probed if they were not, agree on the class, and start their
 * compute threads anew where the ones they have do not fit. Ranks that fail are left out with a
 * warning. `options`, `output`: the video's, rank 0 only. The errors of resr_rank_context_choose()
 * (the message is rank 0's), RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_rank_context_start(ResrRankContext *crew, ResrPlan *plan,
                                            const ResrOptions *options, const ResrSinkPlan *output);

/* A video has ended: a compute thread that still has work of it is ended. */
void resr_rank_context_rest(ResrRankContext *crew);

/* The compute thread hangs: it is left alone with what it uses, until the process ends. */
void resr_rank_context_forsake(ResrRankContext *crew);

/* Frees everything. */
void resr_rank_context_end(ResrRankContext *crew);

#endif
