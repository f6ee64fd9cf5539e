/* The bottleneck of a job, from its activity. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run/bottleneck.h"

static void expect(const char *word, ResrActivity activity)
{
    assert_string_equal(resr_bottleneck_name(&activity), word);
}

static void test_limits(void **state)
{
    (void)state;
    expect("decode", (ResrActivity){.computing = 0}); /* the start: no frame is decoded */
    expect("decode", (ResrActivity){.computing = 0.5});
    expect("compute", (ResrActivity){.computing = 1});
    expect("network", (ResrActivity){.computing = 0.5, .in_transit = 0.5});
    expect("encode", (ResrActivity){.computing = 0.5, .decoder_waiting = 1, .backlog = 1});
    expect("disk", (ResrActivity){.decoder_waiting = 1, .backlog = 1, .committing = 1});
    expect("disk", (ResrActivity){.decoder_waiting = 1, .writing = 1});
    expect("compute",
           (ResrActivity){.computing = 0.1, .decoder_waiting = 1}); /* one slow rank holds all */
}

/* Computing ranks are the bottleneck even if all other threads are busy; otherwise the most active
 * stage counts. */
static void test_ranks_come_first(void **state)
{
    (void)state;
    expect("compute", (ResrActivity){0.95, 0.05, 1, 1, 1, 1});
    expect("network", (ResrActivity){0.2, 0.7, 1, 1, 0, 0});
    expect("encode", (ResrActivity){0.2, 0.2, 0.9, 0.9, 0.1, 0.9});
    expect("decode", (ResrActivity){0.2, 0.2, 0.1, 0.4, 0, 0.9});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_ranks_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
