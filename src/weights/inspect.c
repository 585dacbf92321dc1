/* `weft inspect`: what a checkpoint's files hold, as a JSON object or as a table for people.
 *
 * The report is built once as JSON; the table is a rendering of it. Shows as much of a broken checkpoint as could be
 * read, with the reason why it does not open. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/checkpoint_internal.h"

enum { REPORT_MAX = 4 << 20, TYPES_MAX = 64 };

/* ---- the report ---- */

/* Strings that came from file names may be no UTF-8: then a placeholder, as JSON has no other way. */
static json_t *text_json(const char *text) {
    json_t *value = text ? json_string(text) : json_null();
    return value ? value : json_string("(not UTF-8)");
}

static json_t *int_json(uint64_t value) {
    return json_integer((json_int_t)value);
}

static json_t *files_json(const weft_checkpoint *ck) {
    json_t *list = json_array();
    uint64_t bytes;
    const char *path;
    for (int i = 0; (path = weft_checkpoint_file(ck, i, &bytes)); i++) {
        json_t *file = json_object();
        json_object_set_new(file, "path", text_json(path));
        json_object_set_new(file, "bytes", int_json(bytes));
        json_array_append_new(list, file);
    }
    return list;
}

/* {"Q4_K": {"tensors": n, "bytes": b}, …} over all tables. */
static json_t *types_json(const weft_checkpoint *ck) {
    json_t *types = json_object();
    const weft_tensor_table *table;
    for (int i = 0; (table = weft_checkpoint_table(ck, i)); i++)
        for (int64_t j = 0; j < table->count; j++) {
            const weft_tensor *t = &table->tensors[j];
            json_t *entry = json_object_get(types, t->type_name);
            if (!entry) {
                entry = json_object();
                json_object_set_new(entry, "supported", json_boolean(t->type != WEFT_TYPE_COUNT));
                json_object_set_new(types, t->type_name, entry);
            }
            json_int_t tensors = json_integer_value(json_object_get(entry, "tensors"));
            json_int_t bytes = json_integer_value(json_object_get(entry, "bytes"));
            json_object_set_new(entry, "tensors", json_integer(tensors + 1));
            json_object_set_new(entry, "bytes", json_integer(bytes + (json_int_t)t->bytes));
        }
    return types;
}

static json_t *rope_json(const weft_rope_config *r) {
    static const char *const layouts[] = {"standard", "chunked", "interleaved"}, *const scalings[] = {"none", "linear",
                                                                                                      "dynamic",
                                                                                                      "yarn"};
    json_t *rope = json_object();
    json_object_set_new(rope, "theta", json_real(r->theta));
    json_object_set_new(rope, "layout", json_string(layouts[r->layout]));
    json_object_set_new(rope, "section", json_pack("[i,i,i]", r->section[0], r->section[1], r->section[2]));
    json_object_set_new(rope, "scaling", json_string(scalings[r->scaling]));
    if (r->scaling != WEFT_ROPE_DEFAULT) json_object_set_new(rope, "factor", json_real(r->factor));
    if (r->scaling == WEFT_ROPE_YARN)
        json_object_set_new(rope, "original_context", json_real(r->original_max_position));
    return rope;
}

static json_t *text_config_json(const weft_config *config) {
    const weft_text_config *t = &config->text;
    json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "hidden", (json_int_t)t->hidden_size, "layers",
                          (json_int_t)t->layers, "heads", (json_int_t)t->heads, "kv_heads", (json_int_t)t->kv_heads,
                          "head_dim", (json_int_t)t->head_dim, "ffn", (json_int_t)t->intermediate_size, "vocabulary",
                          (json_int_t)t->vocab_size, "tied_embeddings", (int)t->tied_embeddings);
    json_object_set_new(o, "context", int_json((uint64_t)weft_config_context_length(config)));
    json_object_set_new(o, "rope", rope_json(&t->rope));
    if (t->experts == 0) return o;
    json_int_t layers = 0;
    for (int64_t i = 0; i < t->layers; i++) layers += weft_config_layer_is_moe(t, i);
    json_object_set_new(o, "experts",
                        json_pack("{s:I,s:I,s:I,s:I}", "count", (json_int_t)t->experts, "per_token",
                                  (json_int_t)t->experts_per_token, "ffn", (json_int_t)t->moe_intermediate_size,
                                  "layers", layers));
    return o;
}

static json_t *pixels_json(const weft_pixels_config *p) {
    return json_pack("{s:I,s:I}", "min_pixels", (json_int_t)p->min_pixels, "max_pixels", (json_int_t)p->max_pixels);
}

static json_t *vision_json(const weft_config *config) {
    const weft_vision_config *v = &config->vision;
    if (!v->present) return json_null();
    json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "hidden", (json_int_t)v->hidden_size, "layers",
                          (json_int_t)v->layers, "heads", (json_int_t)v->heads, "ffn", (json_int_t)v->intermediate_size,
                          "patch", (json_int_t)v->patch_size, "merge", (json_int_t)v->merge_size, "position_side",
                          (json_int_t)v->position_side);
    json_t *taps = json_array();
    for (int i = 0; i < v->deepstack_count; i++) json_array_append_new(taps, json_integer(v->deepstack_layers[i]));
    json_object_set_new(o, "deepstack_layers", taps);
    json_object_set_new(o, "image", pixels_json(&config->image));
    json_t *video = pixels_json(&config->video);
    json_object_set_new(video, "fps", json_real(config->video.fps));
    json_object_set_new(video, "max_frames", int_json((uint64_t)config->video.max_frames));
    json_object_set_new(o, "video", video);
    return o;
}

static json_t *generation_json(const weft_generation_config *g) {
    json_t *o = json_object();
    if (g->has_do_sample) json_object_set_new(o, "do_sample", json_boolean(g->do_sample));
    if (g->has_temperature) json_object_set_new(o, "temperature", json_real(g->temperature));
    if (g->has_top_p) json_object_set_new(o, "top_p", json_real(g->top_p));
    if (g->has_top_k) json_object_set_new(o, "top_k", json_integer((json_int_t)g->top_k));
    if (g->has_min_p) json_object_set_new(o, "min_p", json_real(g->min_p));
    if (g->has_repetition_penalty) json_object_set_new(o, "repetition_penalty", json_real(g->repetition_penalty));
    if (g->has_presence_penalty) json_object_set_new(o, "presence_penalty", json_real(g->presence_penalty));
    json_t *eos = json_array();
    for (int i = 0; i < g->eos_count; i++) json_array_append_new(eos, json_integer((json_int_t)g->eos[i]));
    json_object_set_new(o, "eos", eos);
    return o;
}

static json_t *build_report(const weft_checkpoint *ck, weft_status status, const weft_error *err) {
    json_t *o = json_object();
    const weft_text_sources *s = &ck->sources;
    json_object_set_new(o, "opens", json_boolean(status == WEFT_OK));
    if (status != WEFT_OK) json_object_set_new(o, "error", text_json(err->message));
    json_object_set_new(o, "format",
                        ck->safetensors ? json_string("safetensors")
                        : ck->gguf      ? json_string("gguf")
                                        : json_null());
    if (ck->config_read) {
        json_object_set_new(o, "name", text_json(ck->config.name));
        json_object_set_new(o, "architecture", text_json(ck->config.architecture));
    }
    json_object_set_new(o, "files", files_json(ck));
    json_object_set_new(o, "file_bytes", int_json(weft_checkpoint_file_bytes(ck)));
    json_object_set_new(o, "parameters", int_json(weft_checkpoint_parameters(ck)));
    json_object_set_new(o, "types", types_json(ck));
    if (ck->config_read) {
        json_object_set_new(o, "text", text_config_json(&ck->config));
        json_object_set_new(o, "vision", vision_json(&ck->config));
        json_object_set_new(o, "generation", generation_json(&ck->config.generation));
        bool tokenizer = s->tokenizer_json || (s->gguf && weft_gguf_has(s->gguf, "tokenizer.ggml.tokens"));
        json_object_set_new(o, "tokenizer", json_boolean(tokenizer));
        json_object_set_new(o, "chat_template", text_json(s->chat_template ? s->chat_template_origin : NULL));
    }
    json_t *warnings = json_array();
    for (int i = 0; i < ck->warning_count; i++) json_array_append_new(warnings, text_json(ck->warnings[i]));
    json_object_set_new(o, "warnings", warnings);
    return o;
}

/* ---- the table ---- */

static const char *word(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "none";
}

static long long whole(const json_t *o, const char *key) {
    return (long long)json_integer_value(json_object_get(o, key));
}

/* "4.02 GB" and the like, powers of 1000 as for parameters. */
static const char *human(double value, const char *unit, char out[32]) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    int i = 0;
    for (; value >= 999.5 && i < 4; i++) value /= 1000;
    snprintf(out, 32, i ? "%.3g %s%s" : "%.0f %s%s", value, prefixes[i], unit);
    return out;
}

static weft_status print_files(const json_t *o, weft_buffer *out, weft_error *err) {
    char size[32];
    size_t i;
    const json_t *file, *types = json_object_get(o, "types");
    json_array_foreach(json_object_get(o, "files"), i, file)
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s (%s)\n", i ? "" : "files", word(file, "path"),
                                    human((double)whole(file, "bytes"), "B", size)));
    if (json_array_size(json_object_get(o, "files")) == 0) return WEFT_OK;
    WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s\n", "parameters", human((double)whole(o, "parameters"), "", size)));
    const char *name;
    json_t *type;
    bool first = true;
    json_object_foreach((json_t *)types, name, type) {
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%-8s %6lld tensors  %s%s\n", first ? "types" : "", name,
                                    whole(type, "tensors"), human((double)whole(type, "bytes"), "B", size),
                                    json_is_true(json_object_get(type, "supported")) ? "" : "  (not supported)"));
        first = false;
    }
    return WEFT_OK;
}

static weft_status print_text(const json_t *t, weft_buffer *out, weft_error *err) {
    const json_t *rope = json_object_get(t, "rope"), *experts = json_object_get(t, "experts"),
                 *section = json_object_get(rope, "section");
    WEFT_TRY(weft_buffer_printf(out, err, "%-14s%lld layers, hidden %lld, %lld heads of %lld (%lld kv), FFN %lld\n",
                                "decoder", whole(t, "layers"), whole(t, "hidden"), whole(t, "heads"),
                                whole(t, "head_dim"), whole(t, "kv_heads"), whole(t, "ffn")));
    if (experts)
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%lld, %lld per token, FFN %lld, in %lld layers\n", "experts",
                                    whole(experts, "count"), whole(experts, "per_token"), whole(experts, "ffn"),
                                    whole(experts, "layers")));
    WEFT_TRY(weft_buffer_printf(out, err, "%-14s%lld rows, head %s\n", "vocabulary", whole(t, "vocabulary"),
                                json_is_true(json_object_get(t, "tied_embeddings")) ? "tied to the embeddings"
                                                                                    : "of its own"));
    WEFT_TRY(weft_buffer_printf(out, err, "%-14s%lld positions\n", "context", whole(t, "context")));
    WEFT_TRY(weft_buffer_printf(out, err, "%-14stheta %.10g, %s", "rope",
                                json_number_value(json_object_get(rope, "theta")), word(rope, "layout")));
    for (size_t i = 0; i < 3; i++)
        WEFT_TRY(weft_buffer_printf(out, err, "%s%lld", i ? "/" : " ",
                                    (long long)json_integer_value(json_array_get(section, i))));
    if (json_object_get(rope, "factor"))
        WEFT_TRY(weft_buffer_printf(out, err, ", %s x%g", word(rope, "scaling"),
                                    json_number_value(json_object_get(rope, "factor"))));
    if (json_object_get(rope, "original_context"))
        WEFT_TRY(
            weft_buffer_printf(out, err, " from %.0f", json_number_value(json_object_get(rope, "original_context"))));
    return weft_buffer_puts(out, "\n", err);
}

static weft_status print_vision(const json_t *v, weft_buffer *out, weft_error *err) {
    if (!json_is_object(v)) return weft_buffer_printf(out, err, "%-14s%s\n", "vision", "none: text only");
    const json_t *image = json_object_get(v, "image"), *video = json_object_get(v, "video"),
                 *taps = json_object_get(v, "deepstack_layers");
    WEFT_TRY(weft_buffer_printf(
        out, err, "%-14s%lld layers, hidden %lld, %lld heads, FFN %lld, patch %lld, merge %lld, positions %lldx%lld\n",
        "vision", whole(v, "layers"), whole(v, "hidden"), whole(v, "heads"), whole(v, "ffn"), whole(v, "patch"),
        whole(v, "merge"), whole(v, "position_side"), whole(v, "position_side")));
    WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s", "deepstack", json_array_size(taps) ? "after layers" : "none"));
    for (size_t i = 0; i < json_array_size(taps); i++)
        WEFT_TRY(weft_buffer_printf(out, err, " %lld", (long long)json_integer_value(json_array_get(taps, i))));
    WEFT_TRY(weft_buffer_printf(out, err, "\n%-14s%lld to %lld pixels\n", "images", whole(image, "min_pixels"),
                                whole(image, "max_pixels")));
    return weft_buffer_printf(out, err, "%-14s%lld to %lld pixels a clip, %g frames a second, at most %lld frames\n",
                              "videos", whole(video, "min_pixels"), whole(video, "max_pixels"),
                              json_number_value(json_object_get(video, "fps")), whole(video, "max_frames"));
}

static weft_status print_generation(const json_t *g, weft_buffer *out, weft_error *err) {
    const char *key;
    json_t *value;
    WEFT_TRY(weft_buffer_printf(out, err, "%-13s", "generation"));
    json_object_foreach((json_t *)g, key, value) {
        if (json_is_array(value)) {
            WEFT_TRY(weft_buffer_printf(out, err, " end"));
            for (size_t i = 0; i < json_array_size(value); i++)
                WEFT_TRY(
                    weft_buffer_printf(out, err, " %lld", (long long)json_integer_value(json_array_get(value, i))));
            if (json_array_size(value) == 0) WEFT_TRY(weft_buffer_puts(out, " not stated", err));
        } else if (json_is_boolean(value)) {
            WEFT_TRY(weft_buffer_printf(out, err, " %s %s,", key, json_is_true(value) ? "yes" : "no"));
        } else {
            WEFT_TRY(weft_buffer_printf(out, err, " %s %g,", key, json_number_value(value)));
        }
    }
    return weft_buffer_puts(out, "\n", err);
}

static weft_status print_report(const json_t *o, weft_buffer *out, weft_error *err) {
    const json_t *text = json_object_get(o, "text"), *warning;
    size_t i;
    if (text)
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s\n%-14s%s (%s)\n", "model", word(o, "name"), "architecture",
                                    word(o, "architecture"), word(o, "format")));
    WEFT_TRY(print_files(o, out, err));
    if (text) {
        WEFT_TRY(print_text(text, out, err));
        WEFT_TRY(print_vision(json_object_get(o, "vision"), out, err));
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s\n", "tokenizer",
                                    json_is_true(json_object_get(o, "tokenizer")) ? "present" : "missing"));
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s\n", "template", word(o, "chat_template")));
        WEFT_TRY(print_generation(json_object_get(o, "generation"), out, err));
    }
    json_array_foreach(json_object_get(o, "warnings"), i, warning)
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s\n", "note", json_string_value(warning)));
    if (json_object_get(o, "error"))
        WEFT_TRY(weft_buffer_printf(out, err, "%-14s%s\n", "does not open", word(o, "error")));
    return WEFT_OK;
}

/* ---- entry ---- */

weft_status weft_checkpoint_inspect(const char *path, const char *mmproj, bool json, weft_buffer *out,
                                    weft_error *err) {
    weft_error reason = {0}, fault = {0};
    weft_buffer_init(out, REPORT_MAX, "the inspection report");
    weft_checkpoint *ck = weft_checkpoint_create(err);
    if (!ck) return WEFT_ERR_MEMORY;
    weft_status status = weft_checkpoint_load(ck, path, mmproj, &reason);
    json_t *report = build_report(ck, status, &reason);
    weft_status written;
    if (json) {
        char *text = json_dumps(report, JSON_INDENT(2));
        written =
            text ? weft_buffer_puts(out, text, &fault) : weft_fail(&fault, WEFT_ERR_MEMORY, "no memory for the report");
        if (written == WEFT_OK) written = weft_buffer_puts(out, "\n", &fault);
        free(text);
    } else {
        written = print_report(report, out, &fault);
    }
    json_decref(report);
    weft_checkpoint_close(ck);
    if (err && status != WEFT_OK)
        *err = reason;
    else if (err && written != WEFT_OK)
        *err = fault;
    return status != WEFT_OK ? status : written;
}
