#ifndef RESR_JOB_JOB_LIST_H
#define RESR_JOB_JOB_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The list of --jobs: a line for each video. Beside a list that is a file lies FILE.journal, which
 * says what became of its lines: a line is known again by its text, wherever it then stands. A
 * list on standard input or in a pipe is read as it comes and has no journal. One thread may read
 * the list while another one ends jobs. */
typedef struct ResrJobList ResrJobList;

/* A line that is neither empty nor a comment. */
typedef struct ResrJobLine {
    int64_t number; /* in the list, from 1 */
    char *text;     /* the caller's to free; NULL: the list is at its end */
} ResrJobLine;

typedef enum ResrJobLineState {
    RESR_JOB_LINE_NEW,
    RESR_JOB_LINE_STARTED, /* and nobody knows how it ended */
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

/* `path` "-": standard input. Reading ends when *stop is not zero. The journal is taken for this
 * process alone, for which up to 30 s are waited: RESR_ERR_STOPPED. RESR_ERR_NOINPUT,
 * RESR_ERR_PERM (the journal cannot be written), RESR_ERR_IO. */
RESR_MUST_CHECK int resr_job_list_open(ResrJobList **out, const char *path,
                                       const volatile int *stop);

/* Waits for the next line. RESR_ERR_IO, RESR_ERR_DATA (a line of more than RESR_JOB_LINE_BYTES). */
RESR_MUST_CHECK int resr_job_list_next(ResrJobList *list, ResrJobLine *line);

/* What is known of a line; frames and seconds of one that is done are filled in. */
ResrJobLineState resr_job_list_find(ResrJobList *list, const ResrJobLine *line,
                                    ResrJobResult *result);

/* The line's job begins; an earlier attempt left so many frames. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_job_list_begin(ResrJobList *list, const ResrJobLine *line, int64_t frames);

/* It has ended: a JSON object on standard output, which is journalled too, unless the line is known
 * to be done, or goes on when the same command is run again (75). RESR_ERR_IO. */
RESR_MUST_CHECK int resr_job_list_end(ResrJobList *list, const ResrJobLine *line,
                                      const ResrJobResult *result);

/* From now on the list is at its end. From any thread. */
void resr_job_list_stop(ResrJobList *list);

/* More lines may come at any time: there is no end that could be known. */
bool resr_job_list_is_open_ended(const ResrJobList *list);

void resr_job_list_close(ResrJobList *list); /* NULL is allowed */

#endif
