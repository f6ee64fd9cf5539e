#include "base/stop.h"

static const volatile int none, *watched = &none;

void resr_stop_watch(const volatile int *signal)
{
    watched = signal;
}

int resr_stop_signal(void)
{
    return *watched;
}
