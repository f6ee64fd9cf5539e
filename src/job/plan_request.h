#ifndef RESR_JOB_PLAN_REQUEST_H
#define RESR_JOB_PLAN_REQUEST_H

#include <stdint.h>

#include "base/error.h"

/* The values of --plan and --device: numbers of ranks, and the device of a rank. */
#define RESR_PLAN_REQUEST_RANKS 64

typedef struct ResrPlanRequest {
    int32_t count; /* of ranks[]; 0: no --plan */
    int32_t ranks[RESR_PLAN_REQUEST_RANKS];
    double network_gbit; /* of rank 0's link, per second; 0: not given */
    int32_t host_ranks;  /* ranks per machine; 0: not given */
    double tflops;       /* --device NUMBER: effective TFLOP/s of a rank; 0: a name */
    char device[16];     /* a name of resr_plan_request_device(), or "cpu" */
} ResrPlanRequest;

/* A GPU by its datasheet and cuda/model.py: the TFLOP/s of direct convolution that the model
 * predicts for x2plus on 1080p in tiles of 256, context included, from `low` to `high`. */
typedef struct ResrPlanDevice {
    const char *name, *title, *kernels;
    double low_tflops, high_tflops;
    double link_gbytes; /* PCIe, per second and direction, before overheads */
    const char *link;
} ResrPlanDevice;

/* The device of a name, or NULL. */
const ResrPlanDevice *resr_plan_request_device(const char *name);

/* Parses --plan: "ranks=1,2,4,...,1024", then any of ",host=RANKS" and ",network=GBIT". "..."
 * continues the two numbers before it, doubling or by their difference, up to the number behind it,
 * which is always in the list. RESR_ERR_USAGE with the expected form. */
RESR_MUST_CHECK int resr_plan_request_parse(ResrPlanRequest *out, const char *text);

/* Parses --device: a name, or the effective TFLOP/s of a rank. RESR_ERR_USAGE lists the names. */
RESR_MUST_CHECK int resr_plan_request_parse_device(ResrPlanRequest *out, const char *text);

#endif
