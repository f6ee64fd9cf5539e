#include "cpu/layer.h"

#include "cpu/direct.h"
#include "cpu/winograd.h"

void resr_layer_prepare(ResrLayer *layer)
{
    const ResrDirectKernels *direct = layer->kernels->direct;
    const ResrWinogradKernels *winograd = layer->kernels->winograd;
    const ResrPackedConv *conv = layer->conv;
    if (direct) {
        layer->grid_px = 1;
        layer->unit_px = direct->max_px;
        layer->column_cost = (int64_t)conv->cin * conv->out_blocks;
        layer->rows = resr_direct_rows;
        return;
    }
    int64_t new_cells = conv->in_cells - layer->new_cell;
    layer->grid_px = winograd->outputs;
    layer->unit_px = winograd->outputs * winograd->unit_tiles;
    layer->column_cost = winograd->product_cost * conv->in_cells * conv->out_blocks +
                         winograd->input_cost * new_cells +
                         winograd->output_cost * conv->out_blocks;
    layer->rows = resr_winograd_rows;
}
