#ifndef RESR_RUN_TRACE_COLLECT_H
#define RESR_RUN_TRACE_COLLECT_H

#include "comm/endpoint.h"
#include "job/trace.h"
#include "run/compute.h"

/* Collects the events of --trace on rank 0. Main threads only. */

/* Rank 0: records that frame `index` of a result of `rank` is accepted. */
void resr_trace_collect_accept(int64_t index, int rank, const ResrPart *part);

/* Worker, at its end: sends some of the events from `cursor` on; few messages are in flight at a
 * time. Call until *done: all events are sent, or nothing was recorded. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_trace_collect_send(ResrEndpoint *endpoint, ResrEventCursor *cursor,
                                            bool *done);

/* Rank 0: adds the events of a TRACE message of `rank`; ignores other messages. `trace` may be
 * NULL. */
void resr_trace_collect_add(ResrTrace *trace, const ResrMessage *message, int rank);

/* Rank 0, at any end of the job: adds its own events, with the idle time of `compute` (may be NULL)
 * until now, and writes the file. `ret` is the job's status and returned if negative; else the
 * status of the file. Without a trace (NULL) returns `ret`. */
RESR_MUST_CHECK int resr_trace_collect_finish(ResrTrace *trace, const char *path,
                                              const ResrRankInfo *ranks, const char *numerics_class,
                                              ResrCompute *compute, int ret);

#endif
