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
    char **names; /* base names without ending */
} ResrImages;

/* Finds the files of an input. A folder: its images sorted by name; a pattern with one %d (or %05d)
 * that is no existing file: numbers from the first that exists below 100 on, without gaps; else the
 * path itself. RESR_ERR_NOINPUT when there is none, RESR_ERR_PERM. The caller frees with
 * resr_images_free(). */
RESR_MUST_CHECK int resr_images_find(ResrImages *out, const char *path);
void resr_images_free(ResrImages *images);

/* True if the name ends as an image that the program reads and writes (.png, .jpg, ...). */
bool resr_images_is_image_name(const char *path);

/* True if `path` holds exactly one %d conversion, with digits at most. */
bool resr_images_is_pattern(const char *path);

/* Puts `number` into a pattern. RESR_ERR_USAGE if it does not fit. */
RESR_MUST_CHECK int resr_images_number(char *out, size_t out_bytes, const char *pattern,
                                       int64_t number);

#endif
