// The tables at the end of a translated file, which the runtime finds by the symbols emu_kernels
// and emu_variables; an entry without a name ends each.
#ifndef PTX_EMU_KERNEL_H
#define PTX_EMU_KERNEL_H

#include <cstddef>

namespace emu
{
struct Kernel {
    const char *name;
    void (*function)(const char *params); // of one thread
    int target;                           // 90: sm_90, -90: sm_90a
    unsigned max_threads;                 // of a block
    unsigned static_shared, local;        // bytes
    unsigned dynamic_offset;              // of dynamic shared memory, behind the static one
    unsigned param_bytes, n_params;
    unsigned param_offsets[64];
};

// A __device__ or __constant__ variable. One copy serves all devices.
struct Variable {
    const char *name;
    void *data;
    size_t bytes;
};
} // namespace emu

#endif
