/* A filter for comparing templates with jinja2: reads one JSON object {"template", "context"} per line of standard
 * input, writes one {"ok", "output" | "error", "status"} per line. {"chat": ..., "messages": ..., "options": ...}
 * renders through the chat layer instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/chat.h"
#include "text/jinja.h"

static weft_status render_plain(json_t *line, weft_buffer *out, weft_error *err) {
    json_t *template = json_object_get(line, "template");
    weft_jinja *jinja;
    weft_status status =
        weft_jinja_compile(json_string_value(template), json_string_length(template), "template", &jinja, err);
    if (status != WEFT_OK) return status;
    status = weft_jinja_render(jinja, json_object_get(line, "context"), out, err);
    weft_jinja_free(jinja);
    return status;
}

static weft_status render_chat(json_t *line, weft_buffer *out, weft_error *err) {
    const json_t *options = json_object_get(line, "options");
    weft_chat_options chat_options = {
        .add_generation_prompt = json_is_true(json_object_get(options, "add_generation_prompt")),
        .add_vision_id = json_is_true(json_object_get(options, "add_vision_id")),
        .continue_final_message = json_is_true(json_object_get(options, "continue_final_message")),
        .tools = json_object_get(options, "tools"),
        .template_kwargs = json_object_get(options, "kwargs"),
    };
    weft_chat_template *chat;
    const char *source = json_string_value(json_object_get(line, "chat")); /* null: the built-in */
    weft_status status =
        weft_chat_template_create(source, "test", json_is_true(json_object_get(options, "thinking")), &chat, err);
    if (status != WEFT_OK) return status;
    status = weft_chat_render(chat, json_object_get(line, "messages"), &chat_options, out, NULL, err);
    weft_chat_template_free(chat);
    return status;
}

int main(void) {
    char *text = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&text, &capacity, stdin)) > 0) {
        json_t *line = json_loadb(text, (size_t)size, JSON_ALLOW_NUL, NULL), *answer;
        if (!line) {
            fprintf(stderr, "not a JSON line\n");
            return 1;
        }
        weft_error err = {0};
        weft_buffer out;
        weft_buffer_init(&out, 512u << 20, "output");
        weft_status status =
            json_object_get(line, "messages") ? render_chat(line, &out, &err) : render_plain(line, &out, &err);
        if (status == WEFT_OK)
            answer = json_pack("{s:b, s:s%}", "ok", 1, "output", out.data ? out.data : "", out.size);
        else
            answer = json_pack("{s:b, s:s, s:i}", "ok", 0, "error", err.message, "status", (int)status);
        char *dump = answer ? json_dumps(answer, 0) : NULL;
        if (!dump) {
            fprintf(stderr, "the answer is not JSON\n");
            return 1;
        }
        puts(dump);
        fflush(stdout);
        free(dump);
        json_decref(answer);
        json_decref(line);
        weft_buffer_free(&out);
    }
    free(text);
    return 0;
}
