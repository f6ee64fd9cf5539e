#ifndef RESR_RUN_TRACE_COLLECT_H
#define RESR_RUN_TRACE_COLLECT_H

#include "comm/endpoint.h"
#include "job/trace.h"
#include "run/compute.h"

/* How --trace's events come to rank 0. Main threads only. */

/* Measures what every rank's clock shows when rank 0's shows zero: a few round trips to each rank
 * in turn, of which the shortest counts. Ranks that wait for their turn sleep. Collective and
 * blocking: part of the start. Does nothing where nothing is recorded. `trace`: rank 0's, NULL
 * elsewhere. */
void resr_trace_collect_align(ResrTrace *trace);

/* On rank 0: frame `index` of the result of a part of `rank` is taken. */
void resr_trace_collect_accept(int64_t index, int rank, const ResrPart *part);

/* On a worker that ends: sends some of the events from `cursor` on, so that few messages are under
 * way at a time. *done: all were sent, or nothing was recorded. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_trace_collect_send(ResrEndpoint *endpoint, ResrEventCursor *cursor,
                                            bool *done);

/* On rank 0: what another rank sent; other kinds of messages, and no trace, are passed over. */
void resr_trace_collect_take(ResrTrace *trace, const ResrMessage *message, int rank);

/* On rank 0, at the job's end, however it came: adds its own events, `compute`'s (may be NULL) idle
 * time until now too, and writes the file. `ret` is the job's status, which counts more than a
 * failure here; returns the status of both. No trace (NULL): `ret`. */
RESR_MUST_CHECK int resr_trace_collect_finish(ResrTrace *trace, const char *path,
                                              const ResrRankInfo *ranks, const char *numerics_class,
                                              ResrCompute *compute, int ret);

#endif
