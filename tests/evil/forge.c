/* forge FOLDER RECORD...: appends records to the journal of a job folder, as an attacker would who
 * knows the format. RECORD is TYPE:NUMBER:A:B:DETAIL, or TYPE:NUMBER:A:FILE:DETAIL for the size and
 * the hash of a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/journal.h"
#include "ckpt/manifest.h"

static int parse(ResrRecord *record, char *text)
{
    char *field[5] = {NULL}, *next = text;
    for (int i = 0; i < 5 && next; i++)
        field[i] = strsep(&next, ":");
    if (!field[4])
        return resr_fail(RESR_ERR_USAGE, "%s: five fields are needed", text);
    *record = (ResrRecord){.type = (uint16_t)atoi(field[0]),
                           .number = strtoll(field[1], NULL, 10),
                           .a = strtoll(field[2], NULL, 10),
                           .b = strtoll(field[3], NULL, 10),
                           .detail = (uint16_t)atoi(field[4])};
    return strchr(field[3], '/') ? resr_hash_file(&record->hash, &record->b, field[3]) : 0;
}

static int forge(const char *folder, char **texts, int n)
{
    char path[4096];
    ResrManifest *manifest = NULL;
    ResrJournal *journal = NULL;
    ResrRecord *old = NULL, record;
    size_t count;
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    int ret = resr_manifest_read(&manifest, path);
    snprintf(path, sizeof path, "%s/journal", folder);
    if (ret == 0)
        ret = resr_journal_open(&journal, &old, &count, path, resr_manifest_job_id(manifest));
    for (int i = 0; i < n && ret == 0; i++) {
        ret = parse(&record, texts[i]);
        if (ret == 0)
            ret = resr_journal_append(journal, &record, 1);
    }
    resr_journal_close(journal);
    resr_manifest_free(manifest);
    free(old);
    return ret;
}

int main(int argc, char **argv)
{
    if (argc < 3 || forge(argv[1], argv + 2, argc - 2) < 0) {
        fprintf(stderr, "forge: %s\n", resr_error_text());
        return 1;
    }
    return 0;
}
