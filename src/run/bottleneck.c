#include "run/bottleneck.h"

#include "base/clock.h"

#define LOOK_NS 10000000
#define WINDOW_NS 1000000000

/* Adds what the ranks are at: a rank whose parts are all on their way has none to compute. Frames
 * below MPI's eager limit (some KiB) count as arrived once they are sent. */
static void look_at_ranks(ResrLoad *sum, const ResrBottleneckParts *parts)
{
    int live = 0, computing = 0, under_way = 0;
    for (int i = 0; i < parts->n; i++) {
        if (parts->ranks[i].threads == 0 || parts->gone[i])
            continue;
        int moving = parts->mail && i > 0 ? resr_endpoint_in_flight(parts->mail, i) : 0;
        live++;
        if (resr_scheduler_in_flight(parts->scheduler, i) > moving)
            computing++;
        else if (moving > 0)
            under_way++;
    }
    if (live > 0) {
        sum->computing += (double)computing / live;
        sum->under_way += (double)under_way / live;
    }
}

static const char *judge(const ResrBottleneck *gauge)
{
    double n = gauge->looks;
    ResrLoad mean = {gauge->sum.computing / n,     gauge->sum.under_way / n,
                     gauge->sum.decoder_rests / n, gauge->sum.backlog / n,
                     gauge->sum.committing / n,    gauge->sum.writing / n};
    return resr_load_limit(&mean);
}

const char *resr_bottleneck_sample(ResrBottleneck *gauge, const ResrBottleneckParts *parts)
{
    int64_t now_ns = resr_clock_ns();
    if (now_ns - gauge->looked_ns < LOOK_NS)
        return gauge->limit;
    ResrIoThreadsState state = resr_io_threads_state(parts->pipeline);
    gauge->looked_ns = now_ns;
    if (gauge->looks == 0)
        gauge->begun_ns = now_ns;
    gauge->looks++;
    look_at_ranks(&gauge->sum, parts);
    gauge->sum.decoder_rests += state.decoder_rests;
    gauge->sum.backlog += state.backlog;
    gauge->sum.committing += state.committing;
    gauge->sum.writing += parts->checkpoint && resr_checkpoint_stall(parts->checkpoint) > 0;
    if (now_ns - gauge->begun_ns < WINDOW_NS)
        return gauge->limit;
    gauge->limit = judge(gauge);
    gauge->looks = 0;
    gauge->sum = (ResrLoad){0};
    return gauge->limit;
}
