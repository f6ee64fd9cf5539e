#ifndef RESR_JOB_PLAN_REQUEST_H
#define RESR_JOB_PLAN_REQUEST_H

#include <stdint.h>

#include "base/error.h"

/* What --plan and --device ask for: numbers of ranks, and what a rank computes with. */
#define RESR_PLAN_REQUEST_RANKS 64

typedef struct ResrPlanRequest {
    int32_t count; /* of ranks[]; 0: nothing is asked for */
    int32_t ranks[RESR_PLAN_REQUEST_RANKS];
    double network_gbit; /* of rank 0's link, per second; 0: not given */
    int32_t host_ranks;  /* ranks on a machine; 0: not given */
    double tflops;       /* --device NUMBER: effective TFLOP/s of a rank; 0: a name */
    char device[16];     /* a name of resr_plan_request_device(), or "cpu" */
} ResrPlanRequest;

/* A GPU as its datasheet and cuda/model.py have it: TFLOP/s of direct convolution that the model
 * predicts for x2plus on 1080p in tiles of 256, context counted, from `low` to `high`. */
typedef struct ResrPlanDevice {
    const char *name, *title, *kernels;
    double low_tflops, high_tflops;
    double link_gbytes; /* PCIe, per second and direction, before overheads */
    const char *link;
} ResrPlanDevice;

/* The device of a name, or NULL. */
const ResrPlanDevice *resr_plan_request_device(const char *name);

/* --plan: "ranks=1,2,4,...,1024", then any of ",host=RANKS" and ",network=GBIT". "..." goes on as
 * the two numbers before it do, doubling or by their difference, up to the number behind it, which
 * is always in the list. RESR_ERR_USAGE with the form that was expected. */
RESR_MUST_CHECK int resr_plan_request_parse(ResrPlanRequest *out, const char *text);

/* --device: a name, or effective TFLOP/s of a rank. RESR_ERR_USAGE lists the names. */
RESR_MUST_CHECK int resr_plan_request_parse_device(ResrPlanRequest *out, const char *text);

#endif
