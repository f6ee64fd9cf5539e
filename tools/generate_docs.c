/* generate_docs man|bash|zsh|fish: writes realesrgan-mpi(1) or a shell's completions to stdout,
 * made from the option table. */

#include <stdio.h>
#include <string.h>

#include "option_table.h"
#include "version.h"

#define PROGRAM "realesrgan-mpi"

typedef enum Argument { NO_ARGUMENT, ANY, FILES, FOLDERS } Argument;

static Argument argument_of(const ResrOption *option)
{
    if (!option->argument)
        return NO_ARGUMENT;
    if (strstr(option->argument, "FILE") || strstr(option->argument, "PATH"))
        return FILES;
    return strstr(option->argument, "DIR") ? FOLDERS : ANY;
}

/* Writes `text` with a backslash before each character that occurs in `special`. */
static void put_escaped(const char *text, const char *special)
{
    for (; *text; text++)
        printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
}

static void put_suggestions(const ResrOption *option)
{
    const char *name;
    for (int i = 0; (name = resr_option_suggestion(option, i)); i++)
        printf("%s%s", i > 0 ? " " : "", name);
}

static const char *describe(const ResrOption *option)
{
    static char text[200];
    return resr_option_describe(text, sizeof text, option);
}

/* roff: a backslash or a leading dot or quote would be a command, and "-" a typographic hyphen. */
static void put_roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        printf("\\&");
    for (; *text; text++)
        if (*text == '\\')
            printf("\\e");
        else
            printf("%s%c", *text == '-' ? "\\" : "", *text);
    putchar('\n');
}

static void put_man_option(const ResrOption *option)
{
    printf(".TP\n");
    if (option->letter)
        printf("\\fB\\-%c\\fR, ", option->letter);
    printf("\\fB\\-\\-");
    put_escaped(option->name, "-");
    printf("\\fR");
    if (option->argument)
        printf(" \\fI%s\\fR", option->argument);
    putchar('\n');
    put_roff(describe(option));
    if (option->more) {
        printf(".br\n");
        put_roff(option->more);
    }
}

static void put_entries(const char *const (*entries)[2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        printf(".TP\n.B ");
        put_roff(entries[i][0]);
        put_roff(entries[i][1]);
    }
}

static void put_man_end(void)
{
    static const char *const status[][2] = {
        {"0", "The output is complete."},
        {"64", "The command line is wrong."},
        {"65", "An input, a model or a line of --jobs is damaged or does not fit."},
        {"66", "An input or the weights are missing."},
        {"69", "No usable device, or a device failed."},
        {"70", "Internal error, or out of memory."},
        {"73", "The output exists or cannot be created."},
        {"74", "Reading or writing failed, for example because the disk is full."},
        {"75", "Stopped by a signal or a lost rank; the same command resumes the job."},
        {"77", "Permission denied."},
        {"78", "The job folder belongs to another input, model or set of options."},
    };
    static const char *const variables[][2] = {
        {"REALESRGAN_MODELS", "Folder of weights, searched first."},
        {"REALESRGAN_CUDA", "Path of realesrgan-cuda.so."},
        {"XDG_DATA_HOME", "Folder of realesrgan-mpi/models, if not ~/.local/share."},
    };
    static const char *const files[][2] = {
        {"models/weights", "Weights, below the working folder."},
        {"../models/weights, models/weights", "Weights, relative to the program's folder."},
        {"../share/realesrgan-mpi/models",
         "Weights and fetch.sh, relative to the program's folder."},
        {"$XDG_DATA_HOME/realesrgan-mpi/models", "Weights of a user; fetch.sh puts them there."},
        {"OUTPUT.resr", "Job folder: the checkpoint of an unfinished job, with status.json."},
    };
    printf(".SH EXIT STATUS\n");
    put_entries(status, sizeof status / sizeof *status);
    printf(".SH ENVIRONMENT\n");
    put_entries(variables, sizeof variables / sizeof *variables);
    printf(".SH FILES\n");
    put_entries(files, sizeof files / sizeof *files);
    printf(".SH SEE ALSO\n.BR mpirun (1),\n.BR ffmpeg (1)\n");
}

static void put_man(void)
{
    printf(".TH REALESRGAN\\-MPI 1 \"\" \"" PROGRAM " " RESR_VERSION "\" \"User Commands\"\n"
           ".SH NAME\nrealesrgan\\-mpi \\- upscale videos and images with Real\\-ESRGAN networks\n"
           ".SH SYNOPSIS\n.B mpirun \\-n\n.I RANKS\n.B realesrgan\\-mpi \\-i\n.I INPUT\n.B \\-o\n"
           ".I OUTPUT\n[\\fB\\-s\\fR 2|4] [\\fIOPTION\\fR...]\n.br\n.B mpirun \\-n\n.I RANKS\n"
           ".B realesrgan\\-mpi \\-\\-jobs\n.I FILE\n[\\fIOPTION\\fR...]\n"
           ".SH DESCRIPTION\n"
           "Upscales a video or images with Real\\-ESRGAN networks.\n"
           "The frames are spread over MPI ranks, on CPUs and GPUs of one or several machines.\n"
           "Without\n.BR mpirun (1)\nthe program runs as one rank.\n"
           "A job that was interrupted is resumed by the same command.\n"
           ".SH OPTIONS\n"
           "Defaults stand in brackets.\n");
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        const ResrOption *option = &resr_option_table[i];
        if (i == 0 || option->heading != option[-1].heading)
            printf(".SS %s\n", resr_option_heading(option->heading));
        put_man_option(option);
    }
    put_man_end();
}

static void put_patterns(const ResrOption *option)
{
    if (option->letter)
        printf("-%c | ", option->letter);
    printf("--%s)", option->name);
}

static void put_bash(void)
{
    printf("# bash completion for " PROGRAM "\n"
           "_realesrgan_mpi() {\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    COMPREPLY=()\n"
           "    # \"--encode=r\" arrives as the three words \"--encode\", \"=\" and \"r\".\n"
           "    if [[ $current == = ]]; then\n"
           "        current=\"\"\n"
           "    elif [[ $option == = ]]; then\n"
           "        option=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    case $option in\n");
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        const ResrOption *option = &resr_option_table[i];
        Argument argument = argument_of(option);
        if (argument == NO_ARGUMENT)
            continue;
        printf("    ");
        put_patterns(option);
        if (argument == ANY) {
            printf("\n        mapfile -t COMPREPLY < <(compgen -W \"");
            put_suggestions(option);
            printf("\" -- \"$current\")\n        ;;\n");
        } else {
            printf("\n        compopt -o filenames 2>/dev/null\n"
                   "        mapfile -t COMPREPLY < <(compgen %s -- \"$current\")\n        ;;\n",
                   argument == FILES ? "-f" : "-d");
        }
    }
    printf("    *)\n        mapfile -t COMPREPLY < <(compgen -W \"");
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        if (resr_option_table[i].letter)
            printf("-%c ", resr_option_table[i].letter);
        printf("--%s%s", resr_option_table[i].name, i + 1 < RESR_OPTION_COUNT ? " " : "");
    }
    printf("\" -- \"$current\")\n        ;;\n    esac\n}\n"
           "complete -F _realesrgan_mpi " PROGRAM "\n");
}

static void put_zsh(void)
{
    printf("#compdef " PROGRAM "\n\n_arguments -s -S");
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        const ResrOption *option = &resr_option_table[i];
        Argument argument = argument_of(option);
        const char *equals = argument == NO_ARGUMENT ? "" : "=";
        printf(" \\\n    ");
        if (option->letter)
            printf("\"(-%c --%s)\"{-%c%s,--%s%s}\"[", option->letter, option->name, option->letter,
                   argument == NO_ARGUMENT ? "" : "+", option->name, equals);
        else
            printf("\"--%s%s[", option->name, equals);
        put_escaped(describe(option), "[]:\\\"$`");
        printf("]");
        if (argument != NO_ARGUMENT)
            printf("%s%s:", resr_option_is_bare(option) ? "::" : ":", option->argument);
        if (argument == FILES)
            printf("_files");
        if (argument == FOLDERS)
            printf("_files -/");
        if (argument == ANY && resr_option_suggestion(option, 0)) {
            printf("(");
            put_suggestions(option);
            printf(")");
        }
        printf("\"");
    }
    putchar('\n');
}

static void put_fish(void)
{
    printf("# fish completion for " PROGRAM "\ncomplete -c " PROGRAM " -f\n");
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        const ResrOption *option = &resr_option_table[i];
        Argument argument = argument_of(option);
        printf("complete -c " PROGRAM);
        if (option->letter)
            printf(" -s %c", option->letter);
        printf(" -l %s", option->name);
        if (argument == FILES)
            printf(" -r -F");
        if (argument == FOLDERS)
            printf(" %s-a \"(__fish_complete_directories)\"",
                   resr_option_is_bare(option) ? "" : "-x ");
        if (argument == ANY) {
            printf(" -x -a \"");
            put_suggestions(option);
            printf("\"");
        }
        printf(" -d \"");
        put_escaped(describe(option), "\"\\$");
        printf("\"\n");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*put)(void);
    } formats[] = {{"man", put_man}, {"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
    for (size_t i = 0; argc == 2 && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(argv[1], formats[i].name) == 0) {
            formats[i].put();
            return fflush(stdout) == 0 ? 0 : 74;
        }
    fprintf(stderr, "usage: generate_docs man|bash|zsh|fish\n");
    return 64;
}
