#include "run/trace_collect.h"

#include "base/log.h"

#define MESSAGES_AT_ONCE 4 /* in flight from one rank, so that rank 0 is not flooded */

void resr_trace_collect_accept(int64_t index, int rank, const ResrPart *part)
{
    int64_t now_ns = resr_events_now();
    resr_events_add(&(ResrEvent){.start_ns = now_ns,
                                 .end_ns = now_ns,
                                 .first = index,
                                 .frames = 1,
                                 .peer = rank,
                                 .attempt = part->attempt,
                                 .stage = RESR_STAGE_ACCEPT});
}

int resr_trace_collect_send(ResrEndpoint *endpoint, ResrEventCursor *cursor, bool *done)
{
    int ret = 0;
    *done = !resr_events_on();
    while (ret == 0 && !*done && resr_endpoint_sending(endpoint) < MESSAGES_AT_ONCE) {
        ResrMessage *message;
        ret = resr_message_create(&message, RESR_WIRE_TRACE);
        if (ret < 0)
            return ret;
        size_t n = resr_events_read(cursor, message->header.events, RESR_WIRE_EVENTS);
        *done = n < RESR_WIRE_EVENTS;
        message->header.part.count = (int32_t)n;
        message->header.code = *done;
        message->header.progress = resr_events_dropped();
        ret = resr_endpoint_send(endpoint, 0, message);
    }
    return ret;
}

void resr_trace_collect_add(ResrTrace *trace, const ResrMessage *message, int rank)
{
    const ResrWireHeader *header = &message->header;
    if (!trace || header->kind != RESR_WIRE_TRACE)
        return;
    resr_trace_add(trace, rank, header->events, (size_t)header->part.count);
    if (header->code)
        resr_trace_complete(trace, rank, header->progress);
}

int resr_trace_collect_finish(ResrTrace *trace, const char *path, const ResrRankInfo *ranks,
                              const char *numerics_class, ResrCompute *compute, int ret)
{
    char error[RESR_ERROR_TEXT_BYTES];
    ResrEvent some[256];
    ResrEventCursor cursor = {0};
    size_t n;
    if (!trace)
        return ret;
    if (compute)
        resr_compute_end_idle(compute);
    while ((n = resr_events_read(&cursor, some, sizeof some / sizeof *some)) > 0)
        resr_trace_add(trace, 0, some, n);
    resr_trace_complete(trace, 0, resr_events_dropped());
    resr_error_save(error);
    int status = resr_trace_write(trace, path, ranks, numerics_class);
    if (ret == 0)
        return status;
    if (status < 0)
        resr_log_warn("%s", resr_error_text());
    return resr_error_restore(ret, error);
}
