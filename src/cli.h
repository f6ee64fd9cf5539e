#ifndef RESR_CLI_H
#define RESR_CLI_H

#include "job/options.h"

/* Reads the command line into *options, defaults and --task presets applied, and checks every value
 * alone. One option table drives parsing and --help. RESR_ERR_USAGE names the option, what was
 * found and what is expected. */
RESR_MUST_CHECK int resr_cli_parse(ResrOptions *options, int argc, const char *const *argv);

/* The same for a line of --jobs, given the launch's command line and what came of it: the line's
 * words, with quotes and backslashes as in a shell but nothing expanded, are added to those of the
 * command line. RESR_ERR_USAGE also for options that hold for a launch as a whole. */
RESR_MUST_CHECK int resr_cli_parse_line(ResrOptions *options, const ResrOptions *launch, int argc,
                                        const char *const *argv, const char *line);

/* One screen of help on stdout. */
void resr_cli_print_help(void);

#endif
