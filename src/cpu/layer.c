#include "cpu/layer.h"

#include "cpu/direct.h"
#include "cpu/winograd.h"

void resr_layer_prepare(ResrLayer *layer)
{
    if (!layer->conv) {
        layer->row_px = layer->column_px = 1;
        return;
    }
    const ResrDirectKernels *direct = layer->conv->kernels->direct;
    const ResrWinogradKernels *winograd = layer->conv->kernels->winograd;
    layer->out_blocks = layer->conv->out_blocks;
    if (layer->conv->slope)
        layer->activation = RESR_ACTIVATION_SLOPE;
    layer->row_px = direct ? 1 : winograd->outputs;
    layer->column_px =
        direct ? 2 : winograd->outputs; /* direct kernels that enlarge take pairs of pixels */
    layer->rows = direct ? resr_direct_rows : resr_winograd_rows;
}
