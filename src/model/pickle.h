#ifndef RESR_MODEL_PICKLE_H
#define RESR_MODEL_PICKLE_H

#include "model/readers.h"

/* Where a storage's bytes come from: fills *data with the record of this key (owned by the callee)
 * and its size. */
typedef int (*ResrRecordReader)(void *user, const char *key, const uint8_t **data, size_t *bytes);

/* Reads the pickle of a state dict: the tensors of `params_ema`, else `params`, else of the
 * dictionary itself. It is a machine with dictionaries, tuples, lists, numbers, text and tensors:
 * the few global names it accepts are tokens that are matched, not looked up, and nothing is ever
 * called. *tensors is the caller's. RESR_ERR_DATA names the opcode and its offset. */
RESR_MUST_CHECK int resr_pickle_read(ResrTensor **tensors, size_t *n, const uint8_t *data,
                                     size_t bytes, ResrRecordReader read_record, void *user);

#endif
