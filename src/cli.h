#ifndef RESR_CLI_H
#define RESR_CLI_H

#include "job/options.h"

/* Reads the command line into *options, with the defaults and the presets of --task, and checks
 * it. RESR_ERR_USAGE names the option, the text that was found and the expected form. */
RESR_MUST_CHECK int resr_cli_parse(ResrOptions *options, int argc, const char *const *argv);

/* The same for a line of --jobs; `launch` and argv[argc] are the options and words of the command
 * line. The line's words, with quotes and backslashes as in a shell but without expansion, are
 * added to these. RESR_ERR_USAGE also for options that hold for all lines. */
RESR_MUST_CHECK int resr_cli_parse_line(ResrOptions *options, const ResrOptions *launch, int argc,
                                        const char *const *argv, const char *line);

/* Writes one line an option to stdout, under headings. */
void resr_cli_print_help(void);

#endif
