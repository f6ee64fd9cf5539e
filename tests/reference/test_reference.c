/* test_reference random|x4plus|anime_6B|animevideov3|span|denoise [CUDA-BACKEND [CASE]]: compares
 * pictures with PyTorch's in fp32, for every case of this group in data/cases.json (or those whose
 * expected picture's name begins with CASE), on every CPU backend that this machine can run, or on
 * the given CUDA backend. At least 99.9 % of the 8-bit values must be equal and none may differ by
 * more than 1; with bf16 or fp16 operands, the PSNR of the float output against the 8-bit values
 * must reach a minimum (their rounding alone gives 58.9 dB). Exit status 77 if the weights do not
 * exist. */

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cpu/dispatch.h"
#include "media/decode.h"
#include "net/cuda.h"
#include "net/net.h"
#include "random_model.h"

#define MIN_EQUAL 0.999
#define MAX_DIFFERENCE 1
#define MIN_PSNR_DB_BF16 51.0
#define MIN_PSNR_DB_FP16 57.0 /* 61.5 dB of its own beside the rounding's */

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != 0) {                                                                         \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, resr_error_text());      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* An 8-bit RGB image, planes R, G, B. */
typedef struct Image {
    int width_px, height_px;
    uint8_t *plane[3];
} Image;

static Image read_png(const char *name)
{
    char path[1024];
    ResrDecoder *decoder;
    ResrFrame *frame;
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    CHECK(resr_decoder_open(&decoder, path, &(ResrDecodeOptions){.hwaccel = "none", .threads = 1}));
    const ResrFormat *format = &resr_decoder_info(decoder)->format;
    CHECK(strcmp(format->pix_fmt, "gbrp"));
    CHECK(resr_decoder_read(decoder, &frame));
    Image image = {format->width_px, format->height_px, {NULL}};
    for (int p = 0; p < 3; p++) {
        ResrPlane plane = resr_format_plane(format, (p + 2) % 3); /* G, B, R in the frame */
        CHECK(resr_alloc(&image.plane[p], plane.row_bytes, (size_t)plane.height_px));
        for (int y = 0; y < plane.height_px; y++)
            memcpy(image.plane[p] + (size_t)y * plane.row_bytes,
                   frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes,
                   plane.row_bytes);
    }
    resr_frame_free(frame);
    resr_decoder_close(decoder);
    return image;
}

static void free_image(Image *image)
{
    for (int p = 0; p < 3; p++)
        free(image->plane[p]);
}

static int spec_int(const json_t *spec, const char *key)
{
    return (int)json_integer_value(json_object_get(spec, key));
}

/* Finds NAME.param in $REALESRGAN_MODELS or models/weights; false, with a line, in neither. */
static bool find_weights(char path[1024], const char *name)
{
    const char *folders[] = {getenv("REALESRGAN_MODELS"), TEST_WEIGHTS};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, 1024, "%s/%s.param", folders[i] ? folders[i] : "", name);
        if (folders[i] && access(path, R_OK) == 0)
            return true;
    }
    printf("skipped: %s.param is neither in $REALESRGAN_MODELS nor in " TEST_WEIGHTS "\n", name);
    return false;
}

/* The case's network, blended with its partner if it has one; NULL if its weights do not exist. */
static ResrModel *make_model(const json_t *test)
{
    const json_t *json = json_object_get(test, "spec");
    const char *weights = json_string_value(json_object_get(test, "weights"));
    const char *partner = json_string_value(json_object_get(test, "partner"));
    ResrModel *model;
    if (weights) {
        char path[1024];
        if ((partner && !find_weights(path, partner)) || !find_weights(path, weights))
            return NULL;
        double denoise = partner ? json_number_value(json_object_get(test, "denoise")) : -1;
        CHECK(resr_model_find(&model, path, NULL, 0, denoise));
        return model;
    }
    const char *arch = json_string_value(json_object_get(json, "arch"));
    bool rrdb = strcmp(arch, "rrdb") == 0, span = strcmp(arch, "span") == 0;
    int unshuffle = spec_int(json, "unshuffle"), channels = spec_int(json, "channels");
    ResrNetSpec spec = {.arch = rrdb   ? RESR_ARCH_RRDB
                                : span ? RESR_ARCH_SPAN
                                       : RESR_ARCH_SRVGG,
                        .scale = spec_int(json, "scale"),
                        .unshuffle = unshuffle ? unshuffle
                                     : rrdb    ? 4 / spec_int(json, "scale")
                                               : 1,
                        .num_blocks = spec_int(json, "blocks"),
                        .nf = spec_int(json, "nf"),
                        .gc = spec_int(json, "gc"),
                        .channels = channels ? channels : 3,
                        .resize = 1};
    CHECK(resr_random_model(&model, &spec, (uint64_t)spec_int(test, "seed"),
                            json_number_value(json_object_get(test, "gain"))));
    /* As in networks.py: most of the output is between 0 and 1. */
    const ResrConv *last = &model->convs[model->n_convs - 1];
    for (int i = 0; (rrdb || span) && i < last->cout; i++)
        last->bias[i] += 0.5f;
    return model;
}

/* Runs one case on one backend; true if it is within the bound. */
static bool run_case(const json_t *test, const ResrModel *model, const ResrOps *ops,
                     const Image *input, const Image *expected)
{
    ResrNet *net;
    size_t in_px = (size_t)input->width_px * (size_t)input->height_px;
    int scale = model->spec.scale, width = input->width_px * scale;
    size_t out_px = in_px * (size_t)(scale * scale), equal = 0;
    float *in, *out;
    double squares = 0;
    int worst = 0;
    CHECK(width != expected->width_px || input->height_px * scale != expected->height_px);
    CHECK(resr_alloc(&in, in_px, 3 * sizeof *in));
    CHECK(resr_alloc(&out, out_px, 3 * sizeof *out));
    for (int p = 0; p < 3; p++)
        for (size_t i = 0; i < in_px; i++)
            in[(size_t)p * in_px + i] = (float)input->plane[p][i] / 255.0f;
    const float *const in_planes[4] = {in, in + in_px, in + 2 * in_px};
    float *const out_planes[4] = {out, out + out_px, out + 2 * out_px};
    CHECK(resr_net_create(&net, ops, model, input->width_px, input->height_px,
                          resr_tile_square(spec_int(test, "tile"), spec_int(test, "pad")), 2));
    CHECK(
        resr_net_upscale(net, out_planes, (size_t)width, in_planes, (size_t)input->width_px, NULL));
    for (int p = 0; p < 3; p++)
        for (size_t i = 0; i < out_px; i++) {
            int difference = abs((int)lrintf(out_planes[p][i] * 255.0f) - expected->plane[p][i]);
            double error = (double)out_planes[p][i] * 255 - expected->plane[p][i];
            squares += error * error;
            equal += difference == 0;
            worst = difference > worst ? difference : worst;
        }
    resr_net_free(net);
    free(in);
    free(out);
    double share = (double)equal / (double)(3 * out_px);
    double psnr_db = 10 * log10(255.0 * 255.0 * (double)(3 * out_px) / squares);
    bool bf16 = strcmp(resr_numerics(ops->numerics)->precision, "bf16") == 0;
    bool cuda = resr_numerics(ops->numerics)->needs == RESR_ON_GPU;
    bool good = bf16   ? psnr_db >= MIN_PSNR_DB_BF16
                : cuda ? psnr_db >= MIN_PSNR_DB_FP16
                       : share >= MIN_EQUAL && worst <= MAX_DIFFERENCE;
    printf("%-11s %-11s %-32s %9.5f %% equal, at most %d off, %.1f dB%s\n", resr_ops_class(ops),
           ops->name, json_string_value(json_object_get(test, "expected")), 100 * share, worst,
           psnr_db, good ? "" : "  FAILED");
    return good;
}

/* The scalar reference takes minutes for a real network; networks of two blocks suffice for it. */
static bool is_affordable(const ResrOps *ops, const ResrModel *model)
{
    return strcmp(ops->name, "c") != 0 || model->spec.num_blocks <= 2;
}

/* The CPU's backends, or the tables of the given CUDA backend; NULL past the end. */
static const ResrOps *ops_at(int index, const char *cuda)
{
    const ResrOps *ops = cuda ? resr_cuda_backend_ops(index) : resr_cpu_ops(index);
    return !ops || !cuda || strcmp(ops->name, cuda) == 0 ? ops : ops_at(index + 1, cuda);
}

int main(int argc, char **argv)
{
    const char *cuda = argc > 2 ? argv[2] : NULL, *begins = argc > 3 ? argv[3] : "";
    json_error_t error;
    json_t *cases = json_load_file(TEST_DATA "/cases.json", 0, &error), *test;
    int ran = 0, failed = 0;
    size_t i;
    if (argc < 2 || argc > 4 || !cases) {
        fprintf(stderr, "usage: test_reference GROUP [CUDA-BACKEND [CASE]] (%s)\n", error.text);
        return 64;
    }
    if (cuda && !ops_at(0, cuda)) {
        printf("skipped: no %s here: %s\n", cuda, resr_cuda_backend_missing());
        return 77;
    }
    json_array_foreach(cases, i, test)
    {
        char input_name[128];
        const char *name = json_string_value(json_object_get(test, "name"));
        const char *picture = json_string_value(json_object_get(test, "expected"));
        bool is_random = !json_object_get(test, "weights");
        if (strncmp(picture, begins, strlen(begins)) != 0)
            continue;
        if (strcmp(argv[1], is_random ? "random" : name) != 0)
            continue;
        ResrModel *model = make_model(test);
        if (!model)
            return 77;
        snprintf(input_name, sizeof input_name, "%s.png",
                 json_string_value(json_object_get(test, "input")));
        Image input = read_png(input_name);
        Image expected = read_png(picture);
        const ResrOps *ops;
        for (int k = 0; (ops = ops_at(k, cuda)) && (!cuda || k == 0); k++) {
            if (!resr_cpu_can_run(ops, ~0u) || !is_affordable(ops, model))
                continue;
            failed += !run_case(test, model, ops, &input, &expected);
            ran++;
        }
        free_image(&input);
        free_image(&expected);
        resr_model_free(model);
    }
    json_decref(cases);
    printf("%d comparisons, %d failed\n", ran, failed);
    return failed || ran == 0;
}
