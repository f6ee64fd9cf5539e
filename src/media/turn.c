#include "media/turn.h"

#include <libavutil/pixdesc.h>
#include <libavutil/pixfmt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "media/repack.h"

/* Samples of a plane along one direction of the picture: sample i is `site + i * step` half pixels
 * from the picture's first pixel. */
typedef struct Axis {
    int count, step, site;
} Axis;

/* Position of a sample of the new grid in the old grid: `weight` of `step` parts after sample
 * `before`, both clamped to the plane. */
typedef struct Place {
    int before, after, weight, step;
} Place;

typedef struct Turn {
    bool transposed, flip_x, flip_y; /* of the stored picture's columns and rows */
} Turn;

static Turn turn_of(int orientation)
{
    return (Turn){.transposed = orientation >= 5,
                  .flip_x = orientation == 2 || orientation == 3 || orientation >= 7,
                  .flip_y =
                      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7};
}

bool resr_turn_transposes(int orientation)
{
    return turn_of(orientation).transposed;
}

int resr_turn_of_matrix(const int32_t matrix[9])
{
    /* A stored pixel (x, y) is displayed at (a x + c y, b x + d y); each factor is -1, 0 or 1. */
    static const struct {
        int a, b, c, d;
    } shown[] = {{1, 0, 0, 1}, {-1, 0, 0, 1}, {-1, 0, 0, -1}, {1, 0, 0, -1},
                 {0, 1, 1, 0}, {0, 1, -1, 0}, {0, -1, -1, 0}, {0, -1, 1, 0}};
    const int32_t one = 1 << 16;
    for (int i = 0; i < 8; i++)
        if (matrix[0] == shown[i].a * one && matrix[1] == shown[i].b * one &&
            matrix[3] == shown[i].c * one && matrix[4] == shown[i].d * one)
            return i + 1;
    return 0;
}

enum { CHROMA_SITES = 7 };

/* Positions of chroma samples, 0 at the edge, 1 in the centre, 2 at the far edge of their group;
 * indexed by AVChromaLocation. */
static const struct {
    int x, y;
} chroma_sites[CHROMA_SITES] = {{0, 1}, {0, 1}, {1, 1}, {0, 0}, {1, 0}, {0, 2}, {1, 2}};

static bool is_chroma(const ResrFormat *format, int plane)
{
    return format->model == RESR_COLOUR_YUV && (plane == 1 || plane == 2);
}

static void axes_of(Axis axes[2], const ResrFormat *format, int plane)
{
    ResrPlane p = resr_format_plane(format, plane);
    int location = format->chroma_location;
    if (location < 0 || location >= CHROMA_SITES)
        location = 0;
    bool chroma = is_chroma(format, plane);
    int shift_x = chroma ? format->chroma_shift_x : 0,
        shift_y = chroma ? format->chroma_shift_y : 0;
    axes[0] = (Axis){p.width_px, 2 << shift_x, chroma_sites[location].x * ((1 << shift_x) - 1)};
    axes[1] = (Axis){p.height_px, 2 << shift_y, chroma_sites[location].y * ((1 << shift_y) - 1)};
}

static Axis flipped(Axis axis, int pixels)
{
    axis.site = 2 * (pixels - 1) - axis.site - (axis.count - 1) * axis.step;
    return axis;
}

/* The axes of a plane of `format` when it is turned, before any interpolation. */
static void turned_axes(Axis out[2], const ResrFormat *format, int plane, Turn turn)
{
    Axis axes[2];
    axes_of(axes, format, plane);
    if (turn.flip_x)
        axes[0] = flipped(axes[0], format->width_px);
    if (turn.flip_y)
        axes[1] = flipped(axes[1], format->height_px);
    out[0] = axes[turn.transposed];
    out[1] = axes[!turn.transposed];
}

/* The position, as in chroma_sites and at most `last`, that is nearest to an axis's first sample.
 * An axis without subsampling keeps the position `old`, which does not depend on it. */
static int nearest_site(Axis axis, int last, int old)
{
    int unit = axis.step / 2 - 1, best = unit ? 0 : old;
    for (int site = 1; unit && site <= last; site++)
        if (abs(site * unit - axis.site) < abs(best * unit - axis.site))
            best = site;
    return best;
}

static int turned_chroma_location(const ResrFormat *in, Turn turn)
{
    Axis axes[2];
    turned_axes(axes, in, 1, turn);
    int location = in->chroma_location > 0 && in->chroma_location < CHROMA_SITES
                       ? in->chroma_location
                       : AVCHROMA_LOC_LEFT;
    int x = nearest_site(axes[0], 1, chroma_sites[location].x);
    int y = nearest_site(axes[1], 2, chroma_sites[location].y);
    location = 1;
    while (chroma_sites[location].x != x || chroma_sites[location].y != y)
        location++;
    return location;
}

/* The planar 4:4:4 format of the same depth, with alpha as in `in`. */
static enum AVPixelFormat without_subsampling(const ResrFormat *in)
{
    char name[64], depth[16] = "";
    if (in->depth_bits > 8)
        snprintf(depth, sizeof depth, "%d", in->depth_bits);
    snprintf(name, sizeof name, "yuv%s444p%s", in->has_alpha ? "a" : "", depth);
    return av_get_pix_fmt(name);
}

int resr_turn_format(ResrFormat *out, const ResrFormat *in, int orientation)
{
    Turn turn = turn_of(orientation);
    *out = *in;
    if (turn.transposed) {
        out->width_px = in->height_px;
        out->height_px = in->width_px;
    }
    if (in->model != RESR_COLOUR_YUV || (!in->chroma_shift_x && !in->chroma_shift_y))
        return 0;
    if (!turn.transposed || in->chroma_shift_x == in->chroma_shift_y) {
        out->chroma_location = turned_chroma_location(in, turn);
        return 0;
    }
    enum AVPixelFormat format = without_subsampling(in);
    if (format == AV_PIX_FMT_NONE)
        return resr_fail(
            RESR_ERR_DATA,
            "pixel format %s cannot be rotated by 90 degrees; convert the input first with "
            "ffmpeg -pix_fmt yuv444p or yuv444p10le",
            in->pix_fmt);
    resr_format_set_pixels(out, format);
    return 0;
}

static int clamp(int value, int count)
{
    return value < 0 ? 0 : value >= count ? count - 1 : value;
}

static Place place_of(int i, Axis to, Axis from)
{
    int at = to.site + i * to.step - from.site;
    int before = at / from.step - (at % from.step < 0);
    Place place = {.weight = at - before * from.step, .step = from.step};
    place.before = clamp(before, from.count);
    place.after = clamp(before + 1, from.count);
    return place;
}

static uint16_t mix(Place place, uint16_t before, uint16_t after)
{
    return (
        uint16_t)((before * (place.step - place.weight) + after * place.weight + place.step / 2) /
                  place.step);
}

typedef struct Plane {
    uint8_t *data;
    ResrPlane at;
    int sample_bytes;
} Plane;

static Plane plane_of(const ResrFrame *frame, const ResrFormat *format, int plane)
{
    ResrPlane at = resr_format_plane(format, plane);
    return (Plane){frame->data + at.offset_bytes, at, resr_format_sample_bytes(format)};
}

/* Row `y` of the turned plane, its columns in the turned order. */
static void read_row(uint16_t *out, const Plane *in, Turn turn, int y)
{
    int count = turn.transposed ? in->at.height_px : in->at.width_px;
    for (int x = 0; x < count; x++) {
        int column = turn.transposed ? y : x, row = turn.transposed ? x : y;
        column = turn.flip_x ? in->at.width_px - 1 - column : column;
        row = turn.flip_y ? in->at.height_px - 1 - row : row;
        const uint8_t *sample = in->data + (size_t)row * in->at.stride_bytes +
                                (size_t)column * (size_t)in->sample_bytes;
        out[x] = *sample;
        if (in->sample_bytes == 2)
            memcpy(&out[x], sample, 2);
    }
}

static void write_row(const Plane *out, int y, const uint16_t *line, Axis to, Axis from)
{
    uint8_t *row = out->data + (size_t)y * out->at.stride_bytes;
    for (int x = 0; x < out->at.width_px; x++) {
        Place place = place_of(x, to, from);
        uint16_t value = mix(place, line[place.before], line[place.after]);
        if (out->sample_bytes == 2)
            memcpy(row + 2 * x, &value, 2);
        else
            row[x] = (uint8_t)value;
    }
}

int resr_turn_frame(ResrFrame *out, const ResrFormat *to, const ResrFrame *in,
                    const ResrFormat *from, int orientation)
{
    Turn turn = turn_of(orientation);
    size_t longest = (size_t)(from->width_px > from->height_px ? from->width_px : from->height_px);
    uint16_t *line = NULL, *next = NULL;
    int ret = resr_alloc(&line, longest, sizeof *line);
    if (ret == 0)
        ret = resr_alloc(&next, longest, sizeof *next);
    for (int p = 0; ret == 0 && p < to->planes; p++) {
        Plane source = plane_of(in, from, p), target = plane_of(out, to, p);
        Axis old[2], new[2];
        turned_axes(old, from, p, turn);
        axes_of(new, to, p);
        for (int y = 0; y < target.at.height_px; y++) {
            Place place = place_of(y, new[1], old[1]);
            read_row(line, &source, turn, place.before);
            if (place.weight > 0) {
                read_row(next, &source, turn, place.after);
                for (int x = 0; x < old[0].count; x++)
                    line[x] = mix(place, line[x], next[x]);
            }
            write_row(&target, y, line, new[0], old[0]);
        }
    }
    free(line);
    free(next);
    return ret;
}
