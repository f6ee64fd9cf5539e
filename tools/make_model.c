/* make_model OUT.safetensors rrdb|srvgg|span SCALE BLOCKS NF GC SEED [unshuffle=N] [channels=N]
 * [normalise=0|1]: writes a seeded random network, so that tests of the whole program need no real
 * weights. SEED 0: all weights are zero, so that an srvgg is the nearest-neighbour enlargement of
 * its input. GC counts for rrdb only. Without options: 3 channels; rrdb has two enlargements, that
 * is unshuffle 4 / SCALE up to 4x; span's input is not normalised. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random_model.h"

static const char *const arch_names[] = {
    [RESR_ARCH_RRDB] = "rrdb", [RESR_ARCH_SRVGG] = "srvgg", [RESR_ARCH_SPAN] = "span"};

static int32_t find_arch(const char *name)
{
    for (int32_t i = RESR_ARCH_RRDB; i <= RESR_ARCH_SPAN; i++)
        if (strcmp(arch_names[i], name) == 0)
            return i;
    return 0;
}

/* "channels=1": false if the option is unknown. */
static bool set_option(ResrNetSpec *spec, const char *option)
{
    const struct {
        const char *name;
        int32_t *value;
    } options[] = {{"unshuffle=", &spec->unshuffle},
                   {"channels=", &spec->channels},
                   {"normalise=", &spec->normalise}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        size_t length = strlen(options[i].name);
        if (strncmp(option, options[i].name, length) == 0) {
            *options[i].value = atoi(option + length);
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    ResrModel *model = NULL;
    ResrNetSpec spec = {.arch = argc >= 8 ? find_arch(argv[2]) : 0};
    bool usable = spec.arch != 0;
    if (usable) {
        bool rrdb = resr_spec_is_rrdb(&spec);
        spec.scale = atoi(argv[3]);
        spec.num_blocks = atoi(argv[4]);
        spec.nf = atoi(argv[5]);
        spec.gc = rrdb ? atoi(argv[6]) : 0;
        spec.unshuffle = rrdb && spec.scale > 0 && spec.scale < 4 ? 4 / spec.scale : 1;
        spec.channels = 3;
        spec.resize = 1;
    }
    for (int i = 8; i < argc; i++)
        usable = usable && set_option(&spec, argv[i]);
    if (!usable) {
        fprintf(stderr, "usage: make_model OUT.safetensors rrdb|srvgg|span SCALE BLOCKS NF GC SEED "
                        "[unshuffle=N] [channels=N] [normalise=0|1]\n");
        return 64;
    }
    uint64_t seed = strtoull(argv[7], NULL, 10);
    int ret = resr_random_model(&model, &spec, seed, 1.5);
    if (ret == 0 && seed == 0)
        memset(model->arena, 0, model->arena_floats * sizeof *model->arena);
    if (ret == 0)
        ret = resr_model_save(model, argv[1], true);
    if (ret < 0)
        fprintf(stderr, "%s: cannot be written: %s\n", argv[1], resr_error_text());
    resr_model_free(model);
    return ret < 0;
}
