/* SPAN's convolutions while they are trained (Conv3XC in its authors' code, arXiv 2311.12770): with
 * C = cin and D = cout, three convolutions in a row, conv.0 (1x1, C to 2C), conv.1 (3x3, 2C to 2D)
 * and conv.2 (1x1, 2D to D), plus sk (1x1, C to D) beside them. All are linear; their sum is
 * one 3x3 convolution, eval_conv:
 *
 *     weight[d][c] = sum over m of conv2[d][m] * (sum over l of conv1[m][l] * conv0[l][c])
 *                    + sk[d][c] at the centre
 *     bias[d]      = conv2.bias[d] + sk.bias[d]
 *                    + sum over m of conv2[d][m] * (conv1.bias[m] + sum of conv1[m][l] *
 * conv0.bias[l])
 *
 * The authors' code folds in fp32, in an order that the library chooses. Here the sums are in fp64,
 * so that the result does not depend on an order. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/readers.h"

enum { SK, CONV0, CONV1, CONV2 };
enum { GAIN = 2, TAPS = 9, CENTRE = TAPS / 2 };

bool resr_conv3xc_shapes(ResrConvShape parts[RESR_CONV3XC_PARTS], const ResrConvShape *shape)
{
    static const char *const names[RESR_CONV3XC_PARTS] = {"sk", "conv.0", "conv.1", "conv.2"};
    const char *ending = strstr(shape->name, "eval_conv");
    int cin = shape->cin, cout = shape->cout;
    if (!ending)
        return false;
    parts[SK] = (ResrConvShape){.cout = cout, .cin = cin, .kernel_px = 1};
    parts[CONV0] = (ResrConvShape){.cout = GAIN * cin, .cin = cin, .kernel_px = 1};
    parts[CONV1] = (ResrConvShape){.cout = GAIN * cout, .cin = GAIN * cin, .kernel_px = 3};
    parts[CONV2] = (ResrConvShape){.cout = cout, .cin = GAIN * cout, .kernel_px = 1};
    for (int i = 0; i < RESR_CONV3XC_PARTS; i++)
        snprintf(parts[i].name, sizeof parts[i].name, "%.*s%s", (int)(ending - shape->name),
                 shape->name, names[i]);
    return true;
}

int resr_conv3xc_create(ResrConv parts[RESR_CONV3XC_PARTS],
                        const ResrConvShape shapes[RESR_CONV3XC_PARTS])
{
    size_t floats = 0;
    float *next = NULL;
    for (int i = 0; i < RESR_CONV3XC_PARTS; i++) {
        parts[i] = (ResrConv){
            .cout = shapes[i].cout, .cin = shapes[i].cin, .kernel_px = shapes[i].kernel_px};
        floats += resr_conv_weights(&parts[i]) + (size_t)parts[i].cout;
    }
    int ret = resr_alloc(&next, floats, sizeof *next);
    for (int i = 0; ret == 0 && i < RESR_CONV3XC_PARTS; i++) {
        parts[i].weight = next;
        parts[i].bias = next + resr_conv_weights(&parts[i]);
        next = parts[i].bias + parts[i].cout;
    }
    return ret;
}

/* conv1 after conv0: weights[m][c][tap], biases[m]. */
static void fold_first(double *weights, double *biases, const ResrConv *conv0,
                       const ResrConv *conv1)
{
    const float *w = conv1->weight;
    for (int m = 0; m < conv1->cout; m++) {
        double *row = weights + (size_t)m * (size_t)conv0->cin * TAPS;
        biases[m] = (double)conv1->bias[m];
        for (int l = 0; l < conv1->cin; l++, w += TAPS) {
            const float *v = conv0->weight + (size_t)l * (size_t)conv0->cin;
            for (int tap = 0; tap < TAPS; tap++)
                biases[m] += (double)w[tap] * (double)conv0->bias[l];
            for (int c = 0; c < conv0->cin; c++)
                for (int tap = 0; tap < TAPS; tap++)
                    row[c * TAPS + tap] += (double)w[tap] * (double)v[c];
        }
    }
}

int resr_conv3xc_fold(const ResrConv *conv, const ResrConv parts[RESR_CONV3XC_PARTS])
{
    const ResrConv *sk = &parts[SK], *conv2 = &parts[CONV2];
    size_t inner = (size_t)conv2->cin, cin = (size_t)conv->cin, row = cin * TAPS;
    double *weights = NULL;
    int ret = resr_alloc(&weights, inner * (row + 1) + row, sizeof *weights);
    if (ret < 0)
        return ret;
    double *biases = weights + inner * row, *sums = biases + inner;
    fold_first(weights, biases, &parts[CONV0], &parts[CONV1]);
    for (size_t d = 0; d < (size_t)conv->cout; d++) {
        const float *last = conv2->weight + d * inner;
        double bias = (double)conv2->bias[d] + (double)sk->bias[d];
        memset(sums, 0, row * sizeof *sums);
        for (size_t c = 0; c < cin; c++)
            sums[c * TAPS + CENTRE] = (double)sk->weight[d * cin + c];
        for (size_t m = 0; m < inner; m++) {
            bias += (double)last[m] * biases[m];
            for (size_t i = 0; i < row; i++)
                sums[i] += (double)last[m] * weights[m * row + i];
        }
        conv->bias[d] = (float)bias;
        for (size_t i = 0; i < row; i++)
            conv->weight[d * row + i] = (float)sums[i];
    }
    free(weights);
    ret = resr_weights_check(conv->weight, resr_conv_weights(conv), conv->name);
    return ret < 0 ? ret : resr_weights_check(conv->bias, (size_t)conv->cout, conv->name);
}
