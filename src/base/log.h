#ifndef RESR_BASE_LOG_H
#define RESR_BASE_LOG_H

/* Messages to the user, on stderr; stdout is reserved for results. Thread-safe: one write per line.
 * Control characters are shown as \xHH (resr_text_show()). */

/* Rank shown before warnings ("realesrgan-mpi[3]: ..."); -1 (the default) shows none. */
void resr_log_set_rank(int rank);

/* `before_line` is called before each line and erases a progress bar; NULL: none. Set by one
 * thread, called by any thread. */
void resr_log_set_hook(void (*before_line)(void));

void resr_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void resr_log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void resr_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
