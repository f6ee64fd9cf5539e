#ifndef RESR_MEDIA_IMAGES_H
#define RESR_MEDIA_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The files behind an input or output path: one file, a folder's images, or a numbered sequence. */
typedef struct ResrImages {
    bool is_list; /* a folder or pattern */
    int64_t count;
    char **paths;
    char **names;    /* base names without ending */
    size_t capacity; /* of both arrays */
} ResrImages;

/* Finds the files of an input. A folder: its images in the order of resr_images_compare(); a
 * pattern that is no existing file: its files by number, from the lowest; else the path itself.
 * RESR_ERR_NOINPUT when none exists, or a number is missing among the pattern's files;
 * RESR_ERR_PERM; RESR_ERR_DATA when one is not a regular file. The caller frees with
 * resr_images_free(). */
RESR_MUST_CHECK int resr_images_find(ResrImages *out, const char *path);
void resr_images_free(ResrImages *images);

/* True if the name ends as an image that the program reads and writes (.png, .jpg, ...). */
bool resr_images_is_image_name(const char *path);

/* Number of pictures in a folder that resr_images_find() does not read, told by their endings (.gif,
 * .tga, ...); the name of one of them in `name`. 0 if `path` is not a folder. */
int resr_images_unread(const char *path, char *name, size_t name_bytes);

/* Order of file names: as strcmp(), but a run of digits counts by its value (2.png before 10.png).
 */
int resr_images_compare(const char *a, const char *b);

/* True if the file's name in `path` holds exactly one %d conversion, with digits at most. */
bool resr_images_is_pattern(const char *path);

/* True if `name`, without a folder, is what the pattern gives for a number. */
bool resr_images_match(const char *pattern, const char *name, int64_t *number);

/* Puts `number` into a pattern. RESR_ERR_USAGE if it does not fit. */
RESR_MUST_CHECK int resr_images_number(char *out, size_t out_bytes, const char *pattern,
                                       int64_t number);

#endif
