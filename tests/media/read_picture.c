/* read_picture FILE...: reads pictures as the program does and prints one line for each: "0 rgb24
 * 32 24 ..." with the pixels' checksum, or the error code and the message. read_picture --mutate
 * SECONDS FILE...: reads mutated copies, from the same seed each time, for that many seconds; fails
 * only by a crash or a hang. Built with -DRESR_LIBFUZZER it is libFuzzer's target. */
#include <inttypes.h>
#include <libavutil/adler32.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/picture.h"

enum { MOST_BYTES = 1 << 20 };

static int read_one(AVFrame *frame, const char *path)
{
    ResrPictureTags tags = {0};
    ResrPictureBlob file = {0};
    int ret = resr_picture_read(frame, &tags, path, NULL);
    for (int kind = RESR_PICTURE_PNG; ret == 0 && kind < RESR_PICTURE_MOVING; kind++) {
        bool deep = frame->format == AV_PIX_FMT_RGB48 || frame->format == AV_PIX_FMT_RGBA64 ||
                    frame->format == AV_PIX_FMT_GRAY16 || frame->format == AV_PIX_FMT_YA16;
        const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
        if (frame->width > 1000 || frame->height > 1000 ||
            resr_picture_format(kind, desc->nb_components <= 2,
                                (desc->flags & AV_PIX_FMT_FLAG_ALPHA) != 0, deep) != frame->format)
            continue;
        int written = resr_picture_write(&file, kind, frame, &tags, -1);
        if (written < 0)
            fprintf(stderr, "%s: %s\n", path, resr_error_text());
        free(file.data);
        file = (ResrPictureBlob){0};
    }
    resr_picture_tags_free(&tags);
    return ret;
}

static int read_bytes(const uint8_t *data, size_t bytes)
{
    char path[64];
    AVFrame *frame = av_frame_alloc();
    int fd = memfd_create("picture", MFD_CLOEXEC);
    if (!frame || fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int ret = read_one(frame, path);
    close(fd);
    av_frame_free(&frame);
    return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    read_bytes(data, bytes);
    return 0;
}

#ifndef RESR_LIBFUZZER
static uint64_t random_number(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static size_t load(uint8_t *out, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t bytes = file ? fread(out, 1, MOST_BYTES, file) : 0;
    if (file)
        fclose(file);
    return bytes;
}

/* Changes bytes; cuts out or repeats a piece; or cuts off the end. */
static size_t mutate(uint8_t *data, size_t bytes)
{
    for (uint64_t i = 1 + random_number() % 8; i > 0; i--)
        data[random_number() % bytes] = random_number() % 4 > 0 ? (uint8_t)random_number() : 0xFF;
    size_t from = random_number() % bytes, n = random_number() % (bytes - from);
    switch (random_number() % 6) {
    case 0:
        return from + 1;
    case 1:
        memmove(data + from, data + from + n, bytes - from - n);
        return bytes - n;
    case 2:
        memmove(data + random_number() % (bytes - n), data + from, n);
    }
    return bytes;
}

static int mutate_all(int count, char **paths, double seconds)
{
    uint8_t *data = malloc(MOST_BYTES);
    int64_t start_ns = resr_clock_ns(), rounds = 0, whole = 0;
    while (data && resr_clock_seconds_since(start_ns) < seconds) {
        size_t bytes = load(data, paths[random_number() % (uint64_t)count]);
        if (bytes > 0)
            whole += read_bytes(data, mutate(data, bytes)) == 0;
        rounds++;
    }
    free(data);
    printf("%" PRId64 " rounds, %" PRId64 " of them pictures\n", rounds, whole);
    return rounds > 0 ? 0 : 1;
}

static void print_one(const char *path)
{
    AVFrame *frame = av_frame_alloc();
    int ret = frame ? read_one(frame, path) : -1;
    AVAdler sum = 1;
    if (ret < 0) {
        printf("%d %s\n", ret, resr_error_text());
    } else {
        int row = av_image_get_linesize(frame->format, frame->width, 0);
        for (int y = 0; y < frame->height; y++)
            sum = av_adler32_update(sum, frame->data[0] + (ptrdiff_t)y * frame->linesize[0],
                                    (size_t)row);
        printf("0 %s %d %d %08x\n", av_get_pix_fmt_name(frame->format), frame->width, frame->height,
               (unsigned)sum);
    }
    av_frame_free(&frame);
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--mutate") == 0)
        return mutate_all(argc - 3, argv + 3, atof(argv[2]));
    for (int i = 1; i < argc; i++)
        print_one(argv[i]);
    return 0;
}
#endif
