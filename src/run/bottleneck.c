#include "run/bottleneck.h"

#include "base/clock.h"

#define SAMPLE_NS 10000000
#define WINDOW_NS 1000000000

/* Ranks that compute for at least this share of their time are the bottleneck, even if other
 * threads are busy, too. */
#define COMPUTE_BOUND 0.9

const char *resr_bottleneck_name(const ResrActivity *activity)
{
    double lost = 1 - activity->computing;
    if (activity->computing >= COMPUTE_BOUND)
        return "compute";
    if (activity->in_transit >= lost / 2)
        return "network";
    if (activity->decoder_waiting < 0.5)
        return "decode";
    /* Decoded frames exist, or existed: a stage behind the ranks holds them. */
    if (activity->backlog >= 0.5)
        return activity->committing >= 0.5 ? "disk" : "encode";
    if (activity->writing >= 0.5)
        return "disk";
    return "compute"; /* all ranks wait for the oldest frame, or for the last ones */
}

/* A rank whose parts are all in transit has none to compute. Frames below MPI's eager limit (some
 * KiB) count as arrived once they are sent. */
static void sample_ranks(ResrActivity *sum, const ResrBottleneckConfig *config)
{
    int live = 0, computing = 0, in_transit = 0;
    for (int i = 0; i < config->n; i++) {
        if (config->ranks[i].threads == 0 || config->faults[i])
            continue;
        int moving = config->endpoint && i > 0 ? resr_endpoint_in_flight(config->endpoint, i) : 0;
        live++;
        if (resr_scheduler_in_flight(config->scheduler, i) > moving)
            computing++;
        else if (moving > 0)
            in_transit++;
    }
    if (live > 0) {
        sum->computing += (double)computing / live;
        sum->in_transit += (double)in_transit / live;
    }
}

static const char *name_of_window(const ResrBottleneck *bottleneck)
{
    const ResrActivity *sum = &bottleneck->sum;
    double n = bottleneck->samples;
    return resr_bottleneck_name(&(ResrActivity){.computing = sum->computing / n,
                                                .in_transit = sum->in_transit / n,
                                                .decoder_waiting = sum->decoder_waiting / n,
                                                .backlog = sum->backlog / n,
                                                .committing = sum->committing / n,
                                                .writing = sum->writing / n});
}

const char *resr_bottleneck_sample(ResrBottleneck *bottleneck, const ResrBottleneckConfig *config)
{
    int64_t now_ns = resr_clock_ns();
    if (now_ns - bottleneck->sampled_ns < SAMPLE_NS)
        return bottleneck->name;
    ResrIoThreadsState state = resr_io_threads_state(config->io);
    bottleneck->sampled_ns = now_ns;
    if (bottleneck->samples == 0)
        bottleneck->window_start_ns = now_ns;
    bottleneck->samples++;
    sample_ranks(&bottleneck->sum, config);
    bottleneck->sum.decoder_waiting += state.decoder_waiting;
    bottleneck->sum.backlog += state.backlog;
    bottleneck->sum.committing += state.committing;
    bottleneck->sum.writing += config->checkpoint && resr_checkpoint_stall(config->checkpoint) > 0;
    if (now_ns - bottleneck->window_start_ns < WINDOW_NS)
        return bottleneck->name;
    bottleneck->name = name_of_window(bottleneck);
    bottleneck->samples = 0;
    bottleneck->sum = (ResrActivity){0};
    return bottleneck->name;
}
