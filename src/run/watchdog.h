#ifndef RESR_RUN_WATCHDOG_H
#define RESR_RUN_WATCHDOG_H

#include <stdatomic.h>

#include "ckpt/checkpoint.h"
#include "run/io_threads.h"

/* Ends rank 0 if one of its threads hangs in a system call, as on a file system that no longer
 * responds. status.json then says "resumable" and the process exits with 75. */
typedef struct ResrWatchdog ResrWatchdog;

/* `turn_ns`: time of the main loop's last turn; 0: the loop has ended. `checkpoint` may be NULL.
 * All arguments must outlive the watchdog. RESR_ERR_INTERNAL (memory, no thread). */
RESR_MUST_CHECK int resr_watchdog_start(ResrWatchdog **out, const atomic_llong *turn_ns,
                                        ResrIoThreads *io_threads, ResrCheckpoint *checkpoint,
                                        double deadline_seconds);
void resr_watchdog_stop(ResrWatchdog *watchdog); /* NULL is allowed */

#endif
