#include "model/ncnn_param.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r"

/* "k=v", or "-233kk=n,v,v..." for an array with key kk. */
static int read_param(ResrNcnnLayer *layer, const char *text)
{
    char *end;
    int i = layer->n_params;
    long key = strtol(text, &end, 10);
    if (end == text || *end != '=' || key > 10000 || key < -33300 || i == RESR_NCNN_MAX_PARAMS)
        return resr_fail(RESR_ERR_DATA, "layer %s: '%.40s' is not a parameter", layer->name, text);
    bool array = key <= -23300;
    layer->params[i].key = (int)(array ? -23300 - key : key);
    for (int k = 0; k < i; k++)
        if (layer->params[k].key == layer->params[i].key)
            return resr_fail(RESR_ERR_DATA, "layer %s: parameter %d occurs twice", layer->name,
                             layer->params[k].key);
    long count = 1;
    if (array) {
        count = strtol(end + 1, &end, 10);
        if (count < 1 || count > 4 || *end != ',')
            return resr_fail(RESR_ERR_DATA, "layer %s: '%.40s' is not an array of 1 to 4 numbers",
                             layer->name, text);
        layer->params[i].count = (int)count;
    }
    for (long k = 0; k < count; k++) {
        const char *start = end + 1;
        layer->params[i].values[k] = strtod(start, &end);
        if (end == start || *end != (k + 1 < count ? ',' : 0))
            return resr_fail(RESR_ERR_DATA, "layer %s: '%.40s' is not of %ld numbers", layer->name,
                             text, count);
    }
    layer->n_params++;
    return 0;
}

static int read_count(const char *word)
{
    char *end;
    long count = strtol(word, &end, 10);
    return end == word || *end || count < 0 || count > RESR_NCNN_MAX_BLOBS ? -1 : (int)count;
}

int resr_ncnn_read_layer(ResrNcnnLayer *layer, char *line)
{
    char *state = NULL;
    char *words[4];
    memset(layer, 0, sizeof *layer);
    for (int i = 0; i < 4; i++) {
        words[i] = strtok_r(i ? NULL : line, BLANKS, &state);
        if (!words[i] || strlen(words[i]) >= RESR_NCNN_NAME_BYTES)
            return resr_fail(RESR_ERR_DATA,
                             "a layer's line lacks its type, name or counts: '%.40s'", line);
    }
    memcpy(layer->type, words[0], strlen(words[0]) + 1);
    memcpy(layer->name, words[1], strlen(words[1]) + 1);
    layer->n_in = read_count(words[2]);
    layer->n_out = read_count(words[3]);
    if (layer->n_in < 0 || layer->n_out < 1)
        return resr_fail(RESR_ERR_DATA, "layer %s has %s inputs and %s outputs", layer->name,
                         words[2], words[3]);
    for (int i = 0; i < layer->n_in + layer->n_out; i++) {
        const char *blob = strtok_r(NULL, BLANKS, &state);
        if (!blob || strlen(blob) >= RESR_NCNN_NAME_BYTES)
            return resr_fail(RESR_ERR_DATA, "layer %s lacks the name of a blob", layer->name);
        if (i < layer->n_in)
            layer->in[i] = blob;
        else
            layer->out[i - layer->n_in] = blob;
    }
    int ret = 0;
    for (char *text; ret == 0 && (text = strtok_r(NULL, BLANKS, &state));)
        ret = read_param(layer, text);
    return ret;
}

double resr_ncnn_param(const ResrNcnnLayer *layer, int key, double otherwise)
{
    for (int i = 0; i < layer->n_params; i++)
        if (layer->params[i].key == key)
            return layer->params[i].values[0];
    return otherwise;
}

int resr_ncnn_int_param(const ResrNcnnLayer *layer, int key, int otherwise)
{
    double value = resr_ncnn_param(layer, key, otherwise);
    return value > -1e9 && value < 1e9 && value == (int)value ? (int)value : -1;
}
