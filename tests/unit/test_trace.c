/* Events: recorded by many threads and read back. The file: valid with any names of hosts, one
 * clock, threads whose events do not overlap. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <pthread.h>

#include "base/limits.h"
#include "job/trace.h"
#include "test_main.h"

#define THREADS 4
#define EVENTS 5000 /* of a thread: several chunks */

static void *record_many(void *argument)
{
    int thread = *(int *)argument;
    for (int i = 0; i < EVENTS; i++)
        resr_events_add(&(ResrEvent){.start_ns = i, .end_ns = i + 1, .first = i, .peer = thread});
    return NULL;
}

static void record_in_threads(void)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Events of each thread in order, none lost, none twice; returns how many. */
static size_t read_all(ResrEventCursor *cursor, size_t at_once)
{
    ResrEvent events[100];
    int64_t next[THREADS] = {0};
    size_t n, total = 0;
    while ((n = resr_events_read(cursor, events, at_once)) > 0) {
        for (size_t i = 0; i < n; i++)
            assert_int_equal(events[i].first, next[events[i].peer]++);
        total += n;
    }
    return total;
}

static void test_events_of_threads(void **state)
{
    (void)state;
    ResrEventCursor cursor = {0}, again = {0}, later = {0};
    record_in_threads(); /* off: nothing is kept */
    assert_int_equal(resr_events_now(), 0);
    assert_int_equal(read_all(&cursor, 7), 0);
    cursor = (ResrEventCursor){0};
    resr_events_start();
    assert_true(resr_events_now() > 0);
    record_in_threads();
    assert_int_equal(read_all(&cursor, 7), THREADS * EVENTS);
    assert_int_equal(read_all(&again, 100), THREADS * EVENTS);
    assert_int_equal(resr_events_dropped(), 0);
    int number = 0;
    record_many(&number); /* this thread has a log now, which the next start must not use */
    resr_events_start();
    record_many(&number);
    assert_int_equal(read_all(&later, 64), EVENTS);
    resr_events_clear();
}

static void test_bounded(void **state)
{
    (void)state;
    ResrEvent event = {.stage = RESR_STAGE_DECODE, .peer = -1}, some[64];
    ResrEventCursor cursor = {0};
    size_t n, kept = 0;
    resr_events_start();
    for (int i = 0; i < RESR_TRACE_MAX_EVENTS + 10; i++)
        resr_events_add(&event);
    while ((n = resr_events_read(&cursor, some, 64)) > 0)
        kept += n;
    assert_int_equal(kept, RESR_TRACE_MAX_EVENTS);
    assert_int_equal(resr_events_dropped(), 10);
    resr_events_clear();
}

static json_t *write_trace(ResrTrace *trace, const ResrRankInfo *ranks)
{
    char path[] = "/tmp/resr-trace-XXXXXX";
    json_error_t error;
    close(mkstemp(path));
    assert_int_equal(resr_trace_write(trace, path, ranks, "bf16-\"amx\""), 0);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("line %d: %s", error.line, error.text);
    unlink(path);
    return root;
}

/* Host names with everything in them; rank 1's clock is 5 us ahead; three transfers overlap. */
static void test_file(void **state)
{
    (void)state;
    ResrTrace *trace;
    ResrRankInfo ranks[2] = {{.host = "a\"b\\c\n\x01\xe9"}, {.host = "b"}};
    const ResrEvent sends[] = {{.start_ns = 3000, .end_ns = 9000, .stage = RESR_STAGE_SEND},
                               {.start_ns = 1000, .end_ns = 4000, .stage = RESR_STAGE_SEND},
                               {.start_ns = 4000, .end_ns = 5001, .stage = RESR_STAGE_SEND}};
    const ResrEvent late = {7000, 8000, 16, 0, 8, -1, 2, RESR_STAGE_COMPUTE, 1, 0};
    assert_int_equal(resr_trace_create(&trace, 2, 1000), 0);
    resr_trace_align(trace, 1, 5000, 250);
    resr_trace_add(trace, 0, sends, 3);
    resr_trace_add(trace, 1, &late, 1);
    resr_trace_add(trace, 1, &(ResrEvent){.stage = RESR_STAGES}, 1); /* of no version we know */
    resr_trace_complete(trace, 0, 3);
    json_t *root = write_trace(trace, ranks), *events = json_object_get(root, "traceEvents"),
           *event;
    size_t i, transfers = 0, computes = 0;
    json_array_foreach(events, i, event)
    {
        const char *kind = json_string_value(json_object_get(event, "ph"));
        const char *name = json_string_value(json_object_get(event, "name"));
        double ts = json_number_value(json_object_get(event, "ts"));
        int thread = (int)json_integer_value(json_object_get(event, "tid"));
        json_t *arguments = json_object_get(event, "args");
        if (i == 0)
            assert_string_equal(json_string_value(json_object_get(arguments, "name")),
                                "rank 0 on a\"b\\c\n\x01\xc3\xa9");
        if (strcmp(kind, "X") != 0)
            continue;
        if (strncmp(name, "send", 4) == 0) {
            static const double starts[] = {0, 2, 3};
            static const int threads[] = {1, 2, 1}; /* the third begins when the first ends */
            assert_float_equal(ts, starts[transfers], 1e-9);
            assert_int_equal(thread, threads[transfers]);
            transfers++;
        } else {
            assert_string_equal(name, "compute 16-23");
            assert_float_equal(ts, 1, 1e-9);
            assert_true(json_is_true(json_object_get(arguments, "failed")));
            assert_int_equal(json_integer_value(json_object_get(arguments, "attempt")), 2);
            computes++;
        }
    }
    assert_int_equal(transfers, 3);
    assert_int_equal(computes, 1);
    json_t *all = json_object_get(json_object_get(root, "otherData"), "ranks");
    assert_true(json_is_true(json_object_get(json_array_get(all, 0), "complete")));
    assert_true(json_is_false(json_object_get(json_array_get(all, 1), "complete")));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(all, 0), "dropped")), 3);
    json_decref(root);
    resr_trace_free(trace);
}

TEST_MAIN(test_events_of_threads, test_bounded, test_file)
