#include "media/outputs.h"

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/publish.h"
#include "media/container.h"
#include "media/images.h"

#define FRAME_PATTERN "frame%08d.png"
#define FRAME_FORMAT "frame%08" PRId64 ".png"

/* Identity of a file, by whichever path it is reached. */
typedef struct FileId {
    dev_t device;
    ino_t inode;
} FileId;

/* Arguments of the checks of each image. */
typedef struct Check {
    bool overwrite;
    FileId *inputs; /* identities of the input's files, sorted */
    size_t count;
    const char *const *others;
    int others_count;
} Check;

ResrOutputKind resr_outputs_kind(const char *output, const char *input)
{
    struct stat status;
    size_t length = strlen(output);
    const char *name = strrchr(output, '/');
    bool folder = (stat(output, &status) == 0 && S_ISDIR(status.st_mode)) ||
                  (length > 0 && output[length - 1] == '/') ||
                  (stat(input, &status) == 0 && S_ISDIR(status.st_mode) &&
                   !strchr(name ? name : output, '.'));
    if (folder)
        return RESR_OUTPUT_FOLDER;
    if (!resr_images_is_image_name(output))
        return RESR_OUTPUT_VIDEO;
    return resr_images_is_pattern(output) ? RESR_OUTPUT_PATTERN : RESR_OUTPUT_IMAGE;
}

int resr_outputs_image(char *out, size_t out_bytes, ResrOutputKind kind, const char *output,
                       const ResrDecoder *decoder, int64_t index)
{
    const char *name = resr_decoder_image_name(decoder, index);
    int used;
    assert(kind != RESR_OUTPUT_VIDEO && index >= 0);
    if (kind == RESR_OUTPUT_PATTERN)
        return resr_images_number(out, out_bytes, output, index + 1);
    if (kind == RESR_OUTPUT_IMAGE)
        used = snprintf(out, out_bytes, "%s", output);
    else if (name)
        used = snprintf(out, out_bytes, "%s/%s.png", output, name);
    else
        used = snprintf(out, out_bytes, "%s/" FRAME_FORMAT, output, index + 1);
    if (used < 0 || (size_t)used >= out_bytes)
        return resr_fail(RESR_ERR_USAGE, "%s: the path is too long", output);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const FileId *left = a, *right = b;
    if (left->device != right->device)
        return left->device < right->device ? -1 : 1;
    return left->inode < right->inode ? -1 : left->inode > right->inode;
}

static int by_case(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_inputs(Check *check, const char *input)
{
    ResrImages images;
    struct stat status;
    int ret = resr_images_find(&images, input);
    if (ret < 0)
        return ret;
    ret = resr_alloc(&check->inputs, (size_t)images.count, sizeof *check->inputs);
    for (int64_t i = 0; i < images.count && ret == 0; i++)
        if (stat(images.paths[i], &status) == 0)
            check->inputs[check->count++] = (FileId){status.st_dev, status.st_ino};
    resr_images_free(&images);
    if (ret == 0)
        qsort(check->inputs, check->count, sizeof *check->inputs, by_id);
    return ret;
}

static bool is_input(const Check *check, const struct stat *status)
{
    FileId id = {status->st_dev, status->st_ino};
    return bsearch(&id, check->inputs, check->count, sizeof id, by_id);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Refuses report files that have the name of an output image. */
static int check_others(const Check *check, const char *path)
{
    for (int i = 0; i < check->others_count; i++)
        if (strcmp(name_of(path), name_of(check->others[i])) == 0 &&
            resr_publish_is_same(path, check->others[i]))
            return resr_fail(RESR_ERR_USAGE,
                             "%s: an output image has this name; give --report, --framehash and "
                             "--trace other names",
                             check->others[i]);
    return 0;
}

static int check_image(const Check *check, const char *path)
{
    struct stat status;
    bool exists = lstat(path, &status) == 0;
    if (exists && stat(path, &status) == 0 && is_input(check, &status))
        return resr_fail(RESR_ERR_USAGE,
                         "%s: the output would replace an image of the input; name another folder "
                         "or pattern",
                         path);
    if (exists && !check->overwrite)
        return resr_fail(RESR_ERR_EXISTS,
                         "%s: exists already; name another output or pass --overwrite", path);
    return check_others(check, path);
}

/* Images of a list: each has its own name. */
static int check_list(const Check *check, ResrOutputKind kind, const char *output,
                      const ResrDecoder *decoder, int64_t frames)
{
    char path[PATH_MAX];
    const char **names = NULL;
    int ret = resr_alloc(&names, (size_t)frames, sizeof *names);
    for (int64_t i = 0; i < frames && ret == 0; i++) {
        names[i] = resr_decoder_image_name(decoder, i);
        ret = resr_outputs_image(path, sizeof path, kind, output, decoder, i);
        if (ret == 0)
            ret = check_image(check, path);
    }
    if (ret == 0)
        qsort(names, (size_t)frames, sizeof *names, by_case);
    for (int64_t i = 1; i < frames && ret == 0 && kind == RESR_OUTPUT_FOLDER; i++)
        if (strcasecmp(names[i - 1], names[i]) == 0)
            ret = resr_fail(RESR_ERR_USAGE,
                            "%s: images %s and %s of the input would both become %s.png; rename "
                            "one, or write to a pattern such as %%05d.png",
                            output, names[i - 1], names[i], names[i]);
    free(names);
    return ret;
}

/* Images of a video, whose number is not known: checks the files that exist. */
static int check_numbered(const Check *check, const char *pattern, int64_t max_frames)
{
    char folder[PATH_MAX], path[PATH_MAX];
    struct dirent *entry;
    int64_t number;
    int ret = 0;
    snprintf(folder, sizeof folder, "%.*s", (int)(name_of(pattern) - pattern), pattern);
    for (int i = 0; i < check->others_count && ret == 0; i++)
        if (resr_images_match(pattern, name_of(check->others[i]), &number)) {
            ret = resr_images_number(path, sizeof path, pattern, number);
            if (ret == 0)
                ret = check_others(check, path);
        }
    DIR *entries = ret == 0 ? opendir(folder[0] ? folder : ".") : NULL;
    while (ret == 0 && entries && (entry = readdir(entries))) {
        if (!resr_images_match(pattern, entry->d_name, &number) || number < 1 ||
            (max_frames > 0 && number > max_frames))
            continue;
        ret = resr_images_number(path, sizeof path, pattern, number);
        if (ret == 0)
            ret = check_image(check, path);
    }
    if (entries)
        closedir(entries);
    return ret;
}

static int check_all(const Check *check, const char *output, const char *input,
                     const ResrDecoder *decoder, int64_t max_frames)
{
    char pattern[PATH_MAX];
    struct stat status;
    ResrOutputKind kind = resr_outputs_kind(output, input);
    for (int i = 0; i < check->others_count; i++)
        if (stat(check->others[i], &status) == 0 && is_input(check, &status))
            return resr_fail(RESR_ERR_USAGE, "%s: is a file of the input; name another file",
                             check->others[i]);
    if (kind == RESR_OUTPUT_VIDEO || kind == RESR_OUTPUT_IMAGE)
        return 0;
    if (resr_decoder_image_name(decoder, 0)) {
        int64_t frames = resr_decoder_info(decoder)->frames_estimate;
        if (max_frames > 0 && frames > max_frames)
            frames = max_frames;
        return check_list(check, kind, output, decoder, frames);
    }
    int used = snprintf(pattern, sizeof pattern, "%s%s", output,
                        kind == RESR_OUTPUT_FOLDER ? "/" FRAME_PATTERN : "");
    if (used < 0 || (size_t)used >= sizeof pattern)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", output);
    return check_numbered(check, pattern, max_frames);
}

int resr_outputs_check(const char *output, const char *input, const ResrDecoder *decoder,
                       bool overwrite, int64_t max_frames, const char *const *others, int count)
{
    Check check = {.overwrite = overwrite, .others = others, .others_count = count};
    int ret = find_inputs(&check, input);
    if (ret == 0)
        ret = check_all(&check, output, input, decoder, max_frames);
    free(check.inputs);
    return ret;
}

bool resr_outputs_hold_rotation(const char *output, const char *input)
{
    const AVOutputFormat *format = resr_outputs_kind(output, input) == RESR_OUTPUT_VIDEO
                                       ? av_guess_format(NULL, output, NULL)
                                       : NULL;
    return format && resr_container_holds_rotation(format);
}
