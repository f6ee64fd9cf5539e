#ifndef RESR_BASE_STOP_H
#define RESR_BASE_STOP_H

/* The request to stop the whole process, which a signal makes. Waits look at it. */

/* `signal`: the number of the signal that arrived, 0 before. Call once, before the first wait; must
 * outlive the process's threads. */
void resr_stop_watch(const volatile int *signal);

/* Number of the signal, or 0. From any thread. */
int resr_stop_signal(void);

#endif
