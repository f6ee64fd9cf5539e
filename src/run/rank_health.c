/* Which ranks are in use.
 *
 * Each rank has a set of faults, and every fault begins and ends on its own:
 *
 *   fault      begins when                                            ends with
 *   SILENT     no message has arrived within the deadline             any message
 *   STUCK      the rank has work and has not finished a frame within  the next frame
 *              the deadline and RESR_DEADLINE_FRAMES times the
 *              longest frame of any rank (sched/liveness.h)
 *   NO_DEVICE  its device or its encoder fails                        the job
 *
 * A rank with any fault gets no work, and its parts go to others; the first one is recorded for
 * status.json. When the last one ends, it gets work again. Heartbeats go to every rank that is not
 * SILENT, since a worker that hears nothing ends the job; STOP to those that are not STUCK, either,
 * since a STUCK one could not end its compute thread. */

#include "run/rank_health.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

int resr_rank_health_create(ResrRankHealth *health, const ResrRankHealthConfig *config)
{
    const ResrPlan *plan = config->plan;
    double computed, useful;
    health->config = *config;
    resr_plan_frame_macs(plan, &computed, &useful);
    int ret = resr_alloc(&health->faults, (size_t)plan->ranks, sizeof *health->faults);
    return ret < 0 ? ret
                   : resr_liveness_create(&health->liveness, plan->ranks, plan->deadline_seconds,
                                          RESR_DEADLINE_FRAMES * computed * 2 / RESR_SLOWEST_FLOPS,
                                          resr_clock_ns());
}

void resr_rank_health_clear(ResrRankHealth *health)
{
    resr_liveness_free(health->liveness);
    free(health->faults);
    *health = (ResrRankHealth){0};
}

void resr_rank_health_heard(ResrRankHealth *health, int rank)
{
    resr_liveness_heard(health->liveness, rank, resr_clock_ns());
}

bool resr_rank_health_progress(ResrRankHealth *health, int rank, int64_t frames)
{
    return resr_liveness_progress(health->liveness, rank, frames, resr_clock_ns());
}

void resr_rank_health_frame(ResrRankHealth *health, double seconds)
{
    resr_liveness_frame(health->liveness, seconds);
}

void resr_rank_health_update(ResrRankHealth *health, int rank)
{
    bool busy = resr_scheduler_in_flight(health->config.scheduler, rank) > 0;
    resr_liveness_busy(health->liveness, rank, busy, resr_clock_ns());
}

void resr_rank_health_exclude(ResrRankHealth *health, int rank, ResrRankFault fault)
{
    const ResrRankHealthConfig *config = &health->config;
    const ResrRankInfo *info = &config->ranks[rank];
    bool active = health->faults[rank] == 0;
    health->faults[rank] |= fault;
    if (info->threads == 0)
        return;
    resr_scheduler_exclude(config->scheduler, rank);
    config->delivery->ops->exclude(config->delivery, rank, fault == RESR_RANK_SILENT);
    resr_liveness_busy(health->liveness, rank, false, resr_clock_ns());
    if (config->checkpoint && active)
        resr_checkpoint_record_exclusion(config->checkpoint, info->host, rank);
}

int resr_rank_health_recover(ResrRankHealth *health, int rank, ResrRankFault fault,
                             bool *readmitted)
{
    const ResrRankHealthConfig *config = &health->config;
    *readmitted = health->faults[rank] == fault;
    health->faults[rank] &= ~(unsigned)fault;
    if (!*readmitted)
        return 0;
    resr_scheduler_readmit(config->scheduler, rank);
    resr_log_info("rank %d on %s answers again", rank, config->ranks[rank].host);
    return config->delivery->ops->readmit(config->delivery, rank);
}

/* Excludes the rank if something is overdue; with `silent_only`, if no message has arrived. */
static void check_rank(ResrRankHealth *health, int rank, bool silent_only, int64_t now_ns)
{
    const ResrRankHealthConfig *config = &health->config;
    ResrDelivery *delivery = config->delivery;
    bool silent;
    if (rank > 0)
        resr_liveness_busy(health->liveness, rank,
                           resr_scheduler_in_flight(config->scheduler, rank) > 0 ||
                               delivery->ops->waits_for(delivery, rank),
                           now_ns);
    if (health->faults[rank] & RESR_RANK_SILENT)
        return;
    double seconds = resr_liveness_overdue(health->liveness, rank, &silent, now_ns);
    if (seconds <= 0 || (silent_only && !silent))
        return;
    resr_log_warn("rank %d on %s %s for %.1f s: it is left out%s", rank, config->ranks[rank].host,
                  silent ? "has not been heard of" : "has not finished a frame", seconds,
                  config->ranks[rank].threads > 0 ? ", and its frames go to others" : "");
    resr_rank_health_exclude(health, rank, silent ? RESR_RANK_SILENT : RESR_RANK_STUCK);
}

/* Silent ranks are excluded first: other ranks may wait for their frames. */
void resr_rank_health_check(ResrRankHealth *health)
{
    const ResrPlan *plan = health->config.plan;
    int64_t now_ns = resr_clock_ns();
    double gap = (double)(now_ns - health->checked_ns) * 1e-9;
    resr_liveness_heard(health->liveness, 0, now_ns);
    if (health->checked_ns && gap > plan->deadline_seconds / 2) /* this process was suspended */
        resr_liveness_restart(health->liveness, plan->ranks, now_ns);
    health->checked_ns = now_ns;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < plan->ranks; i++)
            check_rank(health, i, pass == 0, now_ns);
}
