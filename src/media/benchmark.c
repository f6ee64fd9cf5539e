#include "media/benchmark.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "media/colour.h"
#include "media/encode.h"

/* Different frames for the encoder, as far as memory allows. */
#define MOST_SAMPLES 12
#define SAMPLE_BYTES (256 << 20)

/* Frames of the first run, whose speed determines the length of the second run. */
#define FIRST_FRAMES 4

int resr_benchmark_decode(ResrBenchmark *out, const char *input, const ResrDecodeOptions *options,
                          double seconds)
{
    ResrDecoder *decoder = NULL;
    ResrFrame *frame = NULL;
    int64_t start_ns = resr_clock_ns(), start_cpu_ns = resr_clock_cpu_ns();
    *out = (ResrBenchmark){0};
    int ret = resr_decoder_open(&decoder, input, options);
    while (ret == 0 && (out->frames == 0 || resr_clock_seconds_since(start_ns) < seconds)) {
        ret = resr_decoder_read(decoder, &frame);
        if (ret < 0 || !frame)
            break;
        resr_frame_hash(frame->hash, &resr_decoder_info(decoder)->format, frame);
        resr_frame_free(frame);
        out->frames++;
    }
    double frames = out->frames > 0 ? (double)out->frames : 1;
    out->fps = frames / resr_clock_seconds_since(start_ns);
    out->cpu_seconds = (double)(resr_clock_cpu_ns() - start_cpu_ns) * 1e-9 / frames;
    resr_decoder_close(decoder);
    return ret;
}

typedef struct Samples {
    ResrFrame *frames[MOST_SAMPLES];
    int count;
} Samples;

static void free_samples(Samples *samples)
{
    for (int i = 0; i < samples->count; i++)
        resr_frame_free(samples->frames[i]);
}

static int convert(Samples *samples, ResrColour *colour, ResrRgb *rgb, const ResrFormat *format,
                   const ResrFrame *in)
{
    ResrFrame *out;
    int ret = resr_colour_to_rgb(colour, rgb, in);
    if (ret == 0)
        ret = resr_frame_create(&out, format);
    if (ret < 0)
        return ret;
    samples->frames[samples->count++] = out;
    return resr_colour_from_rgb(colour, out, rgb, in);
}

/* The input's first frames at the output's size. */
static int make_samples(Samples *samples, ResrDecoder *decoder, const ResrFormat *format)
{
    const ResrFormat *input = &resr_decoder_info(decoder)->format;
    size_t fit = SAMPLE_BYTES / resr_format_frame_bytes(format);
    ResrColour *colour = NULL;
    ResrRgb rgb = {0};
    int wanted = fit < 2 ? 2 : fit < MOST_SAMPLES ? (int)fit : MOST_SAMPLES;
    int ret = resr_colour_create(&colour, input, format, input->width_px, input->height_px, false);
    if (ret == 0)
        ret = resr_rgb_create(&rgb, input->width_px, input->height_px, 3);
    while (ret == 0 && samples->count < wanted) {
        ResrFrame *frame;
        ret = resr_decoder_read(decoder, &frame);
        if (ret < 0 || !frame)
            break;
        ret = convert(samples, colour, &rgb, format, frame);
        resr_frame_free(frame);
    }
    resr_rgb_free(&rgb);
    resr_colour_free(colour);
    if (ret == 0 && samples->count == 0)
        ret = resr_fail(RESR_ERR_DATA, "the input holds no frame that can be decoded");
    return ret;
}

/* Sample of frame `index`: 0 1 2 3 2 1 0 1 ... */
static const ResrFrame *sample_at(const Samples *samples, int64_t index)
{
    int64_t period = samples->count > 1 ? 2 * (samples->count - 1) : 1;
    int64_t place = index % period;
    return samples->frames[place < samples->count ? place : period - place];
}

static int count_packet(void *user, AVPacket *packet)
{
    (void)packet;
    ++*(int64_t *)user;
    return 0;
}

/* Encodes one segment of `frames` frames. */
static int encode(ResrBenchmark *out, const ResrEncoding *encoding, const Samples *samples,
                  int64_t frames)
{
    ResrEncoder encoder = {0};
    char hash[RESR_FRAME_HASH_BYTES];
    int64_t packets = 0, held = 0;
    int64_t start_ns = resr_clock_ns(), start_cpu_ns = resr_clock_cpu_ns();
    int ret = resr_encoder_open(&encoder, encoding);
    for (int64_t i = 0; ret == 0 && i < frames; i++) {
        const ResrFrame *frame = sample_at(samples, i);
        resr_frame_hash(hash, &encoding->format, frame);
        ret = resr_encoder_write(&encoder, encoding, frame, count_packet, &packets);
        if (i + 1 - packets > held)
            held = i + 1 - packets;
    }
    if (ret == 0)
        ret = resr_encoder_write(&encoder, encoding, NULL, count_packet, &packets);
    out->frames = frames;
    out->fps = (double)frames / resr_clock_seconds_since(start_ns);
    out->cpu_seconds = (double)(resr_clock_cpu_ns() - start_cpu_ns) * 1e-9 / (double)frames;
    out->lag_frames = (double)held;
    resr_encoder_close(&encoder);
    return ret;
}

static int plan_encoding(ResrEncoding *out, const char *output, const ResrSinkPlan *plan,
                         const ResrVideoInfo *info, const ResrEncodeOptions *options)
{
    int ret =
        resr_encoding_plan(out, output, !plan->video, plan->video ? &info->stored : &info->format,
                           plan->format.width_px, plan->format.height_px, options);
    resr_encoding_tag(out, &plan->tags);
    return ret;
}

int resr_benchmark_encode(ResrBenchmark *out, const char *input, const char *output,
                          const ResrSinkPlan *plan, const ResrEncodeOptions *options,
                          double seconds)
{
    ResrDecoder *decoder = NULL;
    ResrEncoding encoding;
    Samples samples = {.count = 0};
    *out = (ResrBenchmark){0};
    int ret =
        resr_decoder_open(&decoder, input, &(ResrDecodeOptions){.hwaccel = "none", .bridge = true});
    if (ret == 0)
        ret = plan_encoding(&encoding, output, plan, resr_decoder_info(decoder), options);
    if (ret == 0)
        ret = make_samples(&samples, decoder, &plan->format);
    if (ret == 0)
        ret = encode(out, &encoding, &samples, FIRST_FRAMES);
    double fit = ret == 0 ? out->fps * seconds : 0;
    int64_t segment = options->segment_frames > 0 ? options->segment_frames : 250;
    int64_t frames = fit < (double)segment ? (int64_t)fit : segment;
    if (ret == 0 && frames > FIRST_FRAMES)
        ret = encode(out, &encoding, &samples, frames);
    if (out->lag_frames >= (double)out->frames) /* no packet was returned before the end */
        out->lag_frames = (double)segment;
    free_samples(&samples);
    resr_decoder_close(decoder);
    return ret;
}
