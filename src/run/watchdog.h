#ifndef RESR_RUN_WATCHDOG_H
#define RESR_RUN_WATCHDOG_H

#include <stdatomic.h>

#include "ckpt/checkpoint.h"
#include "run/io_threads.h"

/* Watches over rank 0 itself: a file system that no longer answers stops its threads where nothing
 * else can. The job then ends as resumable: status.json says so, and the process ends with 75. */
typedef struct ResrWatchdog ResrWatchdog;

/* `turn_ns`: time of the main loop's last turn; 0: it has ended. `checkpoint` may be NULL. All
 * arguments must outlive the watchdog. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_watchdog_start(ResrWatchdog **out, const atomic_llong *turn_ns,
                                        ResrIoThreads *io_threads, ResrCheckpoint *checkpoint,
                                        double deadline_seconds);
void resr_watchdog_stop(ResrWatchdog *watchdog); /* NULL is allowed */

#endif
