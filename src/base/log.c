#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int log_rank = -1;
static void (*log_hook)(void);

void resr_log_set_rank(int rank)
{
    log_rank = rank;
}

void resr_log_set_hook(void (*before_line)(void))
{
    log_hook = before_line;
}

__attribute__((format(printf, 2, 0))) static void log_line(const char *level, const char *format,
                                                           va_list args)
{
    char line[2048];
    int used = log_rank < 0
                   ? snprintf(line, sizeof line, "realesrgan-mpi: %s", level)
                   : snprintf(line, sizeof line, "realesrgan-mpi[%d]: %s", log_rank, level);
    int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
    size_t length = (size_t)used + (more > 0 ? (size_t)more : 0);
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    line[length++] = '\n';
    if (log_hook)
        log_hook();
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* nowhere left to complain to */
}

#define LOG_LINE(level)                                                                            \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        log_line(level, format, args);                                                             \
        va_end(args);                                                                              \
    } while (0)

void resr_log_info(const char *format, ...)
{
    LOG_LINE("");
}

void resr_log_warn(const char *format, ...)
{
    LOG_LINE("warning: ");
}

void resr_log_error(const char *format, ...)
{
    LOG_LINE("error: ");
}
