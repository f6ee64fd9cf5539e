#ifndef RESR_JOB_INFO_H
#define RESR_JOB_INFO_H

#include "job/report.h"

/* What the program says about itself, on stdout. */

/* Version, build, libraries and CPU features: everything a bug report needs. `mpi`: the MPI
 * library's own version line. */
void resr_info_print_version(const char *mpi);

/* Known networks and where their weights are, searched in `where` (empty: the default places). */
void resr_info_print_models(const char *where);

/* What each rank computes with; `ranks` has `n` entries. */
void resr_info_print_devices(const ResrRankInfo *ranks, int n);

#endif
