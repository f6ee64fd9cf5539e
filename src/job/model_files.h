#ifndef RESR_JOB_MODEL_FILES_H
#define RESR_JOB_MODEL_FILES_H

#include <stdbool.h>

#include "base/error.h"

/* Requests about weight files, with results on stdout. */

/* Prints a line for each file of `folder`, by name: the network, its scale, channels and cost per
 * input pixel, or the reason why the file does not run. Subfolders, hidden files and the .bin
 * beside a .param are left out. RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_model_files_list(const char *folder);

/* Reads the weight file `input` and writes its canonical form as `output` (resr_model_save()),
 * whose name ends in .safetensors; prints the network. RESR_ERR_USAGE, RESR_ERR_EXISTS, and the
 * errors of resr_model_load() and resr_model_save(). */
RESR_MUST_CHECK int resr_model_files_convert(const char *input, const char *output, bool overwrite);

#endif
