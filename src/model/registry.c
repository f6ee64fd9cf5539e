/* Names of networks, the search for their files, and the denoise blend. */

#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/model.h"

/* The official default strength of realesr-general-x4v3. */
#define DEFAULT_DENOISE 0.5

#define GENERAL "realesr-general-x4v3"
#define GENERAL_WDN "realesr-general-wdn-x4v3"

static const ResrModelEntry entries[] = {
    {"RealESRGAN_x4plus",
     "realesrgan-x4plus",
     {"RealESRGAN_x4plus.pth", "realesrgan-x4plus.param"},
     4,
     "RRDBNet, photographs and film"},
    {"RealESRGAN_x2plus",
     "realesrgan-x2plus",
     {"RealESRGAN_x2plus.pth"},
     2,
     "RRDBNet, a quarter of the work"},
    {"RealESRNet_x4plus",
     "realesrnet-x4plus",
     {"RealESRNet_x4plus.pth", "realesrnet-x4plus.param"},
     4,
     "RRDBNet, smoother, no GAN"},
    {"RealESRGAN_x4plus_anime_6B",
     "realesrgan-x4plus-anime",
     {"RealESRGAN_x4plus_anime_6B.pth", "realesrgan-x4plus-anime.param"},
     4,
     "RRDBNet, drawings"},
    {"realesr-animevideov3",
     "realesr-animevideov3-x4",
     {"realesr-animevideov3.pth", "realesr-animevideov3-x4.param"},
     4,
     "compact, animation"},
    {"realesr-animevideov3-x3",
     NULL,
     {"realesr-animevideov3-x3.param", "realesr-animevideov3.pth"},
     3,
     "compact, animation, the 4x network resized"},
    {"realesr-animevideov3-x2",
     NULL,
     {"realesr-animevideov3-x2.param", "realesr-animevideov3.pth"},
     2,
     "compact, animation, the 4x network resized"},
    {GENERAL, NULL, {GENERAL ".pth"}, 4, "compact, photographs, --denoise"},
    {GENERAL_WDN, NULL, {GENERAL_WDN ".pth"}, 4, "compact, photographs, keeps noise"},
};

const ResrModelEntry *resr_model_entry(int index)
{
    return index >= 0 && (size_t)index < sizeof entries / sizeof *entries ? &entries[index] : NULL;
}

static const ResrModelEntry *find_entry(const char *name)
{
    const ResrModelEntry *entry;
    for (int i = 0; (entry = resr_model_entry(i)); i++)
        if (strcmp(entry->name, name) == 0 || (entry->alias && strcmp(entry->alias, name) == 0))
            return entry;
    return NULL;
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The i-th folder to search for weights: `where` alone, if given. False past the last one; an empty
 * string for a folder that does not exist on this machine. */
static bool search_folder(char out[PATH_MAX], const char *where, int i)
{
    char program[PATH_MAX];
    const char *variable = getenv("REALESRGAN_MODELS");
    out[0] = 0;
    if (where) {
        snprintf(out, PATH_MAX, "%s", where);
        return i == 0;
    }
    if (i == 0 && variable) {
        snprintf(out, PATH_MAX, "%s", variable);
    } else if (i == 1) {
        snprintf(out, PATH_MAX, "models/weights");
    } else if (i > 1) {
        ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
        program[length > 0 ? length : 0] = 0;
        const char *up = i == 2 ? "../" : "";
        if (length > 0 && length < PATH_MAX - 32) /* dirname only shortens it */
            snprintf(out, PATH_MAX, "%.*s/%smodels/weights", PATH_MAX - 32, dirname(program), up);
    }
    return i < 4;
}

static bool find_file(char *out, size_t out_bytes, const char *file, const char *where)
{
    char folder[PATH_MAX];
    for (int i = 0; search_folder(folder, where, i); i++)
        if (folder[0] && (size_t)snprintf(out, out_bytes, "%s/%s", folder, file) < out_bytes &&
            access(out, F_OK) == 0)
            return true;
    return false;
}

int resr_model_locate(char *out, size_t out_bytes, const ResrModelEntry *entry, const char *where)
{
    for (size_t i = 0; i < sizeof entry->files / sizeof *entry->files && entry->files[i]; i++)
        if (find_file(out, out_bytes, entry->files[i], where))
            return 0;
    return RESR_ERR_NOINPUT;
}

static const char *describe_search(const char *where)
{
    return where ? where : "$REALESRGAN_MODELS, models/weights or beside the program";
}

static int load_entry(ResrModel **out, const ResrModelEntry *entry, const char *where)
{
    char path[PATH_MAX];
    if (resr_model_locate(path, sizeof path, entry, where) < 0)
        return resr_fail(
            RESR_ERR_NOINPUT,
            "the weights of %s (%s) are not in %s; fetch them with: sh models/fetch.sh "
            "%s%s%s",
            entry->name, entry->files[0], describe_search(where), entry->name, where ? " -m " : "",
            where ? where : "");
    int ret = resr_model_load(out, path);
    if (ret < 0)
        return ret;
    snprintf((*out)->name, sizeof(*out)->name, "%s", entry->name);
    /* animevideov3-x2 and -x3 are the 4x network with a resize, which the .pth does not contain. */
    if (entry->scale < (*out)->spec.scale)
        (*out)->spec.resize = (double)entry->scale / (*out)->spec.scale;
    return 0;
}

/* Loads the user's own weights from the folder: NAME with one of the known endings. */
static int load_unknown(ResrModel **out, const char *name, const char *where)
{
    static const char *const endings[] = {"", ".pth", ".safetensors", ".param"};
    char path[PATH_MAX], file[PATH_MAX];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (snprintf(file, sizeof file, "%s%s", name, endings[i]) < (int)sizeof file &&
            find_file(path, sizeof path, file, where))
            return resr_model_load(out, path);
    return resr_fail(
        RESR_ERR_NOINPUT,
        "-n: '%s' is not a known network (see --list-models) and no weight file of that name "
        "is in %s",
        name, describe_search(where));
}

/* params = denoise * model + (1 - denoise) * wdn, each factor and operation rounded to fp32 as in
 * the official scripts. */
static int blend(ResrModel *model, double denoise, const char *where)
{
    ResrModel *wdn = NULL;
    float own = (float)denoise, other = (float)(1 - denoise);
    if (denoise == 1)
        return 0;
    int ret = load_entry(&wdn, find_entry(GENERAL_WDN), where);
    if (ret < 0)
        return resr_fail_prefix(ret, "--denoise %g needs a second network: ", denoise);
    if (memcmp(&wdn->spec, &model->spec, sizeof wdn->spec) != 0)
        ret = resr_fail(RESR_ERR_DATA, "%s: not of the shape of %s", wdn->path, model->path);
    for (size_t i = 0; ret == 0 && i < model->arena_floats; i++) {
        float a = own * model->arena[i], b = other * wdn->arena[i];
        model->arena[i] = a + b;
    }
    resr_model_free(wdn);
    return ret;
}

int resr_model_find(ResrModel **out, const char *where, const char *name, int scale, double denoise)
{
    int ret;
    *out = NULL;
    if (where && !is_folder(where)) {
        ret = name ? resr_fail(RESR_ERR_USAGE,
                               "-n %s: -m %s names a file already; give only one of them", name,
                               where)
                   : resr_model_load(out, where);
    } else {
        if (!name)
            name = scale == 2 ? "RealESRGAN_x2plus" : "RealESRGAN_x4plus";
        const ResrModelEntry *entry = find_entry(name);
        ret = entry ? load_entry(out, entry, where) : load_unknown(out, name, where);
    }
    if (ret < 0)
        return ret;
    bool is_general = strcmp((*out)->name, GENERAL) == 0;
    if (is_general)
        ret = blend(*out, denoise < 0 ? DEFAULT_DENOISE : denoise, where);
    else if (denoise >= 0)
        ret = resr_fail(RESR_ERR_USAGE,
                        "--denoise: %s has no second network to blend with; only " GENERAL " has",
                        (*out)->name);
    if (ret < 0) {
        resr_model_free(*out);
        *out = NULL;
    }
    return ret;
}
