#include "media/version.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/cpu.h>
#include <stdio.h>
#include <string.h>
#include <zimg.h>

#include "media/picture.h"

static void print_libav(const char *name, unsigned version)
{
    printf("%-12s %u.%u.%u\n", name, AV_VERSION_MAJOR(version), AV_VERSION_MINOR(version),
           AV_VERSION_MICRO(version));
}

void resr_media_limit_cpus(int cpus)
{
    av_cpu_force_count(cpus);
}

void resr_media_print_versions(void)
{
    unsigned major, minor, micro;
    zimg_get_version_info(&major, &minor, &micro);
    printf("%-12s %s\n", "FFmpeg", av_version_info());
    print_libav("libavcodec", avcodec_version());
    print_libav("libavformat", avformat_version());
    printf("%-12s %u.%u.%u\n", "zimg", major, minor, micro);
    for (ResrPictureKind kind = RESR_PICTURE_PNG; kind < RESR_PICTURE_MOVING; kind++) {
        char text[64];
        resr_picture_library(kind, text, sizeof text);
        char *number = strchr(text, ' ');
        if (number)
            *number++ = 0;
        printf("%-12s %s\n", text, number ? number : "");
    }
}
