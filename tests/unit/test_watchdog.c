/* The watchdog of rank 0 in a child process with fake I/O threads and a fake checkpoint: it ends a
 * process whose threads hang, as resumable, and leaves alone one that was suspended as a whole. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "run/watchdog.h"

#define DEADLINE_SECONDS 0.8
#define LIMIT_SECONDS 60 /* of a test that fails */

/* Seconds that each activity has taken, and the last status. */
static double coding, finishing, writing;
static const char *state;

void resr_io_threads_stall(const ResrIoThreads *io_threads, double *now, double *longest)
{
    (void)io_threads;
    *now = coding;
    *longest = 0.01;
}

double resr_io_threads_finish_stall(ResrIoThreads *io_threads)
{
    (void)io_threads;
    return finishing;
}

double resr_checkpoint_stall(const ResrCheckpoint *checkpoint)
{
    (void)checkpoint;
    return writing;
}

void resr_checkpoint_set_status(ResrCheckpoint *checkpoint, const char *name, int exit_code,
                                const char *message)
{
    (void)checkpoint;
    (void)message;
    state = name;
    if (strcmp(name, "resumable") != 0 || exit_code != 75)
        _exit(1);
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){0, ms * 1000000L}, NULL);
}

/* The main thread of a child, whose loop turns every 5 ms until it is ended. After a suspension it
 * gets the processor later than the watchdog does. */
static void run_child(bool turns)
{
    static int checkpoint; /* any address */
    atomic_llong turn_ns = resr_clock_ns();
    ResrWatchdog *watchdog;
    alarm(LIMIT_SECONDS);
    if (resr_watchdog_start(&watchdog, &turn_ns, NULL, (ResrCheckpoint *)&checkpoint,
                            DEADLINE_SECONDS) < 0)
        _exit(2);
    for (;;) {
        int64_t before_ns = resr_clock_ns();
        sleep_ms(5);
        if (resr_clock_seconds_since(before_ns) > 2)
            sleep_ms(20);
        if (turns)
            turn_ns = resr_clock_ns();
    }
}

static pid_t start_child(bool turns)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(turns);
    return child;
}

static void expect_end(bool turns)
{
    int status;
    pid_t child = start_child(turns);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 75);
}

static void test_hangs(void **unused)
{
    (void)unused;
    expect_end(false);
    coding = 1000;
    expect_end(true);
    coding = 0;
    finishing = 1000;
    expect_end(true);
    finishing = 0;
    writing = 1000;
    expect_end(true);
    writing = 0;
}

/* The process is stopped for longer than its main thread may take for a turn. */
static void test_suspended(void **unused)
{
    (void)unused;
    int status;
    pid_t child = start_child(true);
    sleep_ms(500);
    for (int i = 0; i < 2; i++) {
        kill(child, SIGSTOP);
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        assert_true(WIFSTOPPED(status));
        sleep(3);
        kill(child, SIGCONT);
        sleep_ms(700);
    }
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_suspended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
