/* The watchdog of rank 0 in a child process, which it ends: each of the four things that it watches
 * over and under its limit; and a process that was stopped as a whole. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "run/watchdog.h"
#include "test_main.h"

enum { DEADLINE = 3 }; /* seconds */

/* Seconds that the watchdog is told, and how often it looked. */
static double busy_seconds, longest_seconds, finishing_seconds, writing_seconds;
static atomic_int looks;
static atomic_llong turn_ns, jump_ns; /* of the main thread; added to the monotonic clock */
static atomic_int calls_after_jump;
static pid_t main_thread;

int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);

/* After the jump the watchdog reads the clock once to see how long it slept. At its second reading
 * the main thread has moved, as it does soon after the process resumes. */
int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    int ret = __real_clock_gettime(id, out);
    if (id != CLOCK_MONOTONIC || jump_ns == 0)
        return ret;
    out->tv_sec += jump_ns / 1000000000;
    if (gettid() != main_thread && ++calls_after_jump == 2)
        turn_ns = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec;
    return ret;
}

void resr_io_threads_stall(const ResrIoThreads *io, double *now, double *longest)
{
    (void)io;
    *now = busy_seconds;
    *longest = longest_seconds;
    looks++;
}

double resr_io_threads_finish_stall(ResrIoThreads *io)
{
    (void)io;
    return finishing_seconds;
}

double resr_checkpoint_stall(const ResrCheckpoint *checkpoint)
{
    (void)checkpoint;
    return writing_seconds;
}

void resr_checkpoint_set_status(ResrCheckpoint *checkpoint, const char *state, int exit_code,
                                const char *message)
{
    (void)checkpoint;
    fprintf(stderr, "status %s %d: %s\n", state, exit_code, message);
}

/* Plays until the watchdog has looked twice; its exit code and messages. */
static int play(char *text, size_t bytes, bool jump)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ResrWatchdog *watchdog;
        char nothing; /* the fakes ignore their arguments */
        dup2(ends[1], STDERR_FILENO);
        main_thread = gettid();
        if (resr_watchdog_start(&watchdog, &turn_ns, (ResrIoThreads *)(void *)&nothing,
                                (ResrCheckpoint *)(void *)&nothing, DEADLINE) != 0)
            _exit(1);
        while (jump && looks == 0)
            nanosleep(&(struct timespec){0, 1000000}, NULL);
        if (jump)
            jump_ns = 100 * 1000000000ll;
        int before = looks;
        while (looks < before + 2)
            nanosleep(&(struct timespec){0, 1000000}, NULL);
        resr_watchdog_stop(watchdog);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t n;
    while ((n = read(ends[0], text + used, bytes - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_limits(void **state)
{
    static const struct {
        double turn, busy, longest, finishing, writing;
        const char *words; /* NULL: nothing is late */
    } cases[] = {
        {1, 11, 0, 110, 11, NULL},
        {6.1, 0, 0, 0, 0, "main thread"},
        {0, 12.1, 0, 0, 0, "decoding or encoding"},
        {0, 12.1, 1, 121, 12.1, NULL},
        {0, 1.1 * RESR_DEADLINE_FRAMES, 1, 0, 0, "decoding or encoding"},
        {0, 0, 0, 121, 0, "finishing the output"},
        {0, 0, 0, 0, 12.1, "writing the checkpoint"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2048], told[64];
        turn_ns = resr_clock_ns() - (int64_t)(cases[i].turn * 1e9);
        busy_seconds = cases[i].busy;
        longest_seconds = cases[i].longest;
        finishing_seconds = cases[i].finishing;
        writing_seconds = cases[i].writing;
        int code = play(text, sizeof text, false);
        if (code != (cases[i].words ? -RESR_ERR_STOPPED : 0))
            fail_msg("case %zu: exit %d: %s", i, code, text);
        snprintf(told, sizeof told, "status resumable %d: ", -RESR_ERR_STOPPED);
        if (cases[i].words && (!strstr(text, cases[i].words) || !strstr(text, told)))
            fail_msg("case %zu: '%s', expected '%s' and '%s'", i, text, told, cases[i].words);
    }
}

/* A process that was stopped for longer than the deadline gets the time to move again. */
static void test_stopped(void **state)
{
    char text[2048];
    (void)state;
    busy_seconds = longest_seconds = finishing_seconds = writing_seconds = 0;
    turn_ns = resr_clock_ns();
    if (play(text, sizeof text, true) != 0)
        fail_msg("%s", text);
}

TEST_MAIN(test_limits, test_stopped)
