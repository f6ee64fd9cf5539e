#ifndef RESR_JOB_PLANNER_H
#define RESR_JOB_PLANNER_H

#include <stdint.h>

#include "base/error.h"

/* What --plan and --device ask for: numbers of ranks, and what a rank computes with. */
#define RESR_PLANNER_RANKS 64

typedef struct ResrPlannerRequest {
    int32_t count; /* of ranks[]; 0: nothing is asked for */
    int32_t ranks[RESR_PLANNER_RANKS];
    double network_gbit; /* of rank 0's link, per second; 0: not given */
    int32_t host_ranks;  /* ranks on a machine; 0: not given */
    double tflops;       /* --device NUMBER: effective TFLOP/s of a rank; 0: a name */
    char device[16];     /* a name of resr_planner_device(), or "cpu" */
} ResrPlannerRequest;

/* A GPU as its datasheet and cuda/model.py have it: TFLOP/s of direct convolution that the model
 * predicts for x2plus on 1080p in tiles of 256, context counted, from `low` to `high`. */
typedef struct ResrPlannerDevice {
    const char *name, *title, *kernels;
    double low_tflops, high_tflops;
    double link_gbytes; /* PCIe, per second and direction, before overheads */
    const char *link;
} ResrPlannerDevice;

/* The device of a name, or NULL. */
const ResrPlannerDevice *resr_planner_device(const char *name);

/* --plan: "ranks=1,2,4,...,1024", then any of ",host=RANKS" and ",network=GBIT". "..." goes on as
 * the two numbers before it do, doubling or by their difference, up to the number behind it, which
 * is always in the list. RESR_ERR_USAGE with the form that was expected. */
RESR_MUST_CHECK int resr_planner_parse(ResrPlannerRequest *out, const char *text);

/* --device: a name, or effective TFLOP/s of a rank. RESR_ERR_USAGE lists the names. */
RESR_MUST_CHECK int resr_planner_parse_device(ResrPlannerRequest *out, const char *text);

#endif
