#ifndef RESR_JOB_INFO_H
#define RESR_JOB_INFO_H

#include "job/report.h"

/* Information about the program, on stdout. */

/* Prints version, build, libraries and CPU features, for bug reports. `mpi`: the MPI library's
 * version line. */
void resr_info_print_version(const char *mpi);

/* Prints the known networks and their weight files, found in `where` (empty: the default folders).
 */
void resr_info_print_models(const char *where);

/* Prints the device and kernels of each of `n` ranks. */
void resr_info_print_devices(const ResrRankInfo *ranks, int n);

#endif
