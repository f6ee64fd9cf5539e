/* Names of networks, the search for their files, and the denoise blend. */

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "model/model.h"
#include "version.h"

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
    {GENERAL,
     "RealESRGAN_General_x4_v3",
     {GENERAL ".pth", GENERAL ".param", "RealESRGAN_General_x4_v3.param"},
     4,
     "compact, photographs, --denoise"},
    {GENERAL_WDN,
     "RealESRGAN_General_WDN_x4_v3",
     {GENERAL_WDN ".pth", GENERAL_WDN ".param", "RealESRGAN_General_WDN_x4_v3.param"},
     4,
     "compact, photographs, keeps noise"},
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

/* Folders with models/fetch.sh, where a source tree and an installed program have it, and the
 * folders of weights that belong to them. */
static const struct {
    bool beside_program; /* relative to the program's folder, not to the working folder */
    const char *models, *weights;
} places[] = {
    {false, "models", "models/weights"},
    {true, "../models", "../models/weights"},
    {true, "models", "models/weights"},
    {true, RESR_DATA_FOLDER "/models", RESR_DATA_FOLDER "/models"},
};
enum { PLACES = sizeof places / sizeof *places };

static void place_path(char out[PATH_MAX], bool beside_program, const char *name)
{
    if (!beside_program)
        snprintf(out, PATH_MAX, "%s", name);
    else if (resr_file_beside_program(out, PATH_MAX, name) < 0)
        out[0] = '\0';
}

/* $XDG_DATA_HOME, by default ~/.local/share; empty if neither is known. */
static void user_folder(char out[PATH_MAX])
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && data[0] == '/')
        snprintf(out, PATH_MAX, "%s/realesrgan-mpi/models", data);
    else if (home && home[0])
        snprintf(out, PATH_MAX, "%s/.local/share/realesrgan-mpi/models", home);
    else
        out[0] = '\0';
}

/* The i-th folder that is searched for weights: only `where`, if it is given. False past the last;
 * an empty string if the folder is not known. */
static bool search_folder(char out[PATH_MAX], const char *where, int i)
{
    const char *variable = getenv("REALESRGAN_MODELS");
    out[0] = '\0';
    if (where)
        snprintf(out, PATH_MAX, "%s", where);
    else if (i == 0 && variable)
        snprintf(out, PATH_MAX, "%s", variable);
    else if (i > 0 && i <= PLACES)
        place_path(out, places[i - 1].beside_program, places[i - 1].weights);
    else if (i == PLACES + 1)
        user_folder(out);
    return where ? i == 0 : i < PLACES + 2;
}

const char *resr_model_fetch_command(char *out, size_t out_bytes)
{
    char folder[PATH_MAX], script[PATH_MAX], absolute[PATH_MAX];
    for (int i = 0; i < PLACES; i++) {
        place_path(folder, places[i].beside_program, places[i].models);
        if (!folder[0] ||
            (size_t)snprintf(script, sizeof script, "%s/fetch.sh", folder) >= sizeof script ||
            !realpath(script, absolute))
            continue;
        const char *path = places[i].beside_program ? absolute : script;
        const char *quote = strpbrk(path, " \t\"$&;()<>|*?[#~`\\") ? "'" : "";
        if ((size_t)snprintf(out, out_bytes, "sh %s%s%s", quote, path, quote) < out_bytes)
            return out;
    }
    snprintf(out, out_bytes, "sh models/fetch.sh");
    return out;
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
    return where ? where
                 : "$REALESRGAN_MODELS, models/weights, "
                   "the program's folders or $XDG_DATA_HOME/realesrgan-mpi/models";
}

static int load_entry(ResrModel **out, const ResrModelEntry *entry, const char *where)
{
    char path[PATH_MAX], command[PATH_MAX];
    if (resr_model_locate(path, sizeof path, entry, where) < 0)
        return resr_fail(RESR_ERR_NOINPUT,
                         "the weights of %s (%s) are not in %s; fetch them with: %s %s%s%s",
                         entry->name, entry->files[0], describe_search(where),
                         resr_model_fetch_command(command, sizeof command), entry->name,
                         where ? " -m " : "", where ? where : "");
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
    static const char *const endings[] = {"", ".pth", ".safetensors", ".param", ".onnx"};
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

/* ncnn's .bin stands for the .param beside it. */
static bool is_same_file(const char *file, const char *candidate)
{
    size_t length = strlen(file), stem = length > 4 ? length - 4 : 0;
    return strcmp(file, candidate) == 0 ||
           (strcmp(file + stem, ".bin") == 0 && strncmp(file, candidate, stem) == 0 &&
            strcmp(candidate + stem, ".param") == 0);
}

/* True if `path` is named like a file of the network; writes its folder to `folder`. */
static bool names_file_of(char folder[PATH_MAX], const char *path, const ResrModelEntry *entry)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    bool found = false;
    for (size_t i = 0; i < sizeof entry->files / sizeof *entry->files && entry->files[i]; i++)
        found = found || is_same_file(file, entry->files[i]);
    snprintf(folder, PATH_MAX, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return found;
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
        return resr_fail_prefix(
            ret, "--denoise %g needs a second network (--denoise 1 does not): ", denoise);
    if (!resr_spec_equal(&wdn->spec, &model->spec))
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
    char folder[PATH_MAX];
    bool is_file = where && !is_folder(where);
    int ret;
    *out = NULL;
    if (is_file) {
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
    if (is_file && denoise >= 0 && names_file_of(folder, where, find_entry(GENERAL)))
        ret = blend(*out, denoise, folder);
    else if (is_general)
        ret = blend(*out, denoise < 0 ? RESR_DENOISE : denoise, where);
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
