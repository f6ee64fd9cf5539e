#include "base/stop.h"

#include <stdatomic.h>

static atomic_int requested;

void resr_stop_request(int number)
{
    requested = number;
}

int resr_stop_signal(void)
{
    return requested;
}
