/* How it works. Four zimg graphs are built once and run for each frame:
 *
 *   to_rgb     input frame -> float RGB (grey: one plane, copied to all three)
 *   from_rgb   float RGB -> output frame, resized by Lanczos if the sizes differ
 *   alpha_in   the input's alpha plane -> float
 *   alpha_out  float -> the output's alpha plane, resized
 *
 * Frames whose size is not a multiple of the chroma subsampling are extended in a scratch frame
 * first, and the output is cut from one. The numerics are fixed: no dither, and no code for a
 * particular CPU, so that all ranks compute the same bits. */

#include "media/colour.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zimg.h>

#include "base/memory.h"

/* Spare columns and rows of an RGB image. zimg requires sizes that are multiples of the chroma
 * subsampling, because chroma planes have whole samples; frames of odd size are extended by
 * repeating the last column and row. */
#define EDGE_PX 3

#define MATRIX_UNSPECIFIED 2

struct ResrColour {
    ResrFormat input, output;
    int rgb_width_px, rgb_height_px;
    int in_width_px, in_height_px;   /* input, extended */
    int out_width_px, out_height_px; /* output, extended */
    zimg_filter_graph *to_rgb, *from_rgb;
    zimg_filter_graph *alpha_in, *alpha_out; /* through float: zimg resizes 8 bits less exactly */
    ResrRgb alpha;                           /* input's size, first plane only */
    ResrFormat in_extended, out_extended;
    ResrFrame *in_scratch, *out_scratch; /* NULL: the size needs no extension */
    void *work;
    bool network_alpha;
    bool alpha_is_opaque; /* the output has an alpha plane and the input has none */
};

int resr_rgb_create(ResrRgb *out, int width_px, int height_px, int planes)
{
    *out = (ResrRgb){.width_px = width_px, .height_px = height_px};
    out->stride = resr_round_up((size_t)width_px + EDGE_PX, 16);
    size_t plane = out->stride * ((size_t)height_px + EDGE_PX);
    int ret = resr_alloc(&out->data, plane, (size_t)planes * sizeof(float));
    for (int p = 0; ret == 0 && p < planes; p++)
        out->plane[p] = out->data + (size_t)p * plane;
    for (size_t i = 0; ret == 0 && planes == 4 && i < plane; i++)
        out->plane[3][i] = 1;
    return ret;
}

void resr_rgb_free(ResrRgb *rgb)
{
    free(rgb->data);
    *rgb = (ResrRgb){0};
}

static int zimg_failure(const char *what, const ResrFormat *format)
{
    char text[256] = "";
    zimg_get_last_error(text, sizeof text);
    return resr_fail(
        RESR_ERR_DATA,
        "frames in %.31s (matrix %d, chroma position %d) cannot be converted %s RGB: %s",
        format->pix_fmt, format->matrix, format->chroma_location, what, text);
}

/* Players' convention for an unspecified matrix: BT.709 for HD, BT.601 below. */
static int matrix_of(const ResrFormat *format)
{
    if (format->model == RESR_COLOUR_RGB)
        return ZIMG_MATRIX_RGB;
    if (format->matrix != MATRIX_UNSPECIFIED && format->matrix != 0)
        return format->matrix;
    return format->height_px >= 720 ? ZIMG_MATRIX_BT709 : ZIMG_MATRIX_ST170_M;
}

static zimg_image_format zimg_format_of(const ResrFormat *format, int width_px, int height_px)
{
    static const zimg_color_family_e families[] = {ZIMG_COLOR_GREY, ZIMG_COLOR_YUV, ZIMG_COLOR_RGB};
    zimg_image_format out;
    zimg_image_format_default(&out, ZIMG_API_VERSION);
    out.width = (unsigned)width_px;
    out.height = (unsigned)height_px;
    out.pixel_type = format->depth_bits > 8 ? ZIMG_PIXEL_WORD : ZIMG_PIXEL_BYTE;
    out.depth = (unsigned)format->depth_bits;
    out.subsample_w = (unsigned)format->chroma_shift_x;
    out.subsample_h = (unsigned)format->chroma_shift_y;
    out.color_family = families[format->model];
    out.matrix_coefficients = (zimg_matrix_coefficients_e)matrix_of(format);
    out.pixel_range = format->full_range ? ZIMG_RANGE_FULL : ZIMG_RANGE_LIMITED;
    if (format->chroma_location > 0) /* AVChromaLocation is one more than zimg's */
        out.chroma_location = (zimg_chroma_location_e)(format->chroma_location - 1);
    return out;
}

static zimg_image_format zimg_float_of(int width_px, int height_px, bool grey)
{
    zimg_image_format out;
    zimg_image_format_default(&out, ZIMG_API_VERSION);
    out.width = (unsigned)width_px;
    out.height = (unsigned)height_px;
    out.pixel_type = ZIMG_PIXEL_FLOAT;
    out.depth = 32;
    out.color_family = grey ? ZIMG_COLOR_GREY : ZIMG_COLOR_RGB;
    out.matrix_coefficients = grey ? ZIMG_MATRIX_UNSPECIFIED : ZIMG_MATRIX_RGB;
    out.pixel_range = ZIMG_RANGE_FULL;
    return out;
}

static zimg_filter_graph *build(const zimg_image_format *from, const zimg_image_format *to,
                                bool lanczos)
{
    zimg_graph_builder_params params;
    zimg_graph_builder_params_default(&params, ZIMG_API_VERSION);
    params.resample_filter = lanczos ? ZIMG_RESIZE_LANCZOS : ZIMG_RESIZE_BICUBIC;
    params.filter_param_a = lanczos ? 4 : 0;
    params.filter_param_b = lanczos ? NAN : 0.5;
    params.resample_filter_uv = ZIMG_RESIZE_BICUBIC;
    params.filter_param_a_uv = 0;
    params.filter_param_b_uv = 0.5;
    params.dither_type = ZIMG_DITHER_NONE;
    params.cpu_type = ZIMG_CPU_NONE;
    return zimg_filter_graph_build(from, to, &params);
}

static int build_graphs(ResrColour *c)
{
    const ResrFormat *in = &c->input, *out = &c->output;
    bool grey_in = in->model == RESR_COLOUR_GREY;
    zimg_image_format from = zimg_format_of(in, c->in_width_px, c->in_height_px);
    zimg_image_format to = zimg_float_of(c->in_width_px, c->in_height_px, grey_in);
    if (grey_in)
        from.matrix_coefficients = ZIMG_MATRIX_UNSPECIFIED;
    if (!(c->to_rgb = build(&from, &to, false)))
        return zimg_failure("to", in);

    /* The columns and rows that extend the output correspond to columns and rows beyond the RGB
     * image. */
    from = zimg_float_of(c->rgb_width_px, c->rgb_height_px, false);
    to = zimg_format_of(out, c->out_width_px, c->out_height_px);
    if (c->rgb_width_px == out->width_px && c->rgb_height_px == out->height_px) {
        from.width = to.width;
        from.height = to.height;
    } else {
        from.active_region.width = (double)c->rgb_width_px * c->out_width_px / out->width_px;
        from.active_region.height = (double)c->rgb_height_px * c->out_height_px / out->height_px;
    }
    if (!(c->from_rgb = build(&from, &to, true)))
        return zimg_failure("from", out);

    c->alpha_is_opaque = out->has_alpha && !in->has_alpha;
    if (!out->has_alpha || !in->has_alpha)
        return 0;
    ResrFormat plane = *in;
    plane.model = RESR_COLOUR_GREY;
    plane.full_range = 1;
    plane.chroma_shift_x = plane.chroma_shift_y = 0;
    from = zimg_format_of(&plane, in->width_px, in->height_px);
    plane.depth_bits = out->depth_bits;
    to = zimg_format_of(&plane, out->width_px, out->height_px);
    from.matrix_coefficients = to.matrix_coefficients = ZIMG_MATRIX_UNSPECIFIED;
    zimg_image_format between = zimg_float_of(in->width_px, in->height_px, true);
    c->alpha_in = build(&from, &between, false);
    if (c->network_alpha)
        between = zimg_float_of(c->rgb_width_px, c->rgb_height_px, true);
    c->alpha_out = build(&between, &to, false);
    if (!c->alpha_in || !c->alpha_out)
        return zimg_failure("from", out);
    return c->network_alpha ? 0 : resr_rgb_create(&c->alpha, in->width_px, in->height_px, 3);
}

/* Allocates zimg's working memory and the extended frames. */
static int create_scratch(ResrColour *c)
{
    const zimg_filter_graph *graphs[] = {c->to_rgb, c->from_rgb, c->alpha_in, c->alpha_out};
    size_t largest = 0;
    int ret = 0;
    for (int i = 0; i < 4; i++) {
        size_t bytes = 0;
        if (graphs[i] && zimg_filter_graph_get_tmp_size(graphs[i], &bytes) != ZIMG_ERROR_SUCCESS)
            return zimg_failure("to", &c->input);
        largest = bytes > largest ? bytes : largest;
    }
    if (c->in_width_px != c->input.width_px || c->in_height_px != c->input.height_px)
        ret = resr_frame_create(&c->in_scratch, &c->in_extended);
    if (ret == 0 &&
        (c->out_width_px != c->output.width_px || c->out_height_px != c->output.height_px))
        ret = resr_frame_create(&c->out_scratch, &c->out_extended);
    return ret < 0 ? ret : resr_alloc_uninitialised(&c->work, 1, largest);
}

int resr_colour_create(ResrColour **out, const ResrFormat *input, const ResrFormat *output,
                       int rgb_width_px, int rgb_height_px, bool network_alpha)
{
    int ret = resr_format_check(input);
    if (ret == 0)
        ret = resr_format_check(output);
    if (ret == 0)
        ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrColour *c = *out;
    c->input = c->in_extended = *input;
    c->output = c->out_extended = *output;
    /* Both directions use the same matrix: an untagged output has the input's matrix, not the one
     * that players assume for the output's size. */
    if ((output->model == input->model || output->model == RESR_COLOUR_GREY) &&
        output->matrix == MATRIX_UNSPECIFIED)
        c->output.matrix = c->out_extended.matrix = matrix_of(input);
    c->network_alpha = network_alpha;
    c->rgb_width_px = rgb_width_px;
    c->rgb_height_px = rgb_height_px;
    c->in_width_px = (int)resr_round_up((size_t)input->width_px, 1u << input->chroma_shift_x);
    c->in_height_px = (int)resr_round_up((size_t)input->height_px, 1u << input->chroma_shift_y);
    c->out_width_px = (int)resr_round_up((size_t)output->width_px, 1u << output->chroma_shift_x);
    c->out_height_px = (int)resr_round_up((size_t)output->height_px, 1u << output->chroma_shift_y);
    c->in_extended.width_px = c->in_width_px;
    c->in_extended.height_px = c->in_height_px;
    c->out_extended.width_px = c->out_width_px;
    c->out_extended.height_px = c->out_height_px;
    ret = build_graphs(c);
    if (ret == 0)
        ret = create_scratch(c);
    if (ret < 0) {
        resr_colour_free(c);
        *out = NULL;
    }
    return ret;
}

void resr_colour_free(ResrColour *colour)
{
    if (!colour)
        return;
    zimg_filter_graph_free(colour->to_rgb);
    zimg_filter_graph_free(colour->from_rgb);
    zimg_filter_graph_free(colour->alpha_in);
    zimg_filter_graph_free(colour->alpha_out);
    resr_rgb_free(&colour->alpha);
    resr_frame_free(colour->in_scratch);
    resr_frame_free(colour->out_scratch);
    free(colour->work);
    free(colour);
}

bool resr_colour_is_plain(const ResrColour *c, int *in_matrix, int *out_matrix)
{
    const ResrFormat *in = &c->input, *out = &c->output;
    *in_matrix = matrix_of(in);
    *out_matrix = matrix_of(out);
    return in->model == RESR_COLOUR_YUV && out->model == RESR_COLOUR_YUV && !in->has_alpha &&
           !out->has_alpha && c->rgb_width_px == out->width_px &&
           c->rgb_height_px == out->height_px;
}

static int colour_planes(const ResrFormat *format)
{
    return format->model == RESR_COLOUR_GREY ? 1 : 3;
}

static void describe_frame(zimg_image_buffer *out, const ResrFormat *format, const ResrFrame *frame)
{
    *out = (zimg_image_buffer){.version = ZIMG_API_VERSION};
    for (int p = 0; p < colour_planes(format); p++) {
        ResrPlane plane = resr_format_plane(format, resr_format_plane_index(format, p));
        out->plane[p].data = frame->data + plane.offset_bytes;
        out->plane[p].stride = (ptrdiff_t)plane.stride_bytes;
        out->plane[p].mask = ZIMG_BUFFER_MAX;
    }
}

static void describe_rgb(zimg_image_buffer *out, const ResrRgb *rgb, int planes)
{
    *out = (zimg_image_buffer){.version = ZIMG_API_VERSION};
    for (int p = 0; p < planes; p++) {
        out->plane[p].data = rgb->plane[p];
        out->plane[p].stride = (ptrdiff_t)(rgb->stride * sizeof(float));
        out->plane[p].mask = ZIMG_BUFFER_MAX;
    }
}

static zimg_image_buffer_const constant(const zimg_image_buffer *buffer)
{
    zimg_image_buffer_const out = {.version = ZIMG_API_VERSION};
    for (int p = 0; p < 4; p++) {
        out.plane[p].data = buffer->plane[p].data;
        out.plane[p].stride = buffer->plane[p].stride;
        out.plane[p].mask = buffer->plane[p].mask;
    }
    return out;
}

static int process(const ResrColour *c, const zimg_filter_graph *graph,
                   const zimg_image_buffer *out, const zimg_image_buffer *in)
{
    char text[256] = "";
    zimg_image_buffer_const from = constant(in);
    if (zimg_filter_graph_process(graph, &from, out, c->work, NULL, NULL, NULL, NULL) ==
        ZIMG_ERROR_SUCCESS)
        return 0;
    zimg_get_last_error(text, sizeof text);
    return resr_fail(RESR_ERR_INTERNAL, "colour conversion failed: %s", text);
}

/* Copies the planes of `from` to `to`. A larger plane repeats the last column and row; a smaller
 * one is cut. */
static void copy_extended(ResrFrame *to, const ResrFormat *to_format, const ResrFrame *from,
                          const ResrFormat *from_format)
{
    size_t sample = (size_t)resr_format_sample_bytes(to_format);
    for (int p = 0; p < to_format->planes; p++) {
        ResrPlane target = resr_format_plane(to_format, p);
        ResrPlane source = resr_format_plane(from_format, p);
        size_t common = target.row_bytes < source.row_bytes ? target.row_bytes : source.row_bytes;
        for (int y = 0; y < target.height_px; y++) {
            int source_y = y < source.height_px ? y : source.height_px - 1;
            const uint8_t *in =
                from->data + source.offset_bytes + (size_t)source_y * source.stride_bytes;
            uint8_t *out = to->data + target.offset_bytes + (size_t)y * target.stride_bytes;
            memcpy(out, in, common);
            for (size_t x = common; x < target.row_bytes; x += sample)
                memcpy(out + x, in + common - sample, sample);
        }
    }
}

static void extend_rgb(ResrRgb *rgb, int width_px, int height_px)
{
    for (int p = 0; p < 3; p++) {
        for (int y = 0; y < rgb->height_px; y++)
            for (int x = rgb->width_px; x < width_px; x++)
                rgb->plane[p][(size_t)y * rgb->stride + (size_t)x] =
                    rgb->plane[p][(size_t)y * rgb->stride + (size_t)rgb->width_px - 1];
        for (int y = rgb->height_px; y < height_px; y++)
            memcpy(rgb->plane[p] + (size_t)y * rgb->stride,
                   rgb->plane[p] + (size_t)(rgb->height_px - 1) * rgb->stride,
                   (size_t)width_px * sizeof(float));
    }
}

/* Alpha is the frame's last plane. */
static void describe_alpha(zimg_image_buffer *out, const ResrFormat *format, const ResrFrame *frame)
{
    ResrPlane plane = resr_format_plane(format, format->planes - 1);
    *out = (zimg_image_buffer){.version = ZIMG_API_VERSION};
    out->plane[0].data = frame->data + plane.offset_bytes;
    out->plane[0].stride = (ptrdiff_t)plane.stride_bytes;
    out->plane[0].mask = ZIMG_BUFFER_MAX;
}

static void describe_plane(zimg_image_buffer *out, const ResrRgb *rgb, int plane)
{
    *out = (zimg_image_buffer){.version = ZIMG_API_VERSION};
    out->plane[0].data = rgb->plane[plane];
    out->plane[0].stride = (ptrdiff_t)(rgb->stride * sizeof(float));
    out->plane[0].mask = ZIMG_BUFFER_MAX;
}

int resr_colour_to_rgb(ResrColour *c, ResrRgb *out, const ResrFrame *in)
{
    zimg_image_buffer from, to;
    bool grey = c->input.model == RESR_COLOUR_GREY;
    if (c->in_scratch)
        copy_extended(c->in_scratch, &c->in_extended, in, &c->input);
    describe_frame(&from, &c->in_extended, c->in_scratch ? c->in_scratch : in);
    describe_rgb(&to, out, grey ? 1 : 3);
    int ret = process(c, c->to_rgb, &to, &from);
    for (int p = 1; ret == 0 && grey && p < 3; p++)
        memcpy(out->plane[p], out->plane[0], out->stride * (size_t)out->height_px * sizeof(float));
    if (ret < 0 || !c->network_alpha || !c->alpha_in)
        return ret;
    describe_alpha(&from, &c->input, in);
    describe_plane(&to, out, 3);
    return process(c, c->alpha_in, &to, &from);
}

int resr_colour_from_rgb(ResrColour *c, ResrFrame *out, ResrRgb *in, const ResrFrame *source)
{
    zimg_image_buffer from, to;
    if (c->rgb_width_px == c->output.width_px && c->rgb_height_px == c->output.height_px)
        extend_rgb(in, c->out_width_px, c->out_height_px);
    describe_rgb(&from, in, 3);
    describe_frame(&to, &c->out_extended, c->out_scratch ? c->out_scratch : out);
    int ret = process(c, c->from_rgb, &to, &from);
    if (ret == 0 && c->out_scratch)
        copy_extended(out, &c->output, c->out_scratch, &c->out_extended);
    if (ret == 0 && c->alpha_is_opaque)
        resr_frame_set_opaque(out, &c->output);
    if (ret < 0 || !c->alpha_in)
        return ret;
    describe_alpha(&to, &c->output, out);
    if (c->network_alpha) {
        describe_plane(&from, in, 3);
        return process(c, c->alpha_out, &to, &from);
    }
    zimg_image_buffer between;
    describe_alpha(&from, &c->input, source);
    describe_rgb(&between, &c->alpha, 1);
    ret = process(c, c->alpha_in, &between, &from);
    return ret < 0 ? ret : process(c, c->alpha_out, &to, &between);
}
