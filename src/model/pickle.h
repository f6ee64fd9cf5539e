#ifndef RESR_MODEL_PICKLE_H
#define RESR_MODEL_PICKLE_H

#include "model/readers.h"

/* Gives the bytes of a storage: *data and *bytes of the record `key`, owned by the callee. */
typedef int (*ResrRecordReader)(void *user, const char *key, const uint8_t **data, size_t *bytes);

/* Reads the pickle of a state dict: the tensors of the dictionary itself, or of one that lies in it
 * under a key of resr_state_dict_key() or as its only entry. Entries of other kinds are
 * skipped. The stack machine knows dictionaries, tuples, lists,
 * numbers, text and tensors only; the few global names that it accepts are compared, not looked up,
 * and nothing is ever called. The caller frees *tensors. RESR_ERR_DATA, with the opcode and its
 * offset. */
RESR_MUST_CHECK int resr_pickle_read(ResrTensor **tensors, size_t *n, const uint8_t *data,
                                     size_t bytes, ResrRecordReader read_record, void *user);

#endif
