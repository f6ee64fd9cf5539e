#ifndef RESR_JOB_REPORT_H
#define RESR_JOB_REPORT_H

#include "job/plan.h"
#include "net/select_backend.h"

/* The GPU of a rank, with its UUID; NULL: the rank computes on CPUs. */
const char *resr_report_device(const ResrRankInfo *rank);

/* The record of a job: which rank computed which part, and the time of each activity. Rank 0's main
 * thread only. */
typedef struct ResrReport ResrReport;

typedef struct ResrTimes {
    double wall, start_up, decode, compute, encode; /* seconds; compute summed over the ranks */
    double makespan;             /* from the first part sent to the last result received */
    double scheduler;            /* processor time of rank 0's main thread */
    double hash;                 /* of rank 0's threads, within decode and encode */
    int64_t bytes_out, bytes_in; /* rank 0's, of frames and segments to and from other ranks */
} ResrTimes;

RESR_MUST_CHECK int resr_report_create(ResrReport **out);
void resr_report_free(ResrReport *report);

/* Records that the result of a part has arrived. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_report_part(ResrReport *report, const ResrPart *part, int rank,
                                     double seconds);

/* A finished job, as the report describes it. */
typedef struct ResrReportInput {
    const ResrOptions *options;
    const ResrPlan *plan;
    const ResrDecoder *decoder; /* at the end of the input */
    const ResrModel *model;
    const char *encoder;       /* its name */
    const ResrRankInfo *ranks; /* plan->ranks of them */
    int64_t frames_in, frames_out;
    const ResrTimes *times;
} ResrReportInput;

/* Publishes the report as one JSON object; bench/README.md describes its fields. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_report_write(const ResrReport *report, const char *path,
                                      const ResrReportInput *input);

#endif
