#ifndef TEST_PRELOAD_H
#define TEST_PRELOAD_H

#include <dlfcn.h>
#include <stdarg.h>

/* Defines `next`, the C library's function behind the one of this name in a preloaded library. */
#define NEXT(result, name, ...)                                                                    \
    static result (*next)(__VA_ARGS__);                                                            \
    if (!next)                                                                                     \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

/* Defines `mode`, the argument that open() has behind `flags` if it may create a file. */
#define OPEN_MODE(mode, flags)                                                                     \
    mode_t mode = 0;                                                                               \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                         \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode = va_arg(list, mode_t);                                                               \
        va_end(list);                                                                              \
    }

#endif
