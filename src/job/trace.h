#ifndef RESR_JOB_TRACE_H
#define RESR_JOB_TRACE_H

#include "base/events.h"
#include "job/report.h"

/* --trace: collects the events of all ranks (base/events.h) on rank 0, converts them to one clock
 * and writes the file. One thread only. */
typedef struct ResrTrace ResrTrace;

/* `origin_ns`: time zero of the file, on rank 0's clock. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_trace_create(ResrTrace **out, int ranks, int64_t origin_ns);
void resr_trace_free(ResrTrace *trace); /* NULL is allowed */

/* The clock of `rank` is `offset_ns` +- `accuracy_ns` ahead of rank 0's. Call before its events are
 * added. */
void resr_trace_align(ResrTrace *trace, int rank, int64_t offset_ns, int64_t accuracy_ns);

/* Adds `n` events of `rank`. Events beyond RESR_TRACE_MAX_EVENTS of all ranks, or beyond memory,
 * are counted and dropped. */
void resr_trace_add(ResrTrace *trace, int rank, const ResrEvent *events, size_t n);

/* Marks `rank` as complete; `dropped`: number of events that the rank itself dropped. */
void resr_trace_complete(ResrTrace *trace, int rank, int64_t dropped);

/* Publishes the file in Chrome's trace event format: an object whose "traceEvents" are complete
 * events ("X", microseconds), a process for each rank, a thread for each of its stages. Events of
 * one thread never overlap and come in order: where a rank has several transfers at a time, each
 * gets a thread. "otherData" says which ranks are in it, how accurate their clocks are, and the
 * number of dropped events. Sorts the events. RESR_ERR_EXISTS, RESR_ERR_PERM, RESR_ERR_IO,
 * RESR_ERR_INTERNAL (memory). Source: "Trace Event Format", the Chromium project's document. */
RESR_MUST_CHECK int resr_trace_write(ResrTrace *trace, const char *path, const ResrRankInfo *ranks,
                                     const char *numerics_class);

#endif
