#ifndef RESR_JOB_JOB_LIST_H
#define RESR_JOB_JOB_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The list of --jobs: one video a line. If the list is a regular file, FILE.journal beside it
 * records the state of its lines, which are identified by their text, at any position. A list on
 * standard input or in a pipe is read as it arrives and has no journal. One thread may read the
 * list while another one ends jobs. */
typedef struct ResrJobList ResrJobList;

/* A line that is neither empty nor a comment. */
typedef struct ResrJobLine {
    int64_t number; /* in the list, from 1 */
    char *text;     /* the caller's to free; NULL: end of the list */
} ResrJobLine;

typedef enum ResrJobLineState {
    RESR_JOB_LINE_NEW,
    RESR_JOB_LINE_STARTED, /* its end was not recorded */
    RESR_JOB_LINE_DONE,
    RESR_JOB_LINE_FAILED,
} ResrJobLineState;

/* How a job ended. Texts may be NULL. */
typedef struct ResrJobResult {
    const char *input, *output, *error;
    int status; /* exit code */
    int64_t frames;
    double seconds;
} ResrJobResult;

/* `path` "-": standard input. Reading ends when a signal asks to stop (base/stop.h). Locks the
 * journal and waits up to 30 s for another process: RESR_ERR_STOPPED. RESR_ERR_NOINPUT,
 * RESR_ERR_PERM (the journal cannot be written), RESR_ERR_IO. */
RESR_MUST_CHECK int resr_job_list_open(ResrJobList **out, const char *path);

/* Waits for the next line. RESR_ERR_IO, RESR_ERR_DATA (a line of more than RESR_JOB_LINE_BYTES). */
RESR_MUST_CHECK int resr_job_list_next(ResrJobList *list, ResrJobLine *line);

/* Returns the state of a line; of a line that is done also its frames and seconds. */
ResrJobLineState resr_job_list_find(ResrJobList *list, const ResrJobLine *line,
                                    ResrJobResult *result);

/* Records that the line's job starts; `frames`: finished by earlier attempts. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_job_list_begin(ResrJobList *list, const ResrJobLine *line, int64_t frames);

/* Records that the line's job has ended: prints a JSON object on standard output and journals it,
 * unless the line is already done or the job can be resumed (75). RESR_ERR_IO. */
RESR_MUST_CHECK int resr_job_list_end(ResrJobList *list, const ResrJobLine *line,
                                      const ResrJobResult *result);

/* Ends the list here. Call from any thread. */
void resr_job_list_stop(ResrJobList *list);

/* Can more lines arrive at any time, because the list is not a regular file? */
bool resr_job_list_is_open_ended(const ResrJobList *list);

void resr_job_list_close(ResrJobList *list); /* NULL is allowed */

#endif
