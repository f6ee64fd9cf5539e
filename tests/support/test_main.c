#include "test_main.h"

#include <stdlib.h>
#include <string.h>

void test_fill_group(struct CMUnitTest *tests, const CMUnitTestFunction *functions, size_t count,
                     const char *list)
{
    char *names = strdup(list), *rest; /* as long as the process, like the tests */
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){.name = strtok_r(i ? NULL : names, ", ", &rest),
                                       .test_func = functions[i]};
}
