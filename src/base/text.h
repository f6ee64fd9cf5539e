#ifndef RESR_BASE_TEXT_H
#define RESR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Text from names and files, which may hold any bytes. */

bool resr_text_is_utf8(const char *text);

/* The text in UTF-8, the caller's: each byte that belongs to no character becomes U+FFFD. NULL:
 * memory is exhausted. */
char *resr_text_to_utf8(const char *text);

/* Copies `text` for a terminal or a log: readable UTF-8 stays; control characters (escape
 * sequences, line ends), marks that turn the direction of writing and stray bytes become \xHH. What
 * does not fit `out` is cut off. Returns `out`. */
char *resr_text_show(char *out, size_t out_bytes, const char *text);

/* Capacity for all of a path, for resr_text_show(). */
#define RESR_TEXT_SHOWN_PATH_BYTES (4 * 4096 + 1)

#endif
