#ifndef RESR_JOB_REPORT_H
#define RESR_JOB_REPORT_H

#include "job/plan.h"
#include "net/select_backend.h"

/* The GPU that the rank computes on, with its UUID; NULL if it is none. */
const char *resr_report_device(const ResrRankInfo *rank);

/* The record of a job: which rank computed which part, and where the time went. One thread (rank
 * 0's main thread) uses it. */
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

/* A part's result has arrived. */
RESR_MUST_CHECK int resr_report_part(ResrReport *report, const ResrPart *part, int rank,
                                     double seconds);

/* Writes the report, once the decoder has finished, as one JSON object; see bench/README.md for its
 * fields. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_report_write(const ResrReport *report, const char *path,
                                      const ResrOptions *options, const ResrPlan *plan,
                                      const ResrDecoder *decoder, const ResrModel *model,
                                      const char *encoder, const ResrRankInfo *ranks,
                                      int64_t frames_in, int64_t frames_out,
                                      const ResrTimes *times);

#endif
