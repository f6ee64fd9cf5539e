#include "media/pixfmt.h"

#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "media/repack.h"

/* Bytes for one loss in words, with its comma. */
#define LOSS_BYTES 64

/* Properties of the input that an encoder's format does not keep, most important first; then
 * storage beyond need. */
enum { COLOUR, ALPHA, DEPTH, CHROMA, MODEL, RANGE, LOSSES, BITS = LOSSES, PACKING, TERMS };

static int least_depth(const AVPixFmtDescriptor *desc)
{
    int least = desc->comp[0].depth;
    for (int c = 1; c < desc->nb_components; c++)
        least = desc->comp[c].depth < least ? desc->comp[c].depth : least;
    return least;
}

static int above_zero(int n)
{
    return n > 0 ? n : 0;
}

/* False for formats that no frame fills. Of Hap, only the variant without alpha is used. */
static bool measure(int cost[TERMS], const AVCodec *codec, const ResrFormat *input,
                    enum AVPixelFormat candidate)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(candidate);
    enum AVPixelFormat holder = resr_holder_of(candidate);
    ResrFormat format;
    if (holder == AV_PIX_FMT_NONE)
        return false;
    resr_format_set_pixels(&format, holder);
    bool grey = input->model == RESR_COLOUR_GREY;
    cost[COLOUR] = !grey && format.model == RESR_COLOUR_GREY;
    cost[ALPHA] = input->has_alpha && (!format.has_alpha || codec->id == AV_CODEC_ID_HAP);
    cost[DEPTH] = above_zero(input->depth_bits - least_depth(desc));
    cost[CHROMA] = grey ? 0
                        : above_zero(format.chroma_shift_x - input->chroma_shift_x) +
                              above_zero(format.chroma_shift_y - input->chroma_shift_y);
    cost[MODEL] = !grey && format.model != input->model;
    cost[RANGE] = resr_is_yuvj(desc) && input->model == RESR_COLOUR_YUV && !input->full_range;
    cost[BITS] = av_get_bits_per_pixel(desc);
    cost[PACKING] = candidate != holder;
    return true;
}

static bool is_less(const int a[TERMS], const int b[TERMS])
{
    int term = 0;
    while (term < TERMS - 1 && a[term] == b[term])
        term++;
    return a[term] < b[term];
}

/* VP8 and VP9 store alpha beside their packets, for which only Matroska and WebM have a place. JPEG
 * is full range. Raw video needs a tag that the container knows. */
static bool works(const AVCodec *codec, const char *output, enum AVPixelFormat format)
{
    const AVOutputFormat *container = av_guess_format(NULL, output, NULL);
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    unsigned tag = avcodec_pix_fmt_to_codec_tag(format);
    if ((codec->id == AV_CODEC_ID_VP8 || codec->id == AV_CODEC_ID_VP9) &&
        desc->flags & AV_PIX_FMT_FLAG_ALPHA)
        return container &&
               (strstr(container->name, "matroska") || strstr(container->name, "webm"));
    if (codec->id == AV_CODEC_ID_RAWVIDEO && container && container->codec_tag)
        return tag && av_codec_get_id(container->codec_tag, tag) == codec->id;
    return codec->id != AV_CODEC_ID_MJPEG || resr_is_yuvj(desc);
}

/* False if the edge cuts a chroma sample. */
static bool fits(enum AVPixelFormat format, int width_px, int height_px)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    return width_px % (1 << desc->log2_chroma_w) == 0 &&
           height_px % (1 << desc->log2_chroma_h) == 0;
}

/* The i-th format of an encoder; of all formats if the encoder has no list. */
static enum AVPixelFormat format_at(const AVCodec *codec, int i)
{
    const AVPixFmtDescriptor *desc = NULL;
    if (codec->pix_fmts)
        return codec->pix_fmts[i];
    do
        desc = av_pix_fmt_desc_next(desc);
    while (desc && i-- > 0);
    return desc ? av_pix_fmt_desc_get_id(desc) : AV_PIX_FMT_NONE;
}

/* The encoder's format that loses least of the input; of equal ones the smallest. */
static enum AVPixelFormat choose(int least[TERMS], const AVCodec *codec, const char *output,
                                 const ResrFormat *input, int width_px, int height_px)
{
    enum AVPixelFormat format, best = AV_PIX_FMT_NONE;
    int cost[TERMS];
    for (int i = 0; (format = format_at(codec, i)) != AV_PIX_FMT_NONE; i++)
        if (fits(format, width_px, height_px) && works(codec, output, format) &&
            measure(cost, codec, input, format) &&
            (best == AV_PIX_FMT_NONE || is_less(cost, least))) {
            best = format;
            memcpy(least, cost, sizeof cost);
        }
    return best;
}

static bool supports(const AVCodec *codec, enum AVPixelFormat format)
{
    for (const enum AVPixelFormat *p = codec->pix_fmts; p && *p != AV_PIX_FMT_NONE; p++)
        if (*p == format)
            return true;
    return !codec->pix_fmts;
}

static int check_asked(const char *asked, const AVCodec *codec, const char *output, int width_px,
                       int height_px)
{
    enum AVPixelFormat format = av_get_pix_fmt(asked);
    if (resr_holder_of(format) == AV_PIX_FMT_NONE)
        return resr_fail(RESR_ERR_USAGE,
                         "--pix-fmt: '%s' is not a pixel format of FFmpeg with integer samples of "
                         "up to 16 bits; yuv420p and yuv420p10le are common ones",
                         asked);
    if (!supports(codec, format))
        return resr_fail(RESR_ERR_USAGE,
                         "--pix-fmt: encoder %s does not support %s; remove --pix-fmt", codec->name,
                         asked);
    if (!works(codec, output, format))
        return resr_fail(RESR_ERR_USAGE, "--pix-fmt: %s of encoder %s cannot be stored in %s; %s",
                         asked, codec->name, output,
                         codec->id == AV_CODEC_ID_MJPEG
                             ? "use the yuvj format with the same subsampling"
                         : codec->id == AV_CODEC_ID_RAWVIDEO ? "use a .nut output"
                                                             : "use an .mkv or .webm output");
    return fits(format, width_px, height_px)
               ? 0
               : resr_fail(RESR_ERR_USAGE,
                           "--pix-fmt: %s cannot hold %d x %d; choose another --pix-fmt or "
                           "--outscale",
                           asked, width_px, height_px);
}

int resr_pixfmt_plan(enum AVPixelFormat *out, const AVCodec *codec, const char *output,
                     const ResrFormat *input, int width_px, int height_px, const char *asked)
{
    int cost[TERMS];
    *out =
        asked[0] ? av_get_pix_fmt(asked) : choose(cost, codec, output, input, width_px, height_px);
    if (asked[0])
        return check_asked(asked, codec, output, width_px, height_px);
    return *out != AV_PIX_FMT_NONE
               ? 0
               : resr_fail(RESR_ERR_USAGE,
                           "encoder %s cannot hold %d x %d in %s; choose another --codec, "
                           "--pix-fmt or --outscale",
                           codec->name, width_px, height_px, input->pix_fmt);
}

static const char *subsampling(int shift_x, int shift_y)
{
    static const char *const names[3][3] = {
        {"4:4:4", "4:4:0", "4:4:0"}, {"4:2:2", "4:2:0", "4:2:0"}, {"4:1:1", "4:1:0", "4:1:0"}};
    return names[shift_x][shift_y];
}

static void list_losses(char out[LOSSES * LOSS_BYTES], const int cost[TERMS],
                        const ResrFormat *input, enum AVPixelFormat format)
{
    static const char *const models[] = {"grey", "YUV", "RGB"};
    char text[LOSSES][LOSS_BYTES] = {"colour (becomes grey)", "transparency"};
    ResrFormat to;
    resr_format_set_pixels(&to, resr_holder_of(format));
    snprintf(text[DEPTH], LOSS_BYTES, "%d bits (become %d)", input->depth_bits,
             least_depth(av_pix_fmt_desc_get(format)));
    snprintf(text[CHROMA], LOSS_BYTES, "chroma %s (becomes %s)",
             subsampling(input->chroma_shift_x, input->chroma_shift_y),
             subsampling(to.chroma_shift_x, to.chroma_shift_y));
    snprintf(text[MODEL], LOSS_BYTES, "%s (becomes %s)", models[input->model], models[to.model]);
    snprintf(text[RANGE], LOSS_BYTES, "limited range (becomes full range)");
    size_t used = 0;
    out[0] = 0;
    for (int term = 0; term < LOSSES; term++)
        if (cost[term] > 0)
            used += (size_t)snprintf(out + used, LOSSES * LOSS_BYTES - used, "%s%s",
                                     used > 0 ? ", " : "", text[term]);
}

/* The first of the common encoders that keeps all of the input; *fits_output: also in this
 * container. */
static const char *find_lossless(bool *fits_output, const char *output, const ResrFormat *input,
                                 int width_px, int height_px)
{
    static const char *const names[] = {"libx264",    "libx264rgb", "libx265",
                                        "libvpx-vp9", "prores_ks",  "ffv1"};
    static const int none[LOSSES] = {0};
    const AVOutputFormat *container = av_guess_format(NULL, output, NULL);
    const AVCodec *codec = NULL;
    int cost[TERMS];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        codec = avcodec_find_encoder_by_name(names[i]);
        *fits_output = codec && container &&
                       avformat_query_codec(container, codec->id, FF_COMPLIANCE_NORMAL) == 1;
        if ((*fits_output || i + 1 == sizeof names / sizeof *names) && codec &&
            choose(cost, codec, output, input, width_px, height_px) != AV_PIX_FMT_NONE &&
            memcmp(cost, none, sizeof none) == 0)
            return codec->name;
    }
    return NULL;
}

void resr_pixfmt_warn(enum AVPixelFormat format, const AVCodec *codec, const char *output,
                      const ResrFormat *input, int width_px, int height_px)
{
    char losses[LOSSES * LOSS_BYTES], remedy[128] = "";
    int cost[TERMS];
    bool fits_output;
    if (!measure(cost, codec, input, format))
        return;
    list_losses(losses, cost, input, format);
    if (!losses[0])
        return;
    const char *keeper = find_lossless(&fits_output, output, input, width_px, height_px);
    if (keeper)
        snprintf(remedy, sizeof remedy, "; --codec %s%s keeps all of it", keeper,
                 fits_output ? "" : " and an .mkv output");
    resr_log_warn("%s: encoder %s in %s does not keep the input's %s%s", output, codec->name,
                  av_get_pix_fmt_name(format), losses, remedy);
}
