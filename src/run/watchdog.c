/* A thread that checks, every 2 s (200 ms with short deadlines), how long
 *   the main loop has not turned      limit: twice the deadline
 *   one frame is decoded or encoded   the larger of 4 deadlines and RESR_DEADLINE_FRAMES times the
 *                                     longest frame
 *   finishing the output takes        RESR_FINISH_DEADLINES times that
 *   one batch file is written         as for a frame
 * and ends the process beyond the limit. After a suspension of the whole process (SIGSTOP, a laptop
 * that sleeps) one check is skipped, so that the other threads get the processor first. */

#include "run/watchdog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/flag.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

/* The finished file is synced as a whole, which may take the disk long. */
#define RESR_FINISH_DEADLINES 10

struct ResrWatchdog {
    const atomic_llong *turn_ns;
    ResrIoThreads *io_threads;
    ResrCheckpoint *checkpoint;
    double deadline_seconds;
    pthread_t thread;
    pthread_mutex_t lock; /* of ended */
    pthread_cond_t changed;
    atomic_bool ended;
};

/* Ends the process. The message comes first and status.json, whose file system may hang, last. */
static void end_process(const ResrWatchdog *watchdog, const char *what, double seconds)
{
    char text[RESR_ERROR_TEXT_BYTES];
    snprintf(text, sizeof text,
             "rank 0: %s for %.0f s; the job ends here, run the same command again to resume", what,
             seconds);
    resr_log_error("%s", text);
    alarm(5); /* the default action ends the process if writing status.json hangs */
    if (watchdog->checkpoint)
        resr_checkpoint_set_status(watchdog->checkpoint, "resumable", -RESR_ERR_STOPPED, text);
    _exit(-RESR_ERR_STOPPED);
}

static void check(const ResrWatchdog *watchdog)
{
    double busy, longest;
    int64_t turn_ns = *watchdog->turn_ns;
    double turn = turn_ns ? resr_clock_seconds_since(turn_ns) : 0;
    if (turn > 2 * watchdog->deadline_seconds)
        end_process(watchdog, "the main thread has not moved", turn);
    resr_io_threads_stall(watchdog->io_threads, &busy, &longest);
    double limit = RESR_DEADLINE_FRAMES * longest;
    if (limit < 4 * watchdog->deadline_seconds)
        limit = 4 * watchdog->deadline_seconds;
    if (busy > limit)
        end_process(watchdog, "decoding or encoding has not advanced", busy);
    double finishing = resr_io_threads_finish_stall(watchdog->io_threads);
    if (finishing > RESR_FINISH_DEADLINES * limit)
        end_process(watchdog, "finishing the output has not advanced", finishing);
    double writing = watchdog->checkpoint ? resr_checkpoint_stall(watchdog->checkpoint) : 0;
    if (writing > limit)
        end_process(watchdog, "writing the checkpoint has not advanced", writing);
}

static void *watch_main(void *argument)
{
    ResrWatchdog *watchdog = argument;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->ended) {
        struct timespec until;
        int64_t asleep_ns = resr_clock_ns();
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += watchdog->deadline_seconds > 8 ? 2 : 0;
        until.tv_nsec += watchdog->deadline_seconds > 8 ? 0 : 200000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &until);
        /* After a suspension the other threads run first. */
        bool was_stopped = resr_clock_seconds_since(asleep_ns) > 2 + watchdog->deadline_seconds / 2;
        if (!watchdog->ended && !was_stopped)
            check(watchdog);
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

int resr_watchdog_start(ResrWatchdog **out, const atomic_llong *turn_ns, ResrIoThreads *io_threads,
                        ResrCheckpoint *checkpoint, double deadline_seconds)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrWatchdog *watchdog = *out;
    *watchdog = (ResrWatchdog){.turn_ns = turn_ns,
                               .io_threads = io_threads,
                               .checkpoint = checkpoint,
                               .deadline_seconds = deadline_seconds};
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_cond_init(&watchdog->changed, NULL);
    if (pthread_create(&watchdog->thread, NULL, watch_main, watchdog) == 0)
        return 0;
    free(watchdog);
    *out = NULL;
    return resr_fail(RESR_ERR_INTERNAL, "the watchdog's thread cannot be started");
}

void resr_watchdog_stop(ResrWatchdog *watchdog)
{
    if (!watchdog)
        return;
    resr_flag_raise(&watchdog->ended, &watchdog->lock, &watchdog->changed);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
    free(watchdog);
}
