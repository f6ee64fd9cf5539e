#ifndef RESR_MEDIA_PICTURE_TIFF_H
#define RESR_MEDIA_PICTURE_TIFF_H

/* Declarations that the reader and the writer of TIFF share. For picture_tiff*.c only. */

#include <tiffio.h>

/* libtiff's first error; and whether libtiff warned while pixels were read. */
typedef struct TiffErrors {
    char text[160];
    bool in_pixels, warned;
} TiffErrors;

/* Options with the program's handlers and limits; the caller frees with TIFFOpenOptionsFree(). */
TIFFOpenOptions *resr_tiff_options(TiffErrors *errors);

#endif
