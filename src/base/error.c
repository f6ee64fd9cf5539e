#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char error_text[RESR_ERROR_TEXT_BYTES];

int resr_fail(int code, const char *format, ...)
{
    char text[RESR_ERROR_TEXT_BYTES]; /* arguments may point into error_text */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(error_text, text, sizeof text);
    return code;
}

int resr_fail_prefix(int code, const char *format, ...)
{
    char text[RESR_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof text)
        snprintf(text + used, sizeof text - (size_t)used, "%s", error_text);
    memcpy(error_text, text, sizeof text);
    return code;
}

const char *resr_error_text(void)
{
    return error_text;
}

void resr_error_save(char out[RESR_ERROR_TEXT_BYTES])
{
    memcpy(out, error_text, sizeof error_text);
}

int resr_error_restore(int code, const char *saved)
{
    snprintf(error_text, sizeof error_text, "%s", saved);
    return code;
}

int resr_error_exit_status(int code)
{
    return code == 0 ? 0 : code < 0 && code > -256 ? -code : -RESR_ERR_INTERNAL;
}
