#ifndef TEST_PRELOAD_H
#define TEST_PRELOAD_H

#include <dlfcn.h>

/* Defines `next`, the C library's function behind the one of this name in a preloaded library. */
#define NEXT(result, name, ...)                                                                    \
    static result (*next)(__VA_ARGS__);                                                            \
    if (!next)                                                                                     \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

#endif
