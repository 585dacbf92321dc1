/* Which files a model path means: see locate.h. Looks only into the folder itself, at names that end in .gguf. */
#include "weights/locate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"

/* ---- names ---- */

typedef struct name_list {
    char **names;
    size_t count;
} name_list;

static void free_names(name_list *list) {
    for (size_t i = 0; i < list->count; i++) free(list->names[i]);
    free(list->names);
    *list = (name_list){0};
}

static bool ends_with(const char *name, const char *suffix) {
    size_t n = strlen(name), s = strlen(suffix);
    return n > s && strcasecmp(name + n - s, suffix) == 0;
}

static bool is_mmproj(const char *name) {
    return strcasestr(name, "mmproj") != NULL;
}

/* "…-00002-of-00005.gguf": 2; 0 for a name of another form. */
static int part_number(const char *name) {
    size_t n = strlen(name);
    const size_t tail = strlen("-00002-of-00005.gguf");
    int number, total;
    char dummy;
    return n > tail && sscanf(name + n - tail, "-%5d-of-%5d.ggu%c", &number, &total, &dummy) == 3 ? number : 0;
}

static char *join(const char *folder, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folder's .gguf files, sorted: the mmproj ones or the others; of split files the first part only. */
static weft_status list_gguf(const char *folder, bool mmproj, name_list *list, weft_error *err) {
    *list = (name_list){0};
    DIR *dir = opendir(folder);
    if (!dir)
        return weft_fail(err, errno == ENOENT ? WEFT_ERR_NOT_FOUND : WEFT_ERR_IO, "%s: cannot open the folder: %s",
                         folder, strerror(errno));
    weft_status status = WEFT_OK;
    for (struct dirent *entry; status == WEFT_OK && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (name[0] == '.' || !ends_with(name, ".gguf") || is_mmproj(name) != mmproj || part_number(name) > 1) continue;
        char **grown =
            list->count < WEFT_FOLDER_FILES_MAX ? realloc(list->names, sizeof *grown * (list->count + 1)) : NULL;
        char *copy = grown ? strdup(name) : NULL;
        if (grown) list->names = grown;
        if (copy)
            list->names[list->count++] = copy;
        else
            status = weft_fail(err, WEFT_ERR_LIMIT, "%s: too many GGUF files (or no memory); name the file", folder);
    }
    closedir(dir);
    if (status != WEFT_OK)
        free_names(list);
    else if (list->count > 1)
        qsort(list->names, list->count, sizeof *list->names, compare_names);
    return status;
}

/* "a.gguf, b.gguf, …": as many as a message has room for; the caller's buffer. */
static const char *enumerate(const name_list *list, char *out, size_t size) {
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t length = strlen(list->names[i]);
        const char *shown = weft_text_is_plain(list->names[i], length) ? list->names[i] : "?";
        int n = snprintf(out + at, size - at, "%s%s", i ? ", " : "", shown);
        if (n < 0 || (size_t)n >= size - at) {
            snprintf(out + at, size - at, "%s", "");
            if (at + 6 < size) snprintf(out + at, size - at, ", …");
            break;
        }
        at += (size_t)n;
    }
    return out;
}

/* ---- the model ---- */

static bool exists(const char *folder, const char *name) {
    char *path = join(folder, name);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

static weft_status locate_in_folder(const char *folder, weft_location *out, weft_error *err) {
    bool config = exists(folder, "config.json");
    bool tensors = exists(folder, "model.safetensors") || exists(folder, "model.safetensors.index.json");
    if (config && tensors) {
        out->huggingface = true;
        return WEFT_OK;
    }
    name_list list;
    WEFT_TRY(list_gguf(folder, false, &list, err));
    weft_status status = WEFT_OK;
    char names[700];
    if (list.count > 1)
        status = weft_fail(err, WEFT_ERR_INVALID, "%s: holds %zu GGUF models; name one of them: %s", folder, list.count,
                           enumerate(&list, names, sizeof names));
    else if (list.count == 0 && config)
        status = weft_fail(err, WEFT_ERR_NOT_FOUND,
                           "%s: config.json is there, but neither model.safetensors nor model.safetensors.index.json",
                           folder);
    else if (list.count == 0 && tensors)
        status =
            weft_fail(err, WEFT_ERR_NOT_FOUND, "%s: the safetensors are there, but config.json is missing", folder);
    else if (list.count == 0)
        status = weft_fail(err, WEFT_ERR_NOT_FOUND,
                           "%s: no model here: neither config.json with safetensors nor a .gguf file", folder);
    else if (!(out->gguf = join(folder, list.names[0])))
        status = weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", folder);
    free_names(&list);
    return status;
}

/* The folder part of a path: "." when it has none. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static weft_status locate(const char *path, weft_location *out, weft_error *err) {
    struct stat info;
    if (stat(path, &info) != 0)
        return weft_fail(err, errno == ENOENT || errno == ENOTDIR ? WEFT_ERR_NOT_FOUND : WEFT_ERR_IO, "%s: %s", path,
                         strerror(errno));
    bool folder = S_ISDIR(info.st_mode);
    out->folder = folder ? strdup(path) : folder_of(path);
    if (!out->folder) return weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", path);
    if (folder) {
        for (size_t n = strlen(out->folder); n > 1 && out->folder[n - 1] == '/'; n--) out->folder[n - 1] = 0;
        return locate_in_folder(out->folder, out, err);
    }
    if (ends_with(path, ".safetensors") || ends_with(path, ".json"))
        return weft_fail(err, WEFT_ERR_INVALID, "%s: name the folder that holds it, not the file", path);
    out->gguf = strdup(path);
    return out->gguf ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", path);
}

weft_status weft_locate(const char *path, weft_location *out, weft_error *err) {
    *out = (weft_location){0};
    weft_status status = locate(path, out, err);
    if (status != WEFT_OK) weft_location_free(out);
    return status;
}

void weft_location_free(weft_location *location) {
    free(location->folder);
    free(location->gguf);
    *location = (weft_location){0};
}

/* ---- the mmproj ---- */

/* The words of a file's name that tell models apart, in lower case: without folder, ".gguf", part numbers, "mmproj" and
 * types such as Q4_K_M, F16 or UD. "mmproj-Qwen3VL-4B-Instruct-F16.gguf" -> "qwen3vl-4b-instruct". */
static void model_stem(const char *path, char *out, size_t size) {
    const char *slash = strrchr(path, '/');
    char name[256];
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
    size_t n = strlen(name);
    if (ends_with(name, ".gguf")) name[n -= 5] = 0;
    if (part_number(slash ? slash + 1 : path) > 0 && n > 15) name[n - 15] = 0;
    for (char *c = name; *c; c++) *c = (char)tolower((unsigned char)*c);
    size_t at = 0;
    out[0] = 0;
    char *rest = NULL;
    for (char *word = strtok_r(name, "-.", &rest); word; word = strtok_r(NULL, "-.", &rest)) {
        bool type = ((word[0] == 'q' || word[0] == 'f') && isdigit((unsigned char)word[1]) && !strchr(word, 'v')) ||
                    strncmp(word, "bf16", 4) == 0 || strncmp(word, "iq", 2) == 0 || strcmp(word, "ud") == 0;
        if (type || strcmp(word, "mmproj") == 0 || strcmp(word, "mmproj_") == 0) continue;
        int written = snprintf(out + at, size - at, "%s%s", at ? "-" : "", word);
        if (written < 0 || (size_t)written >= size - at) return;
        at += (size_t)written;
    }
}

/* Keeps the names for which `keep` says yes; when it says yes to none, keeps all. */
static void narrow(name_list *list, bool (*keep)(const char *name, const void *context), const void *context) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) kept += keep(list->names[i], context);
    if (kept == 0) return;
    size_t at = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (keep(list->names[i], context))
            list->names[at++] = list->names[i];
        else
            free(list->names[i]);
    }
    list->count = at;
}

typedef struct fit_context {
    const char *folder;
    uint64_t hidden_size;
} fit_context;

static bool fits(const char *name, const void *context) {
    const fit_context *fit = context;
    char *path = join(fit->folder, name);
    weft_gguf *g = NULL;
    uint64_t dim = 0;
    const char *architecture = "";
    size_t size = 0;
    bool yes = path && weft_gguf_open(path, &g, NULL) == WEFT_OK &&
               weft_gguf_string(g, "general.architecture", &architecture, &size, NULL) == WEFT_OK && size == 4 &&
               memcmp(architecture, "clip", 4) == 0 &&
               weft_gguf_u64(g, "clip.vision.projection_dim", &dim, NULL) == WEFT_OK && dim == fit->hidden_size;
    weft_gguf_close(g);
    free(path);
    return yes;
}

static bool same_stem(const char *name, const void *context) {
    char stem[256];
    model_stem(name, stem, sizeof stem);
    return strcmp(stem, context) == 0;
}

static bool is_twin(const char *name, const void *context) { /* "mmproj-" and the model's own name */
    return strncmp(name, "mmproj-", 7) == 0 && strcmp(name + 7, context) == 0;
}

static bool is_f16(const char *name, const void *context) {
    (void)context;
    const char *f16 = strcasestr(name, "f16");
    return f16 && (f16 == name || tolower((unsigned char)f16[-1]) != 'b');
}

weft_status weft_locate_mmproj(const weft_gguf *text, uint64_t hidden_size, weft_gguf **mmproj, weft_error *err) {
    *mmproj = NULL;
    char *folder = folder_of(weft_gguf_path(text));
    if (!folder) return weft_fail(err, WEFT_ERR_MEMORY, "out of memory");
    name_list list;
    weft_status status = list_gguf(folder, true, &list, err);
    if (status == WEFT_OK && list.count > 1) {
        fit_context fit = {folder, hidden_size};
        char stem[256], names[700];
        const char *slash = strrchr(weft_gguf_path(text), '/');
        narrow(&list, fits, &fit);
        narrow(&list, is_twin, slash ? slash + 1 : weft_gguf_path(text));
        model_stem(weft_gguf_path(text), stem, sizeof stem);
        narrow(&list, same_stem, stem);
        narrow(&list, is_f16, NULL);
        if (list.count > 1)
            status = weft_fail(err, WEFT_ERR_INVALID,
                               "%s: several mmproj files could belong to this model; name one with --mmproj: %s",
                               folder, enumerate(&list, names, sizeof names));
    }
    if (status == WEFT_OK && list.count == 1) {
        char *path = join(folder, list.names[0]);
        status = path ? weft_gguf_open(path, mmproj, err) : weft_fail(err, WEFT_ERR_MEMORY, "out of memory");
        free(path);
    }
    free_names(&list);
    free(folder);
    return status;
}
