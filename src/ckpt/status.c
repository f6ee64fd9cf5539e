#include "ckpt/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/publish.h"
#include "job/json.h"

#define MAX_BYTES (1 << 20) /* a larger file is not this program's */

static json_t *exclusions_of(const ResrStatus *status)
{
    json_t *exclusions = status->exclusions ? json_loads(status->exclusions, 0, NULL) : NULL;
    return exclusions ? exclusions : json_array();
}

void resr_status_read(ResrStatus *status, const char *path)
{
    struct stat file;
    bool small = stat(path, &file) == 0 && S_ISREG(file.st_mode) && file.st_size <= MAX_BYTES;
    json_t *object = small ? json_load_file(path, 0, NULL) : NULL;
    json_t *exclusions = json_object_get(object, "strikes");
    json_int_t attempt = json_integer_value(json_object_get(object, "attempt"));
    status->attempt = attempt >= 0 && attempt <= INT32_MAX ? attempt : 0;
    free(status->exclusions);
    status->exclusions = json_is_array(exclusions) ? json_dumps(exclusions, JSON_COMPACT) : NULL;
    json_decref(object);
}

int resr_status_write(const ResrStatus *status, const char *path)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    json_t *object = json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:o, s:I, s:o, s:o}", "state", status->state, "exit_code",
        status->exit_code, "frames_durable", (json_int_t)status->frames_durable, "frames_total",
        (json_int_t)status->frames_total, "attempt", (json_int_t)status->attempt, "message",
        resr_json_text(status->message), "pid", (json_int_t)getpid(), "host", resr_json_text(host),
        "strikes", exclusions_of(status));
    char *text = object ? json_dumps(object, JSON_INDENT(1)) : NULL;
    int ret = text ? resr_replace_file_nosync(path, text, strlen(text))
                   : resr_fail(RESR_ERR_INTERNAL, "%s: cannot be built", path);
    free(text);
    json_decref(object);
    return ret;
}

int resr_status_record_exclusion(ResrStatus *status, const char *host, int rank)
{
    json_t *exclusions = exclusions_of(status);
    json_array_append_new(exclusions,
                          json_pack("{s:o, s:i}", "host", resr_json_text(host), "rank", rank));
    char *text = json_dumps(exclusions, JSON_COMPACT);
    json_decref(exclusions);
    if (!text)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: the list of exclusions");
    free(status->exclusions);
    status->exclusions = text;
    return 0;
}

void resr_status_clear(ResrStatus *status)
{
    free(status->exclusions);
    *status = (ResrStatus){0};
}
