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
 * pattern that is not the name of a file: its files by number, from the lowest; else the path
 * itself. RESR_ERR_NOINPUT if no file exists or a number is missing among the pattern's files;
 * RESR_ERR_PERM; RESR_ERR_DATA if a file is not regular. The caller frees with resr_images_free().
 */
RESR_MUST_CHECK int resr_images_find(ResrImages *out, const char *path);
void resr_images_free(ResrImages *images);

/* True if the name ends as an image that the program reads and writes (.png, .jpg, ...). */
bool resr_images_is_image_name(const char *path);

/* Number of pictures in a folder that resr_images_find() does not read, by their endings (.gif,
 * .tga, ...); `name` gets the name of one such picture. 0 if `path` is not a folder. */
int resr_images_unread(const char *path, char *name, size_t name_bytes);

/* Order of file names: as strcmp(), but runs of digits are compared by value (2.png before 10.png).
 */
int resr_images_compare(const char *a, const char *b);

/* True if the file name in `path` contains exactly one %d conversion, which may have a width in
 * digits. */
bool resr_images_is_pattern(const char *path);

/* True if `name`, without a folder, is the pattern's name for a number. */
bool resr_images_match(const char *pattern, const char *name, int64_t *number);

/* Puts `number` into a pattern. RESR_ERR_USAGE if it does not fit. */
RESR_MUST_CHECK int resr_images_number(char *out, size_t out_bytes, const char *pattern,
                                       int64_t number);

#endif
