#include "job/json.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

json_t *resr_json_text(const char *text)
{
    char *utf8 = resr_text_to_utf8(text);
    json_t *string = utf8 ? json_string(utf8) : NULL;
    free(utf8);
    return string;
}

void resr_json_set_exact(json_t *object, const char *key, const char *text)
{
    char bytes_key[64];
    json_object_set_new(object, key, resr_json_text(text));
    if (resr_text_is_utf8(text))
        return;
    char *hex = malloc(2 * strlen(text) + 1);
    for (size_t i = 0; hex && text[i]; i++)
        snprintf(hex + 2 * i, 3, "%02x", (uint8_t)text[i]);
    snprintf(bytes_key, sizeof bytes_key, "%s_bytes", key);
    json_object_set_new(object, bytes_key, hex ? json_string(hex) : NULL);
    free(hex);
}
