#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the character at `text` (not at its end) and the character; 0: not UTF-8. */
static int read_character(const char *text, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t)*text;
    int bytes = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (bytes == 0 || first >= 0xf8)
        return 0;
    uint32_t value = bytes == 1 ? first : first & (0x7fU >> bytes);
    for (int i = 1; i < bytes; i++) {
        if (((uint8_t)text[i] & 0xc0) != 0x80) /* the text's end, too */
            return 0;
        value = value << 6 | ((uint8_t)text[i] & 0x3f);
    }
    *character = value;
    bool surrogate = value >= 0xd800 && value < 0xe000;
    return bytes > 1 && (value < least[bytes] || value > 0x10ffff || surrogate) ? 0 : bytes;
}

bool resr_text_is_utf8(const char *text)
{
    uint32_t character;
    int bytes = 1;
    for (; *text && bytes > 0; text += bytes)
        bytes = read_character(text, &character);
    return bytes > 0;
}

char *resr_text_to_utf8(const char *text)
{
    uint32_t character;
    char *out = malloc(strlen(text) * strlen(REPLACEMENT) + 1), *next = out;
    while (out && *text) {
        int bytes = read_character(text, &character);
        const char *from = bytes ? text : REPLACEMENT;
        size_t length = bytes ? (size_t)bytes : strlen(REPLACEMENT);
        memcpy(next, from, length);
        next += length;
        text += bytes ? bytes : 1;
    }
    if (out)
        *next = 0;
    return out;
}

/* Does a terminal obey the character instead of showing it? */
static bool is_command(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *resr_text_show(char *out, size_t out_bytes, const char *text)
{
    size_t used = 0;
    while (*text) {
        uint32_t character = 0;
        int bytes = read_character(text, &character);
        bool shown = bytes > 0 && !is_command(character);
        int step = bytes > 0 ? bytes : 1;
        size_t length = (size_t)step * (shown ? 1 : 4);
        if (used + length >= out_bytes)
            break;
        for (int i = 0; i < step && !shown; i++)
            snprintf(out + used + 4 * i, 5, "\\x%02x", (uint8_t)text[i]);
        if (shown)
            memcpy(out + used, text, length);
        used += length;
        text += step;
    }
    out[used] = 0;
    return out;
}
