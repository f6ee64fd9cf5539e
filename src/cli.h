#ifndef RESR_CLI_H
#define RESR_CLI_H

#include "job/options.h"

/* Reads the command line into *options, defaults and --task presets applied, and checks every value
 * alone. One option table drives parsing and --help. RESR_ERR_USAGE names the option, what was
 * found and what is expected. */
RESR_MUST_CHECK int resr_cli_parse(ResrOptions *options, int argc, const char *const *argv);

/* One screen of help on stdout. */
void resr_cli_print_help(void);

#endif
