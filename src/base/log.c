#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static int log_rank = -1;
static void (*_Atomic log_hook)(void); /* set by one thread, called by all */

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
    char text[2048], line[4 * sizeof text]; /* names and files may contain escape sequences */
    int used = log_rank < 0
                   ? snprintf(line, sizeof line, "realesrgan-mpi: %s", level)
                   : snprintf(line, sizeof line, "realesrgan-mpi[%d]: %s", log_rank, level);
    vsnprintf(text, sizeof text, format, args);
    resr_text_show(line + used, sizeof line - (size_t)used - 1, text);
    size_t length = strlen(line);
    line[length++] = '\n';
    void (*before_line)(void) = log_hook;
    if (before_line)
        before_line();
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* a failure cannot be reported anywhere */
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
