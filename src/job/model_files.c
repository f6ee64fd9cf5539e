#include "job/model_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/publish.h"
#include "base/text.h"
#include "model/model.h"

/* "RRDBNet, 23 blocks, 64 features, growth 32, unshuffle 2" */
static const char *describe(char *out, size_t out_bytes, const ResrNetSpec *spec)
{
    char growth[32] = "", unshuffle[32] = "", resize[48] = "";
    if (spec->gc > 0)
        snprintf(growth, sizeof growth, ", growth %d", spec->gc);
    if (spec->unshuffle > 1)
        snprintf(unshuffle, sizeof unshuffle, ", unshuffle %d", spec->unshuffle);
    if (spec->resize != 1)
        snprintf(resize, sizeof resize, ", resized by %g", spec->resize);
    snprintf(out, out_bytes, "%s, %d %s, %d features%s%s%s", resr_spec_arch_name(spec),
             spec->num_blocks, spec->arch == RESR_ARCH_SRVGG ? "convolutions" : "blocks", spec->nf,
             growth, unshuffle, resize);
    return out;
}

static void print_network(const char *name, const ResrNetSpec *spec)
{
    char network[160], shown[RESR_TEXT_SHOWN_PATH_BYTES];
    printf("%-40s %dx, %s, %d channel%s, %.3g MFLOP/pixel\n",
           resr_text_show(shown, sizeof shown, name), spec->scale,
           describe(network, sizeof network, spec), spec->channels, spec->channels > 1 ? "s" : "",
           2e-6 * resr_spec_macs_per_px(spec));
}

/* Prints the reader's message; without the path that it starts with. */
static void print_refusal(const char *name, const char *path)
{
    char shown[RESR_TEXT_SHOWN_PATH_BYTES], reason[RESR_TEXT_SHOWN_PATH_BYTES];
    const char *text = resr_error_text();
    size_t length = strlen(path);
    if (strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    printf("%-40s does not run: %s\n", resr_text_show(shown, sizeof shown, name),
           resr_text_show(reason, sizeof reason, text));
}

static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISDIR(status.st_mode);
}

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

/* ncnn's .bin belongs to the .param beside it, which has a line of its own. */
static bool belongs_to_param(const char *path)
{
    char param[PATH_MAX];
    return ends_with(path, ".bin") &&
           snprintf(param, sizeof param, "%.*s.param", (int)strlen(path) - 4, path) < PATH_MAX &&
           access(param, F_OK) == 0;
}

static void list_file(const char *folder, const char *name)
{
    char path[PATH_MAX];
    ResrModel *model;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= PATH_MAX || !is_file(path) ||
        belongs_to_param(path))
        return;
    if (resr_model_load(&model, path) < 0) {
        print_refusal(name, path);
        return;
    }
    print_network(name, &model->spec);
    resr_model_free(model);
}

static int is_weight_file(const struct dirent *entry)
{
    static const char *const endings[] = {".pth",   ".pt",  ".ckpt", ".safetensors",
                                          ".param", ".bin", ".onnx"};
    bool found = false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        found = found || ends_with(entry->d_name, endings[i]);
    return found && entry->d_name[0] != '.';
}

int resr_model_files_list(const char *folder)
{
    struct dirent **entries;
    char shown[RESR_TEXT_SHOWN_PATH_BYTES];
    int n = scandir(folder, &entries, is_weight_file, alphasort);
    if (n < 0 && errno == ENOTDIR)
        return resr_fail(RESR_ERR_NOINPUT,
                         "--list-models %s: not a folder; name the folder that contains the file",
                         folder);
    if (n < 0)
        return resr_fail(errno == EACCES   ? RESR_ERR_PERM
                         : errno == ENOMEM ? RESR_ERR_INTERNAL
                                           : RESR_ERR_NOINPUT,
                         "--list-models %s: the folder cannot be read: %s", folder,
                         strerror(errno));
    if (n == 0)
        printf("%s has no weight files\n", resr_text_show(shown, sizeof shown, folder));
    for (int i = 0; i < n; i++) {
        list_file(folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int resr_model_files_convert(const char *input, const char *output, bool overwrite)
{
    ResrModel *model;
    if (!ends_with(output, ".safetensors"))
        return resr_fail(RESR_ERR_USAGE, "--convert: the output %s does not end in .safetensors",
                         output);
    int ret = resr_publish_check(output, input, overwrite);
    if (ret == 0)
        ret = resr_model_load(&model, input);
    if (ret < 0)
        return ret;
    ret = resr_model_save(model, output, overwrite);
    if (ret == 0)
        print_network(output, &model->spec);
    resr_model_free(model);
    return ret;
}
