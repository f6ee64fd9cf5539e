#include "media/images.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"

static bool ends_as(const char *path, const char *const *endings)
{
    const char *ending = strrchr(path, '.');
    for (; ending && *endings; endings++)
        if (strcasecmp(ending + 1, *endings) == 0)
            return true;
    return false;
}

bool resr_images_is_image_name(const char *path)
{
    static const char *const endings[] = {"png", "jpg",  "jpeg", "webp", "bmp",
                                          "tif", "tiff", "ppm",  "pgm",  NULL};
    return ends_as(path, endings);
}

/* Position and length of the only %d conversion in the file's name; NULL without one, or with
 * another '%'. In the folder's name a '%' is an ordinary character. */
static const char *find_conversion(const char *path, size_t *length)
{
    const char *name = strrchr(path, '/');
    const char *start = strchr(name ? name : path, '%');
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

bool resr_images_match(const char *pattern, const char *name, int64_t *number)
{
    char again[PATH_MAX];
    size_t length;
    const char *start = find_conversion(pattern, &length);
    const char *folder_end = strrchr(pattern, '/');
    const char *first = folder_end ? folder_end + 1 : pattern;
    if (!start || strncmp(name, first, (size_t)(start - first)) != 0)
        return false;
    size_t prefix = (size_t)(start - first), digits = strspn(name + prefix, "0123456789");
    if (digits == 0 || digits > 18)
        return false;
    *number = strtoll(name + prefix, NULL, 10);
    return resr_images_number(again, sizeof again, first, *number) == 0 && strcmp(again, name) == 0;
}

/* Compares one character, or two runs of digits by value. */
static int compare_step(const char **a, const char **b)
{
    if (!isdigit((unsigned char)**a) || !isdigit((unsigned char)**b))
        return (unsigned char)*(*a)++ - (unsigned char)*(*b)++;
    *a += strspn(*a, "0");
    *b += strspn(*b, "0");
    size_t left = strspn(*a, "0123456789"), right = strspn(*b, "0123456789");
    int order = left != right ? (left < right ? -1 : 1) : strncmp(*a, *b, left);
    *a += left;
    *b += right;
    return order;
}

int resr_images_compare(const char *a, const char *b)
{
    const char *left = a, *right = b;
    int order = 0;
    while (order == 0 && (*left || *right))
        order = compare_step(&left, &right);
    return order ? order : strcmp(a, b); /* 1.png and 01.png */
}

static int add(ResrImages *images, const char *path)
{
    struct stat status;
    const char *name = strrchr(path, '/');
    int error = images->is_list && stat(path, &status) != 0 ? errno : 0;
    int ret = images->is_list ? resr_file_check_input(path, error, error ? 0 : status.st_mode) : 0;
    size_t count = (size_t)images->count;
    size_t capacity = images->capacity; /* of both */
    if (ret == 0)
        ret = resr_grow(&images->paths, &images->capacity, count, sizeof *images->paths);
    if (ret == 0)
        ret = resr_grow(&images->names, &capacity, count, sizeof *images->names);
    if (ret < 0)
        return ret;
    name = name ? name + 1 : path;
    const char *ending = strrchr(name, '.');
    images->paths[count] = strdup(path);
    images->names[count] =
        strndup(name, ending && ending != name ? (size_t)(ending - name) : strlen(name));
    images->count++;
    if (!images->paths[count] || !images->names[count])
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: a list of images");
    return 0;
}

static int is_image_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && resr_images_is_image_name(entry->d_name);
}

static int is_unread_entry(const struct dirent *entry)
{
    static const char *const endings[] = {
        "apng", "avif", "dds", "dpx", "exr", "gif", "hdr", "heic", "heif", "j2k",
        "jfif", "jp2",  "jpe", "jxl", "pam", "pbm", "pcx", "pfm",  "pnm",  "psd",
        "qoi",  "ras",  "sgi", "svg", "tga", "xbm", "xpm", "xwd",  NULL};
    return entry->d_name[0] != '.' && ends_as(entry->d_name, endings);
}

int resr_images_unread(const char *path, char *name, size_t name_bytes)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_unread_entry, alphasort);
    if (n < 0)
        return 0;
    if (n > 0)
        snprintf(name, name_bytes, "%s", entries[0]->d_name);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return n;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return resr_images_compare((*a)->d_name, (*b)->d_name);
}

static int unreadable(const char *folder)
{
    return resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_NOINPUT,
                     "%s: the folder cannot be read: %s", folder, strerror(errno));
}

static int find_folder(ResrImages *images, const char *path)
{
    struct dirent **entries;
    char *full = NULL;
    int ret = 0;
    int n = scandir(path, &entries, is_image_entry, by_name);
    if (n < 0)
        return unreadable(path);
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

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The numbers for which files of the pattern exist, rising; the caller frees them. */
static int find_numbers(int64_t **numbers, size_t *count, const char *pattern)
{
    char folder[PATH_MAX] = ".";
    const char *end = strrchr(pattern, '/');
    size_t capacity = 0;
    struct dirent *entry;
    int64_t number;
    int ret = 0;
    if (end && (size_t)snprintf(folder, sizeof folder, "%.*s", (int)(end - pattern + 1), pattern) >=
                   sizeof folder)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", pattern);
    DIR *entries = opendir(folder);
    if (!entries)
        return unreadable(folder);
    while (ret == 0 && (entry = readdir(entries))) {
        if (!resr_images_match(pattern, entry->d_name, &number))
            continue;
        ret = resr_grow(numbers, &capacity, *count, sizeof **numbers);
        if (ret == 0)
            (*numbers)[(*count)++] = number;
    }
    closedir(entries);
    if (ret == 0 && *count > 0)
        qsort(*numbers, *count, sizeof **numbers, by_number);
    return ret;
}

static int find_numbered(ResrImages *images, const char *pattern)
{
    char path[PATH_MAX];
    int64_t *numbers = NULL;
    size_t count = 0;
    int ret = find_numbers(&numbers, &count, pattern);
    if (ret == 0 && count == 0)
        ret = resr_fail(RESR_ERR_NOINPUT, "%s: no file of this pattern exists; check the pattern",
                        pattern);
    for (size_t i = 0; i < count && ret == 0; i++) {
        ret = resr_images_number(path, sizeof path, pattern, numbers[i]);
        if (ret == 0 && i > 0 && numbers[i] != numbers[i - 1] + 1)
            ret = resr_fail(RESR_ERR_NOINPUT,
                            "%s: number %" PRId64 " is missing, but %s exists; add the missing "
                            "image, or give the folder as input",
                            pattern, numbers[i - 1] + 1, path);
        if (ret == 0)
            ret = add(images, path);
    }
    free(numbers);
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
