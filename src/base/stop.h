#ifndef RESR_BASE_STOP_H
#define RESR_BASE_STOP_H

/* The request to stop the whole process, which a signal makes. Waits look at it. */

/* The signal `number` has arrived. For a signal's handler. */
void resr_stop_request(int number);

/* Number of the signal, or 0. From any thread. */
int resr_stop_signal(void);

#endif
