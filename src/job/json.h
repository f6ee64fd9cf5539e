#ifndef RESR_JOB_JSON_H
#define RESR_JOB_JSON_H

struct json_t; /* jansson.h */

/* A JSON string of any bytes: JSON is UTF-8, and what is not becomes U+FFFD. NULL: memory. */
struct json_t *resr_json_text(const char *text);

/* Sets `key` to that, and where `text` is not UTF-8 "KEY_bytes" to its bytes in hexadecimal, so
 * that different texts stay different. */
void resr_json_set_exact(struct json_t *object, const char *key, const char *text);

#endif
