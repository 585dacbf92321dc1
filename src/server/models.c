/* GET /v1/models and the sample pictures of the embedded models. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/server_internal.h"

enum { SAMPLES_JSON_MAX = 1 << 20, SAMPLE_BYTES_MAX = 16 << 20 };

/* Reads samples.json of one model: fills its "about" and "samples", and remembers which files /samples/ may serve. */
static weft_status load_samples(weft_server *server, const weft_server_model *model, json_t *about, weft_error *err) {
    weft_buffer text;
    WEFT_TRY(weft_read_file(model->samples, SAMPLES_JSON_MAX, &text, err));
    json_error_t where;
    json_t *root = json_loadb(text.data, text.size, 0, &where);
    weft_buffer_free(&text);
    if (!json_is_object(root)) {
        json_decref(root);
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: line %d: %s", model->samples, where.line, where.text);
    }
    const char *line = json_string_value(json_object_get(root, "about"));
    json_object_set_new(about, "about", json_string(line ? line : ""));
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", model->samples);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    json_t *samples = json_array(), *item;
    size_t i;
    json_array_foreach(json_object_get(root, "samples"), i, item) {
        const char *image = json_string_value(json_object_get(item, "image"));
        const char *name = image ? strrchr(image, '/') : NULL;
        name = name ? name + 1 : image;
        if (!name || !*name) continue;
        char url[PATH_MAX], path[2 * PATH_MAX];
        snprintf(url, sizeof url, "/samples/%s", name);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        json_object_set_new(server->samples, url, json_string(path));
        json_t *sample = json_deep_copy(item);
        json_object_set_new(sample, "image", json_string(url));
        json_array_append_new(samples, sample);
    }
    json_object_set_new(about, "samples", samples);
    json_decref(root);
    return WEFT_OK;
}

weft_status weft_models_load(weft_server *server, weft_error *err) {
    json_t *list = json_array();
    server->samples = json_object();
    server->models = json_pack("{s:s, s:o}", "object", "list", "data", list);
    for (int i = 0; i < server->options.model_count; i++) {
        const weft_server_model *model = &server->options.models[i];
        const weft_model_info *info = weft_model_get_info(model->model);
        json_t *id = json_string(model->id);
        if (!id)
            return weft_fail(err, WEFT_ERR_INVALID,
                             "the name of model %d is not UTF-8: give it one, as --model NAME=PATH", i + 1);
        json_t *about = json_pack("{s:b, s:b, s:I, s:b, s:s, s:I, s:s, s:s, s:i, s:[]}", "vision", info->vision,
                                  "thinking", info->thinking, "context_length", (json_int_t)info->context_length,
                                  "embedded", model->embedded, "about", "", "parameters", (json_int_t)info->parameters,
                                  "architecture", info->architecture, "cpu", weft_engine_cpu_level(model->engine),
                                  "threads", weft_engine_threads(model->engine), "samples");
        if (model->samples) {
            weft_status status = load_samples(server, model, about, err);
            if (status != WEFT_OK) {
                json_decref(id);
                json_decref(about);
                return status;
            }
        }
        json_array_append_new(list, json_pack("{s:o, s:s, s:I, s:s, s:o}", "id", id, "object", "model", "created",
                                              (json_int_t)time(NULL), "owned_by", "weft", "weft", about));
    }
    return WEFT_OK;
}

const weft_server_model *weft_models_find(const weft_server *server, const char *id) {
    if (!id || !*id) return &server->options.models[0];
    for (int i = 0; i < server->options.model_count; i++)
        if (strcmp(server->options.models[i].id, id) == 0) return &server->options.models[i];
    return NULL;
}

enum MHD_Result weft_http_models(weft_server *server, struct MHD_Connection *connection, const char *id) {
    if (!id) return weft_http_json(connection, MHD_HTTP_OK, json_incref(server->models));
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(server->models, "data"), i,
                       item) if (strcmp(json_string_value(json_object_get(item, "id")), id) ==
                                 0) return weft_http_json(connection, MHD_HTTP_OK, json_incref(item));
    return weft_http_error(connection, 404, "invalid_request_error", "model_not_found",
                           "no such model is served here; GET /v1/models lists them");
}

enum MHD_Result weft_http_sample(weft_server *server, struct MHD_Connection *connection, const char *url) {
    const char *path = json_string_value(json_object_get(server->samples, url));
    weft_buffer bytes;
    if (!path || weft_read_file(path, SAMPLE_BYTES_MAX, &bytes, NULL) != WEFT_OK)
        return weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such sample");
    size_t size = bytes.size;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, weft_buffer_take(&bytes), MHD_RESPMEM_MUST_FREE);
    if (!response) return MHD_NO;
    const char *dot = strrchr(path, '.');
    bool jpeg = dot && (strcmp(dot, ".jpg") == 0 || strcmp(dot, ".jpeg") == 0), webp = dot && strcmp(dot, ".webp") == 0;
    MHD_add_response_header(response, "Content-Type", jpeg ? "image/jpeg" : webp ? "image/webp" : "image/png");
    MHD_add_response_header(response, "Cache-Control", "max-age=3600");
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}
