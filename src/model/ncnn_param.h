#ifndef RESR_MODEL_NCNN_PARAM_H
#define RESR_MODEL_NCNN_PARAM_H

#include "base/error.h"

enum { RESR_NCNN_NAME_BYTES = 64, RESR_NCNN_MAX_BLOBS = 64, RESR_NCNN_MAX_PARAMS = 32 };

/* A parsed line of a .param: type, name, numbers of inputs and outputs, names of these blobs,
 * parameters. The names of blobs point into the line. */
typedef struct ResrNcnnLayer {
    char type[RESR_NCNN_NAME_BYTES], name[RESR_NCNN_NAME_BYTES];
    int n_in, n_out;
    const char *in[RESR_NCNN_MAX_BLOBS], *out[RESR_NCNN_MAX_BLOBS];
    int n_params;
    struct {
        int key, count; /* count: 0 for a plain value, else the length of an array */
        double values[4];
    } params[RESR_NCNN_MAX_PARAMS];
} ResrNcnnLayer;

/* Parses a line in place. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_ncnn_read_layer(ResrNcnnLayer *layer, char *line);

/* The parameter with this key, of an array its first value; `otherwise` if the line has none. */
double resr_ncnn_param(const ResrNcnnLayer *layer, int key, double otherwise);

/* The same as an integer; -1 if the value is not one. */
int resr_ncnn_int_param(const ResrNcnnLayer *layer, int key, int otherwise);

#endif
