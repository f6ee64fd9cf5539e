#ifndef FAKE_ENDPOINT_H
#define FAKE_ENDPOINT_H

#include "comm/endpoint.h"

/* comm/endpoint.h in memory, without MPI, for unit tests of one rank. The test plays all other
 * ranks: `turn` is called at each resr_endpoint_poll(), before a message is handed out, takes the
 * messages that the rank under test has sent and delivers answers. One endpoint at a time. */

/* Forgets all messages and sets the callback (NULL: none). */
void fake_endpoint_reset(void (*turn)(void *user), void *user);

/* The oldest message that was sent and not yet taken (the caller's), and the rank it goes to; NULL:
 * none. */
ResrMessage *fake_endpoint_take(int *rank);

/* `message` (taken over) arrives from `rank` at a later poll. Messages arrive in order. */
void fake_endpoint_deliver(int rank, ResrMessage *message);

/* The next resr_endpoint_poll() fails with RESR_ERR_DATA. */
void fake_endpoint_damage(void);

/* Virtual time of resr_clock_ns() and nanosleep(): starts with the first call of
 * fake_clock_advance(); then it moves only by that function, and by nanosleep(), which does not
 * sleep. fake_clock_stop() returns to the real clock. */
void fake_clock_advance(double seconds);
void fake_clock_stop(void);

#endif
