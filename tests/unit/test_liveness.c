/* Who counts as hung: a rank that is not heard of, or one that computes and gets no further. */

#include <stdbool.h>

#include "base/limits.h"
#include "sched/liveness.h"
#include "test_main.h"

#define SECONDS(s) ((int64_t)((s)*1e9))

static ResrLiveness *create(void)
{
    ResrLiveness *liveness;
    assert_int_equal(resr_liveness_create(&liveness, 2, 10, 300, 0), 0);
    return liveness;
}

static double overdue(const ResrLiveness *liveness, int rank, double now)
{
    bool silent;
    return resr_liveness_overdue(liveness, rank, &silent, SECONDS(now));
}

static void test_silence(void **state)
{
    (void)state;
    bool silent;
    ResrLiveness *liveness = create();
    assert_true(overdue(liveness, 1, 9.9) == 0);
    assert_true(overdue(liveness, 1, 10.1) > 10);
    resr_liveness_heard(liveness, 1, SECONDS(10));
    assert_true(overdue(liveness, 1, 19.9) == 0);
    assert_true(resr_liveness_overdue(liveness, 1, &silent, SECONDS(21)) > 10);
    assert_true(silent);
    resr_liveness_restart(liveness, 2, SECONDS(50)); /* the monitoring process was suspended */
    assert_true(overdue(liveness, 1, 59) == 0);
    resr_liveness_free(liveness);
}

/* The deadline for a frame follows the longest one seen; before that, an estimate. */
static void test_progress(void **state)
{
    (void)state;
    ResrLiveness *liveness = create();
    bool silent;
    for (int s = 0; s < 299; s += 5)
        resr_liveness_heard(liveness, 0, SECONDS(s));
    resr_liveness_busy(liveness, 0, true, SECONDS(1));
    resr_liveness_busy(liveness, 0, true, SECONDS(200)); /* still busy: no advance */
    assert_true(overdue(liveness, 0, 299) == 0);
    resr_liveness_heard(liveness, 0, SECONDS(301));
    assert_true(resr_liveness_overdue(liveness, 0, &silent, SECONDS(302)) > 300);
    assert_false(silent);
    assert_true(resr_liveness_progress(liveness, 0, 3, SECONDS(303)));
    assert_false(resr_liveness_progress(liveness, 0, 3, SECONDS(304)));
    resr_liveness_frame(liveness, 2);
    resr_liveness_frame(liveness, 1);
    resr_liveness_heard(liveness, 0, SECONDS(303 + RESR_DEADLINE_FRAMES * 2));
    assert_true(overdue(liveness, 0, 303 + RESR_DEADLINE_FRAMES * 2 - 1) == 0);
    assert_true(overdue(liveness, 0, 303 + RESR_DEADLINE_FRAMES * 2 + 1) > 0);
    resr_liveness_busy(liveness, 0, false,
                       SECONDS(350)); /* nothing to do, nothing to be late with */
    assert_true(overdue(liveness, 0, 303 + RESR_DEADLINE_FRAMES * 2 + 1) == 0);
    resr_liveness_free(liveness);
}

TEST_MAIN(test_silence, test_progress)
