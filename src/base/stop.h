#ifndef RESR_BASE_STOP_H
#define RESR_BASE_STOP_H

/* A signal's request to stop the whole process. Waits poll the request. */

/* Records that the signal `number` has arrived. Call from a signal handler. */
void resr_stop_request(int number);

/* Number of the signal, or 0. Call from any thread. */
int resr_stop_signal(void);

#endif
