// Included by the C++ that ptx2cpp.py writes.
#ifndef PTX_EMU_PTX_RUNTIME_H
#define PTX_EMU_PTX_RUNTIME_H

#include <string>

#include "hopper.h"
#include "kernel.h"

enum { ASSERT_FAILED = 710, LAUNCH_FAILED = 719 }; // of cudaError_t

static inline void block_barrier(unsigned id, unsigned count, int site)
{
    bool is_whole_block = id == 0 && count == emu::context().n_threads;
    emu::barrier((int)id, is_whole_block ? 0 : count, site);
}

static void assert_fail(const char *expression, const char *file, unsigned line)
{
    fprintf(stderr, "[device assert %s:%u: %s] ", file, line, expression);
    emu::fault("device assert", 0, ASSERT_FAILED);
}

// Device printf: `args` is a buffer of the promoted arguments, each aligned to its size.
static int device_printf(const char *format, const char *args)
{
    std::string out;
    size_t offset = 0;
    for (; *format; format++) {
        std::string spec = "%";
        char text[256];
        if (*format != '%') {
            out += *format;
            continue;
        }
        for (format++; *format && !strchr("diuoxXcsfFeEgGpaA%", *format); format++)
            spec += *format;
        spec += *format;
        if (*format == '%') {
            out += '%';
            continue;
        }
        bool is_float = strchr("fFeEgGaA", *format);
        bool is_wide = is_float || strchr("ps", *format) || spec.find_first_of("lz") != spec.npos;
        size_t bytes = is_wide ? 8 : 4;
        offset = (offset + bytes - 1) / bytes * bytes;
        if (is_float)
            snprintf(text, sizeof text, spec.c_str(), load<double>(args + offset));
        else if (is_wide)
            snprintf(text, sizeof text, spec.c_str(), load<uint64_t>(args + offset));
        else
            snprintf(text, sizeof text, spec.c_str(), load<uint32_t>(args + offset));
        offset += bytes;
        out += text;
    }
    fputs(out.c_str(), stdout);
    return 1;
}

#endif
