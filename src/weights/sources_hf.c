/* Where the tokenizer and the chat template of a Hugging Face folder are.
 *
 * Template, first that is there, as transformers' processor takes it: processor_config.json's chat_template,
 * chat_template.json, chat_template.jinja, tokenizer_config.json's chat_template (a string, or the entry "default" of a
 * list of named ones). A template file's line ends become "\n", as Python's text mode reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weights/checkpoint_internal.h"
#include "weights/json_file.h"

enum { CHAT_TEMPLATE_MAX = 4 << 20 };

static char *own_path(weft_checkpoint *ck, const char *name, weft_error *err) {
    size_t size = strlen(ck->folder) + strlen(name) + 2;
    char *path = weft_checkpoint_own(ck, size, 1, err);
    if (path) snprintf(path, size, "%s/%s", ck->folder, name);
    return path;
}

/* *out stays NULL when the file is not there. */
static weft_status find_file(weft_checkpoint *ck, const char *name, const char **out, weft_error *err) {
    char *path = own_path(ck, name, err);
    if (!path) return WEFT_ERR_MEMORY;
    if (access(path, F_OK) == 0) *out = path;
    return WEFT_OK;
}

/* A string, or a list of {"name", "template"} of which "default" is taken. */
static weft_status take_template(weft_checkpoint *ck, const json_t *value, const char *origin, weft_error *err) {
    const char *text = json_string_value(value);
    if (json_is_array(value)) {
        size_t i;
        const json_t *entry;
        json_array_foreach(value, i, entry) {
            const char *name = json_string_value(json_object_get(entry, "name"));
            if (name && strcmp(name, "default") == 0) text = json_string_value(json_object_get(entry, "template"));
        }
        if (!text) weft_checkpoint_warn(ck, "%s: none of its chat templates is named 'default'", origin);
    } else if (!text) {
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: chat_template must be a string or a list of named templates",
                         origin);
    }
    if (!text) return WEFT_OK;
    if (strlen(text) > CHAT_TEMPLATE_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: the chat template is over %d bytes", origin, CHAT_TEMPLATE_MAX);
    ck->sources.chat_template = weft_checkpoint_own_text(ck, text, strlen(text), err);
    ck->sources.chat_template_origin = origin;
    return ck->sources.chat_template ? WEFT_OK : WEFT_ERR_MEMORY;
}

static weft_status template_from_json(weft_checkpoint *ck, const char *name, weft_error *err) {
    if (ck->sources.chat_template) return WEFT_OK;
    const char *path = NULL;
    WEFT_TRY(find_file(ck, name, &path, err));
    if (!path) return WEFT_OK;
    json_t *root;
    /* tokenizer_config.json holds a model_max_length of 10^30. */
    WEFT_TRY(weft_json_load(path, true, &root, err));
    const json_t *value = json_object_get(root, "chat_template");
    weft_status status = value && !json_is_null(value) ? take_template(ck, value, name, err) : WEFT_OK;
    json_decref(root);
    return status;
}

static weft_status template_from_text(weft_checkpoint *ck, weft_error *err) {
    if (ck->sources.chat_template) return WEFT_OK;
    const char *path = NULL;
    WEFT_TRY(find_file(ck, "chat_template.jinja", &path, err));
    if (!path) return WEFT_OK;
    weft_buffer text;
    WEFT_TRY(weft_read_file(path, CHAT_TEMPLATE_MAX, &text, err));
    char *copy = weft_checkpoint_own_text(ck, text.data ? text.data : "", text.size, err);
    size_t size = text.size;
    weft_buffer_free(&text);
    if (!copy) return WEFT_ERR_MEMORY;
    if (memchr(copy, 0, size)) return weft_fail(err, WEFT_ERR_FORMAT, "%s: holds a NUL byte", path);
    char *out = copy;
    for (const char *in = copy; *in; in++) {
        if (*in == '\r' && in[1] == '\n') continue;
        *out++ = *in == '\r' ? '\n' : *in;
    }
    *out = 0;
    ck->sources.chat_template = copy;
    ck->sources.chat_template_origin = "chat_template.jinja";
    return WEFT_OK;
}

weft_status weft_sources_read_hf(weft_checkpoint *ck, weft_error *err) {
    WEFT_TRY(find_file(ck, "tokenizer.json", &ck->sources.tokenizer_json, err));
    WEFT_TRY(find_file(ck, "tokenizer_config.json", &ck->sources.tokenizer_config_json, err));
    if (!ck->sources.tokenizer_json) weft_checkpoint_warn(ck, "no tokenizer.json: text cannot be read or written");
    WEFT_TRY(template_from_json(ck, "processor_config.json", err));
    WEFT_TRY(template_from_json(ck, "chat_template.json", err));
    WEFT_TRY(template_from_text(ck, err));
    WEFT_TRY(template_from_json(ck, "tokenizer_config.json", err));
    if (!ck->sources.chat_template)
        weft_checkpoint_warn(ck, "no chat template in the checkpoint: the built-in one is used");
    return WEFT_OK;
}
