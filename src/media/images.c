#include "media/images.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* A sequence that does not begin at 0 or 1 often begins at some other small number. */
enum { FIRST_NUMBER_LIMIT = 100 };

bool resr_images_is_image_name(const char *path)
{
    static const char *const endings[] = {"png", "jpg",  "jpeg", "webp", "bmp",
                                          "tif", "tiff", "ppm",  "pgm",  NULL};
    const char *ending = strrchr(path, '.');
    for (int i = 0; ending && endings[i]; i++)
        if (strcasecmp(ending + 1, endings[i]) == 0)
            return true;
    return false;
}

/* Position of the only %d conversion and its length; NULL if there is none or another '%'. */
static const char *find_conversion(const char *path, size_t *length)
{
    const char *start = strchr(path, '%');
    if (!start)
        return NULL;
    const char *end = start + 1;
    while (isdigit((unsigned char)*end))
        end++;
    if (*end != 'd' || end - start > 4 || strchr(end, '%'))
        return NULL;
    *length = (size_t)(end - start) + 1;
    return start;
}

bool resr_images_is_pattern(const char *path)
{
    size_t length;
    return find_conversion(path, &length) != NULL;
}

int resr_images_number(char *out, size_t out_bytes, const char *pattern, int64_t number)
{
    size_t length;
    const char *start = find_conversion(pattern, &length);
    if (!start)
        return resr_fail(RESR_ERR_USAGE, "%s: expected one %%d, such as %%05d", pattern);
    int width = atoi(start + 1); /* "%05d": zeros up to 5 digits */
    int used = snprintf(out, out_bytes, "%.*s%0*" PRId64 "%s", (int)(start - pattern), pattern,
                        width, number, start + length);
    if (used < 0 || (size_t)used >= out_bytes)
        return resr_fail(RESR_ERR_USAGE, "%s: the path is too long", pattern);
    return 0;
}

static int add(ResrImages *images, const char *path)
{
    size_t bytes = (size_t)(images->count + 1) * sizeof(char *);
    const char *name = strrchr(path, '/');
    char **paths = realloc(images->paths, bytes);
    if (paths)
        images->paths = paths;
    char **names = realloc(images->names, bytes);
    if (names)
        images->names = names;
    if (!paths || !names)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: a list of %" PRId64 " images",
                         images->count);
    name = name ? name + 1 : path;
    const char *ending = strrchr(name, '.');
    paths[images->count] = strdup(path);
    names[images->count] =
        strndup(name, ending && ending != name ? (size_t)(ending - name) : strlen(name));
    if (!paths[images->count] || !names[images->count++])
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: a list of images");
    return 0;
}

static int is_image_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && resr_images_is_image_name(entry->d_name);
}

static int find_folder(ResrImages *images, const char *path)
{
    struct dirent **entries;
    char *full = NULL;
    int ret = 0;
    int n = scandir(path, &entries, is_image_entry, alphasort);
    if (n < 0)
        return resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_NOINPUT,
                         "%s: the folder cannot be read: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (ret == 0 && asprintf(&full, "%s/%s", path, entries[i]->d_name) < 0)
            ret = resr_fail(RESR_ERR_INTERNAL, "out of memory: a list of images");
        if (ret == 0) {
            ret = add(images, full);
            free(full);
        }
        free(entries[i]);
    }
    free(entries);
    if (ret == 0 && n == 0)
        ret = resr_fail(RESR_ERR_NOINPUT, "%s: the folder holds no image (.png, .jpg, .webp ...)",
                        path);
    return ret;
}

static int find_numbered(ResrImages *images, const char *pattern)
{
    char path[4096];
    int64_t number = 0;
    int ret = 0;
    for (; ret == 0 && number < FIRST_NUMBER_LIMIT; number++) {
        ret = resr_images_number(path, sizeof path, pattern, number);
        if (ret == 0 && access(path, F_OK) == 0)
            break;
    }
    for (; ret == 0 && access(path, F_OK) == 0; number++) {
        ret = add(images, path);
        if (ret == 0)
            ret = resr_images_number(path, sizeof path, pattern, number + 1);
    }
    if (ret == 0 && images->count == 0)
        ret = resr_fail(RESR_ERR_NOINPUT, "%s: no file of this pattern is numbered 0 to %d",
                        pattern, FIRST_NUMBER_LIMIT - 1);
    return ret;
}

int resr_images_find(ResrImages *out, const char *path)
{
    struct stat status;
    bool exists = stat(path, &status) == 0;
    int ret;
    *out = (ResrImages){0};
    out->is_list = exists ? S_ISDIR(status.st_mode) : resr_images_is_pattern(path);
    if (!out->is_list)
        ret = add(out, path);
    else if (exists)
        ret = find_folder(out, path);
    else
        ret = find_numbered(out, path);
    if (ret < 0)
        resr_images_free(out);
    return ret;
}

void resr_images_free(ResrImages *images)
{
    for (int64_t i = 0; i < images->count; i++) {
        free(images->paths[i]);
        free(images->names[i]);
    }
    free(images->paths);
    free(images->names);
    *images = (ResrImages){0};
}
