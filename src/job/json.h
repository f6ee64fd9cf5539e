#ifndef RESR_JOB_JSON_H
#define RESR_JOB_JSON_H

struct json_t; /* jansson.h */

/* A JSON string of any bytes; bytes that are not UTF-8 become U+FFFD. NULL: memory is exhausted. */
struct json_t *resr_json_text(const char *text);

/* Sets `key` to resr_json_text() of `text`. If `text` is not UTF-8, also sets "KEY_bytes" to its
 * bytes in hexadecimal, so that different texts stay different. */
void resr_json_set_exact(struct json_t *object, const char *key, const char *text);

#endif
