#ifndef RESR_MODEL_MODEL_H
#define RESR_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum ResrArch {
    RESR_ARCH_RRDB = 1,  /* RRDBNet: Wang et al., ESRGAN, arXiv 1809.00219 */
    RESR_ARCH_SRVGG = 2, /* SRVGGNetCompact: Wang et al., Real-ESRGAN, arXiv 2107.10833, v0.3 */
    RESR_ARCH_SPAN = 3,  /* Wan et al., Swift Parameter-free Attention Network, arXiv 2311.12770 */
} ResrArch;

typedef enum ResrNormalise {
    RESR_NORMALISE_NONE,
    RESR_NORMALISE_DIV2K,    /* (x - the mean of DIV2K's pictures) * 255, of the official SPAN */
    RESR_NORMALISE_IMAGENET, /* x - the mean of ImageNet's pictures, of some community networks */
    RESR_NORMALISE_COUNT
} ResrNormalise;

/* A network's shape, read from its weights. Plain data: sent between ranks as it is. */
typedef struct ResrNetSpec {
    int32_t arch;       /* ResrArch */
    int32_t scale;      /* output pixels per input pixel and side: 1 to 8 */
    int32_t unshuffle;  /* RRDB: pixel_unshuffle before conv_first: 1, 2 or 4; others: 1 */
    int32_t num_blocks; /* RRDB: residual-in-residual blocks; SRVGG: convolutions of the body; SPAN:
                           attention blocks */
    int32_t nf;         /* feature maps of the trunk */
    int32_t gc;         /* RRDB: growth channels of a dense block; others: 0 */
    int32_t channels;   /* of the picture, input and output: 1 gray, 3 RGB, 4 RGB and alpha */
    int32_t normalise;  /* SPAN: ResrNormalise of its input; others: 0 */
    double resize;      /* factor on the network's output that the weight file asks for: 1, or
                           0.5 and 0.75 in ncnn's animevideov3-x2 and -x3 */
} ResrNetSpec;

static inline bool resr_spec_equal(const ResrNetSpec *a, const ResrNetSpec *b)
{
    return a->arch == b->arch && a->scale == b->scale && a->unshuffle == b->unshuffle &&
           a->num_blocks == b->num_blocks && a->nf == b->nf && a->gc == b->gc &&
           a->channels == b->channels && a->resize == b->resize && a->normalise == b->normalise;
}

static inline bool resr_spec_is_rrdb(const ResrNetSpec *spec)
{
    return spec->arch == RESR_ARCH_RRDB;
}

/* RRDB: enlargements by two after the body, 0 to 3; 2^n = scale * unshuffle. Others: 0. */
int resr_spec_enlargements(const ResrNetSpec *spec);

/* RRDB: index of conv_body in the order of the convolutions. */
int resr_spec_conv_body(const ResrNetSpec *spec);

/* The network computes on (x - mean[channel]) * factor. */
typedef struct ResrNormalisation {
    float mean[3], factor;
} ResrNormalisation;

/* NULL: the input is not normalised. */
static inline const ResrNormalisation *resr_spec_normalisation(const ResrNetSpec *spec)
{
    static const ResrNormalisation table[RESR_NORMALISE_COUNT] = {
        [RESR_NORMALISE_DIV2K] = {{0.4488f, 0.4371f, 0.4040f}, 255},
        [RESR_NORMALISE_IMAGENET] = {{0.485f, 0.456f, 0.406f}, 1},
    };
    return spec->normalise ? &table[spec->normalise] : NULL;
}

/* The architecture's name for messages and reports: "RRDBNet", "SRVGGNetCompact", "SPAN". */
const char *resr_spec_arch_name(const ResrNetSpec *spec);

/* One convolution with bias, fp32, weights [cout][cin][kernel_px][kernel_px] (PyTorch's layout). */
typedef struct ResrConv {
    char name[48]; /* as in the official checkpoint: "body.0.rdb1.conv1", "conv_first", "body.2" */
    int32_t cout, cin;
    int32_t kernel_px;    /* 3; 1 in SPAN's conv_cat */
    float *weight, *bias; /* inside the model's arena */
    float *slope;         /* PReLU slopes [cout] after this convolution, or NULL */
} ResrConv;

/* Number of weights of a convolution, without its biases and slopes. */
static inline size_t resr_conv_weights(const ResrConv *conv)
{
    return (size_t)conv->cout * (size_t)conv->cin * (size_t)(conv->kernel_px * conv->kernel_px);
}

/* A network with canonical weights. RRDB's convolutions in order: conv_first, then for each block
 * rdb1..3 x conv1..5, conv_body, conv_up1.. (as many as enlargements), conv_hr, conv_last:
 * 15 * num_blocks + enlargements + 4. SRVGG's: the head, num_blocks of the body, the tail:
 * num_blocks + 2. SPAN's: conv_1, for each block c1_r, c2_r, c3_r, then conv_2, conv_cat (1x1),
 * upsampler.0: 3 * num_blocks + 4. */
typedef struct ResrModel {
    ResrNetSpec spec;
    char name[64];       /* "RealESRGAN_x4plus", or the file's name */
    char path[1024];     /* the weight file; of a blend, the first one */
    char sha256[65];     /* of this file (ncnn: of the .bin); empty for models without a file */
    bool assumes_slopes; /* SRVGG: the file has no slopes; those of LeakyReLU(0.1) are assumed */
    int32_t n_convs;
    ResrConv *convs;
    float *arena; /* all weights, biases and slopes in the order of convs */
    size_t arena_floats;
} ResrModel;

/* Number of convolutions of a network. */
int resr_spec_convs(const ResrNetSpec *spec);

/* RESR_ERR_DATA if a number of the shape is out of the supported range. */
RESR_MUST_CHECK int resr_spec_check(const ResrNetSpec *spec);

/* Number of the network's weights, biases and slopes. */
size_t resr_spec_floats(const ResrNetSpec *spec);

/* Multiply-accumulates of the network per input pixel, all layers. */
double resr_spec_macs_per_px(const ResrNetSpec *spec);

/* Creates a model with all arrays zero and the names set. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_model_create(ResrModel **out, const ResrNetSpec *spec);
void resr_model_free(ResrModel *model); /* NULL is allowed */

/* Reads a weight file, in the format of its content: .pth (zip), .safetensors, or ncnn .param with
 * its .bin in the same folder (either name may be given). RESR_ERR_NOINPUT; RESR_ERR_DATA, with the
 * tensor, its shape and the expected shape. */
RESR_MUST_CHECK int resr_model_load(ResrModel **out, const char *path);

/* Writes a model in its canonical form: .safetensors, fp32, the names of ResrConv, the metadata
 * "source_sha256" (of the file that the model was read from) and, where it is not 1, "resize".
 * resr_model_load() reads the same model from it. The file appears complete or not at all, and
 * replaces an existing one only with `overwrite`. RESR_ERR_EXISTS, RESR_ERR_IO, RESR_ERR_PERM,
 * RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_model_save(const ResrModel *model, const char *path, bool overwrite);

/* Finds a model by name or file. `where` is -m: a weight file, a folder, or NULL for
 * $REALESRGAN_MODELS, models/weights in the working folder, ../models/weights and models/weights
 * beside the program, <prefix>/share/realesrgan-mpi/models of an installed program, and
 * $XDG_DATA_HOME/realesrgan-mpi/models (by default in ~/.local/share), in this order.
 * `name` is -n ("RealESRGAN_x4plus", "realesrgan-x4plus", ...), or NULL for the default of `scale`
 * (2: RealESRGAN_x2plus, 4: RealESRGAN_x4plus). `denoise` in [0, 1] blends general-x4v3 with its
 * wdn partner, params = denoise * general + (1 - denoise) * wdn in fp32; negative: 0.5 for
 * general-x4v3, as official, ignored for others and for a file (a value given for others:
 * RESR_ERR_USAGE). The partner of a file lies in the file's folder.
 * A missing file is RESR_ERR_NOINPUT with the command that fetches it. */
RESR_MUST_CHECK int resr_model_find(ResrModel **out, const char *where, const char *name, int scale,
                                    double denoise);

/* A known network. */
typedef struct ResrModelEntry {
    const char *name;     /* official name */
    const char *alias;    /* ncnn's name, or NULL */
    const char *files[4]; /* candidates in a model folder, in order of preference, NULL-ended */
    int scale;
    const char *about; /* a few words for --list-models */
} ResrModelEntry;

/* The known network of this index; NULL past the end. */
const ResrModelEntry *resr_model_entry(int index);

/* Writes the path of an entry's first file that exists under `where` (as in resr_model_find()) to
 * `out`. RESR_ERR_NOINPUT without a message if none exists. */
RESR_MUST_CHECK int resr_model_locate(char *out, size_t out_bytes, const ResrModelEntry *entry,
                                      const char *where);

/* The shell command that fetches weights when the name of a network is added, for messages:
 * "sh models/fetch.sh" in a source tree, else with the absolute path of the script that belongs to
 * the program. Returns `out`. */
const char *resr_model_fetch_command(char *out, size_t out_bytes);

#endif
