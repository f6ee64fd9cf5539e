#ifndef RESR_TESTS_TEST_MAIN_H
#define RESR_TESTS_TEST_MAIN_H

/* cmocka with the headers that it needs, and main() of a program of tests. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Declares `tests`, a cmocka group of the functions that follow. */
#define TEST_GROUP(tests, ...)                                                                     \
    static const CMUnitTestFunction tests##_functions[] = {__VA_ARGS__};                           \
    static struct CMUnitTest tests[sizeof tests##_functions / sizeof *tests##_functions];          \
    test_fill_group(tests, tests##_functions, sizeof tests / sizeof *tests, #__VA_ARGS__)

/* main() that runs the functions in this order. The `_IN` form calls `create` before the first
 * function and `remove` after the last one: cmocka's set-up and tear-down of a group. */
#define TEST_MAIN_IN(create, remove, ...)                                                          \
    int main(void)                                                                                 \
    {                                                                                              \
        TEST_GROUP(tests, __VA_ARGS__);                                                            \
        return cmocka_run_group_tests(tests, create, remove);                                      \
    }
#define TEST_MAIN(...) TEST_MAIN_IN(NULL, NULL, __VA_ARGS__)

/* Names the tests for cmocka's report by `list`, the functions with commas between them. */
void test_fill_group(struct CMUnitTest *tests, const CMUnitTestFunction *functions, size_t count,
                     const char *list);

#endif
