#include "sched/liveness.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

typedef struct RankLife {
    int64_t heard_ns, advanced_ns, frames;
    bool busy;
} RankLife;

struct ResrLiveness {
    double deadline_seconds, first_frame_seconds, longest_frame_seconds;
    RankLife ranks[];
};

int resr_liveness_create(ResrLiveness **out, int ranks, double deadline_seconds,
                         double first_frame_seconds, int64_t now_ns)
{
    int ret = resr_alloc(out, 1, sizeof(ResrLiveness) + (size_t)ranks * sizeof(RankLife));
    if (ret < 0)
        return ret;
    (*out)->deadline_seconds = deadline_seconds;
    (*out)->first_frame_seconds = first_frame_seconds;
    for (int i = 0; i < ranks; i++)
        (*out)->ranks[i] = (RankLife){.heard_ns = now_ns, .advanced_ns = now_ns};
    return 0;
}

void resr_liveness_free(ResrLiveness *liveness)
{
    free(liveness);
}

void resr_liveness_heard(ResrLiveness *liveness, int rank, int64_t now_ns)
{
    liveness->ranks[rank].heard_ns = now_ns;
}

bool resr_liveness_progress(ResrLiveness *liveness, int rank, int64_t frames, int64_t now_ns)
{
    RankLife *life = &liveness->ranks[rank];
    if (frames == life->frames)
        return false;
    life->frames = frames;
    life->advanced_ns = now_ns;
    return true;
}

void resr_liveness_busy(ResrLiveness *liveness, int rank, bool busy, int64_t now_ns)
{
    RankLife *life = &liveness->ranks[rank];
    if (busy && !life->busy)
        life->advanced_ns = now_ns;
    life->busy = busy;
}

void resr_liveness_restart(ResrLiveness *liveness, int ranks, int64_t now_ns)
{
    for (int i = 0; i < ranks; i++)
        liveness->ranks[i].heard_ns = liveness->ranks[i].advanced_ns = now_ns;
}

void resr_liveness_frame(ResrLiveness *liveness, double seconds)
{
    if (seconds > liveness->longest_frame_seconds)
        liveness->longest_frame_seconds = seconds;
}

double resr_liveness_overdue(const ResrLiveness *liveness, int rank, bool *silent, int64_t now_ns)
{
    const RankLife *life = &liveness->ranks[rank];
    double unheard = (double)(now_ns - life->heard_ns) * 1e-9;
    double stuck = life->busy ? (double)(now_ns - life->advanced_ns) * 1e-9 : 0;
    double frame = liveness->longest_frame_seconds > 0
                       ? RESR_DEADLINE_FRAMES * liveness->longest_frame_seconds
                       : liveness->first_frame_seconds;
    *silent = unheard > liveness->deadline_seconds;
    if (*silent)
        return unheard;
    if (stuck <= liveness->deadline_seconds || stuck <= frame)
        return 0;
    *silent = unheard > liveness->deadline_seconds / 2; /* progress is unknown without messages */
    return stuck;
}
