#ifndef FAKE_CHECKPOINT_H
#define FAKE_CHECKPOINT_H

#include "ckpt/checkpoint.h"

/* Those functions of ckpt/checkpoint.h that src/run calls while frames flow, without files. */
struct ResrCheckpoint {
    const char *folder;    /* of segments' files */
    int64_t durable;       /* frames from 0 that an earlier attempt finished */
    int error;             /* status that the writer reports */
    int retained, commits; /* frames that were retained, segments that were committed */
    int published;
    int64_t end_of_input;        /* frames; 0: not told */
    int excluded[8], exclusions; /* ranks of resr_checkpoint_record_exclusion() */
    double excluded_at[8];       /* seconds of the clock */
};

#endif
