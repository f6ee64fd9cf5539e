#ifndef RESR_JOB_LOAD_H
#define RESR_JOB_LOAD_H

/* What a job was busy with over a short while, each as a share of it, 0..1. */
typedef struct ResrLoad {
    double computing; /* of the ranks' time: at a part */
    double under_way; /* of the ranks' time: without a part, but one is on its way to or from it */
    double decoder_rests; /* the input has ended, or the pool's credits are used up */
    double backlog;       /* frames wait for the encoder, or it finishes the output */
    double committing;    /* the encoder waits for the disk */
    double writing;       /* the checkpoint's thread writes a batch file */
} ResrLoad;

/* What limits the job, in one word: "compute" (the devices; the goal), "decode", "encode",
 * "network", "disk". Pure. */
const char *resr_load_limit(const ResrLoad *load);

#endif
