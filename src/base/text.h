#ifndef RESR_BASE_TEXT_H
#define RESR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Text from names and files, which may contain any bytes. */

bool resr_text_is_utf8(const char *text);

/* Returns the text in UTF-8, which the caller frees; each byte outside a character becomes U+FFFD.
 * NULL: memory is exhausted. */
char *resr_text_to_utf8(const char *text);

/* Copies `text` for a terminal or a log: readable UTF-8 stays; control characters (escape
 * sequences, line ends), marks that change the direction of writing and stray bytes become \xHH.
 * Text that does not fit `out` is cut off. Returns `out`. */
char *resr_text_show(char *out, size_t out_bytes, const char *text);

/* Capacity of resr_text_show()'s output for any path. */
#define RESR_TEXT_SHOWN_PATH_BYTES (4 * 4096 + 1)

#endif
