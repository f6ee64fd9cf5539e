/* --hwaccel: refusals, the fallback, and the copy of a frame from a surface to memory, without a
 * device that decodes. The linker replaces libav's functions by the __wrap_ functions below
 * (CMakeLists.txt): they report that Vulkan decodes, and put the software's frames into surfaces.
 * The surfaces are a real Vulkan device's if this machine has one (Mesa's lavapipe suffices), else
 * nv12 and p010 in memory with the format of surfaces. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "media/decode.h"
#include "test_main.h"

static bool pretend;     /* report that Vulkan decodes */
static bool no_device;   /* the device does not exist */
static bool not_this;    /* the device does not decode this stream */
static bool broken;      /* frames cannot be copied from the device */
static bool is_real;     /* frames pass through a real device */
static AVFrame *samples; /* of the last surface */
static int crop_left;    /* cropping of the next surfaces, which the caller must apply */

const AVCodecHWConfig *__real_avcodec_get_hw_config(const AVCodec *codec, int index);
const AVCodecHWConfig *__wrap_avcodec_get_hw_config(const AVCodec *codec, int index);
int __real_av_hwdevice_ctx_create(AVBufferRef **out, enum AVHWDeviceType type, const char *device,
                                  AVDictionary *options, int flags);
int __wrap_av_hwdevice_ctx_create(AVBufferRef **out, enum AVHWDeviceType type, const char *device,
                                  AVDictionary *options, int flags);
int __real_avcodec_receive_frame(AVCodecContext *codec, AVFrame *frame);
int __wrap_avcodec_receive_frame(AVCodecContext *codec, AVFrame *frame);
int __real_av_hwframe_transfer_data(AVFrame *out, const AVFrame *in, int flags);
int __wrap_av_hwframe_transfer_data(AVFrame *out, const AVFrame *in, int flags);

const AVCodecHWConfig *__wrap_avcodec_get_hw_config(const AVCodec *codec, int index)
{
    static const AVCodecHWConfig configs[] = {
        {.pix_fmt = AV_PIX_FMT_CUDA,
         .methods = AV_CODEC_HW_CONFIG_METHOD_INTERNAL,
         .device_type = AV_HWDEVICE_TYPE_CUDA},
        {.pix_fmt = AV_PIX_FMT_VULKAN,
         .methods = AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX,
         .device_type = AV_HWDEVICE_TYPE_VULKAN},
    };
    if (!pretend)
        return __real_avcodec_get_hw_config(codec, index);
    return index < 2 ? &configs[index] : NULL;
}

int __wrap_av_hwdevice_ctx_create(AVBufferRef **out, enum AVHWDeviceType type, const char *device,
                                  AVDictionary *options, int flags)
{
    if (no_device)
        return AVERROR(ENODEV);
    int averror = __real_av_hwdevice_ctx_create(out, type, device, options, flags);
    is_real = averror >= 0;
    if (averror < 0 && pretend)
        *out = av_hwdevice_ctx_alloc(type);
    return *out ? 0 : averror;
}

static void plant(AVFrame *to, const AVFrame *from)
{
    const AVPixFmtDescriptor *in = av_pix_fmt_desc_get(from->format);
    const AVPixFmtDescriptor *out = av_pix_fmt_desc_get(to->format);
    uint16_t row[1024];
    assert_int_equal(av_frame_get_buffer(to, 0), 0);
    for (int i = 0; i < 2; i++) /* values are or-ed in */
        memset(to->buf[i] ? to->buf[i]->data : to->data[0], 0, to->buf[i] ? to->buf[i]->size : 0);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < (c ? (from->height + 1) / 2 : from->height); y++) {
            int width = c ? (from->width + 1) / 2 : from->width;
            av_read_image_line2(row, (const uint8_t **)from->data, from->linesize, in, 0, y, c,
                                width, 0, 2);
            av_write_image_line2(row, to->data, to->linesize, out, 0, y, c, width, 2);
        }
}

/* A surface of the device with these samples. */
static int upload(AVBufferRef *device, AVFrame *frame)
{
    AVBufferRef *pool = av_hwframe_ctx_alloc(device);
    AVHWFramesContext *frames = (AVHWFramesContext *)pool->data;
    frames->format = AV_PIX_FMT_VULKAN;
    frames->sw_format = samples->format;
    frames->width = samples->width;
    frames->height = samples->height;
    int averror = av_hwframe_ctx_init(pool);
    if (averror >= 0)
        averror = av_hwframe_get_buffer(pool, frame, 0);
    if (averror >= 0)
        averror = __real_av_hwframe_transfer_data(frame, samples, 0);
    av_buffer_unref(&pool);
    return averror;
}

int __wrap_avcodec_receive_frame(AVCodecContext *codec, AVFrame *frame)
{
    int averror = __real_avcodec_receive_frame(codec, frame);
    if (averror < 0 || !pretend || not_this || !codec->hw_device_ctx)
        return averror;
    AVFrame *surface = av_frame_alloc();
    av_frame_free(&samples); /* freed only now: a device may still read them */
    samples = av_frame_alloc();
    samples->format = frame->format == AV_PIX_FMT_YUV420P10 ? AV_PIX_FMT_P010 : AV_PIX_FMT_NV12;
    samples->width = frame->width;
    samples->height = frame->height;
    plant(samples, frame);
    if (is_real)
        averror = upload(codec->hw_device_ctx, surface);
    else
        averror = av_frame_ref(surface, samples);
    assert_int_equal(averror, 0);
    av_frame_copy_props(surface, frame);
    surface->format = AV_PIX_FMT_VULKAN;
    surface->crop_left = (size_t)crop_left;
    av_frame_unref(frame);
    av_frame_move_ref(frame, surface);
    av_frame_free(&surface);
    return 0;
}

int __wrap_av_hwframe_transfer_data(AVFrame *out, const AVFrame *in, int flags)
{
    if (broken)
        return AVERROR_EXTERNAL;
    if (is_real)
        return __real_av_hwframe_transfer_data(out, in, flags);
    int averror = av_frame_ref(out, in);
    out->format = in->linesize[0] >= 2 * in->width ? AV_PIX_FMT_P010 : AV_PIX_FMT_NV12;
    return averror;
}

static char folder[64], clip[96], deep[96], full[96];

static int make_clips(void **state)
{
    char command[800];
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/resr-hwaccel-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(clip, sizeof clip, "%s/clip.mkv", folder);
    snprintf(deep, sizeof deep, "%s/deep.mkv", folder);
    snprintf(full, sizeof full, "%s/full.mkv", folder);
    /* FFV1, because not every FFmpeg has an H.264 encoder; odd sizes, noise. */
    snprintf(
        command, sizeof command,
        "in='-v error -f lavfi -i testsrc2=size=131x77:rate=25,noise=alls=30:allf=t "
        "-frames:v 5 -c:v ffv1 -pix_fmt' && ffmpeg $in yuv420p %s && ffmpeg $in yuv420p10le %s "
        "&& ffmpeg $in yuv444p %s",
        clip, deep, full);
    return system(command);
}

static int remove_clips(void **state)
{
    char command[128];
    (void)state;
    av_frame_free(&samples);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static int reset(void **state)
{
    (void)state;
    pretend = no_device = not_this = broken = is_real = false;
    crop_left = 0;
    return 0;
}

enum { FRAMES = 5 };

static int open_decoder(ResrDecoder **out, const char *path, const char *hwaccel, int threads)
{
    return resr_decoder_open(out, path,
                             &(ResrDecodeOptions){.hwaccel = hwaccel, .threads = threads});
}

/* Hashes of all frames, and the format and device that the decoder reports. */
static void decode_all(const char *path, const char *hwaccel,
                       char hashes[FRAMES][RESR_FRAME_HASH_BYTES], ResrVideoInfo *info)
{
    ResrDecoder *decoder;
    ResrFrame *frame;
    int n = 0;
    assert_int_equal(open_decoder(&decoder, path, hwaccel, 2), 0);
    *info = *resr_decoder_info(decoder);
    while (resr_decoder_read(decoder, &frame) == 0 && frame) {
        assert_true(n < FRAMES);
        resr_frame_hash(hashes[n++], &info->format, frame);
        resr_frame_free(frame);
    }
    assert_int_equal(n, FRAMES);
    resr_decoder_close(decoder);
}

/* The device's frames equal the software's, in the software's pixel format. */
static void same_frames(const char *path, const char *hwaccel, const char *device)
{
    char expected[FRAMES][RESR_FRAME_HASH_BYTES], found[FRAMES][RESR_FRAME_HASH_BYTES];
    ResrVideoInfo plain, info;
    decode_all(path, "none", expected, &plain);
    assert_string_equal(plain.hwaccel, "none");
    decode_all(path, hwaccel, found, &info);
    assert_string_equal(info.hwaccel, device);
    assert_string_equal(info.format.pix_fmt, plain.format.pix_fmt);
    assert_memory_equal(&info.format, &plain.format, sizeof plain.format);
    for (int i = 0; i < FRAMES; i++)
        assert_string_equal(found[i], expected[i]);
}

static void test_fetched_frames(void **state)
{
    (void)state;
    pretend = true;
    same_frames(clip, "vulkan", "vulkan");
    same_frames(deep, "vulkan", "vulkan");
    same_frames(clip, "auto", "vulkan");
    print_message("frames came through %s\n",
                  is_real ? "a Vulkan device" : "memory: no Vulkan here");
}

/* The codec's cropping on the left is applied to copied frames. */
static void test_cropping(void **state)
{
    (void)state;
    ResrDecoder *decoder;
    ResrFrame *whole, *cropped;
    pretend = true;
    assert_int_equal(open_decoder(&decoder, clip, "vulkan", 1), 0);
    assert_int_equal(resr_decoder_read(decoder, &whole), 0);
    ResrFormat format = resr_decoder_info(decoder)->format;
    resr_decoder_close(decoder);
    crop_left = 2;
    assert_int_equal(open_decoder(&decoder, clip, "vulkan", 1), 0);
    assert_int_equal(resr_decoder_read(decoder, &cropped), 0);
    ResrFormat narrow = resr_decoder_info(decoder)->format;
    assert_int_equal(narrow.width_px, format.width_px - 2);
    for (int y = 0; y < format.height_px; y++) {
        ResrPlane a = resr_format_plane(&format, 0), b = resr_format_plane(&narrow, 0);
        assert_memory_equal(whole->data + a.offset_bytes + (size_t)y * a.stride_bytes + 2,
                            cropped->data + b.offset_bytes + (size_t)y * b.stride_bytes,
                            (size_t)narrow.width_px);
    }
    resr_frame_free(whole);
    resr_frame_free(cropped);
    resr_decoder_close(decoder);
}

static void refused(const char *path, const char *hwaccel, const char *words)
{
    ResrDecoder *decoder = NULL;
    assert_int_equal(open_decoder(&decoder, path, hwaccel, 1), RESR_ERR_DEVICE);
    assert_null(decoder);
    if (!strstr(resr_error_text(), words))
        fail_msg("'%s' expected in: %s", words, resr_error_text());
}

static void test_refusals(void **state)
{
    (void)state;
    refused(clip, "frobnicator", "not a device of FFmpeg");
    refused(clip, "vdpau",
            "FFmpeg cannot decode this codec with it. For ffv1 FFmpeg offers: nothing");
    pretend = true;
    refused(clip, "cuda", "FFmpeg offers: vulkan;"); /* this decoder needs a setup of its own */
    no_device = true;
    refused(clip, "vulkan", "the device does not exist on this machine, or does not work");
    no_device = false;
    not_this = true;
    refused(clip, "vulkan", "the device does not decode this video (yuv420p)");
    not_this = false;
    broken = true;
    refused(clip, "vulkan", "cannot be copied from the device");
}

static void test_fallback(void **state)
{
    (void)state;
    same_frames(clip, "auto", "none"); /* FFmpeg has no device for FFV1 */
    pretend = no_device = true;
    same_frames(clip, "auto", "none");
    no_device = false;
    not_this = true;
    same_frames(full, "auto", "none");
}

int main(void)
{
    if (system("ffmpeg -version >/dev/null 2>&1") != 0)
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fetched_frames, reset),
        cmocka_unit_test_setup(test_cropping, reset),
        cmocka_unit_test_setup(test_refusals, reset),
        cmocka_unit_test_setup(test_fallback, reset),
    };
    return cmocka_run_group_tests(tests, make_clips, remove_clips);
}
