#ifndef RESR_TESTS_FUZZ_RANDOM_H
#define RESR_TESTS_FUZZ_RANDOM_H

#include <stdint.h>

/* Marsaglia's xorshift64; the state must not be 0. */
static uint64_t random_state;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

#endif
