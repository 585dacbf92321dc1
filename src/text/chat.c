/* OpenAI-style messages -> prompt text, by the checkpoint's chat template or the built-in one.
 *
 * Owns the compiled templates. The caller's JSON is never changed: what must be, is copied first (shallow: picture data
 * stays shared). Follows transformers' render_jinja_template (utils/chat_template_utils.py) for the variables a
 * template sees and for continue_final_message. Refuses: messages that are not objects, both continue_final_message and
 * add_generation_prompt. */
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "text/chat_builtin.h"

struct weft_chat_template {
    weft_jinja *own; /* the checkpoint's; NULL: the built-in is used */
    weft_jinja *builtin;
    weft_buffer warning;
    bool thinks;
};

static const char continue_tag[] = "CONTINUE_FINAL_MESSAGE_TAG ";

bool weft_chat_prompt_opens_reasoning(const char *prompt, size_t size) {
    static const char tag[] = "<think>";
    while (size && strchr(" \n\r\t", prompt[size - 1]) && prompt[size - 1]) size--;
    return size >= sizeof tag - 1 && memcmp(prompt + size - (sizeof tag - 1), tag, sizeof tag - 1) == 0;
}

/* Renders a one-word conversation and looks at how the prompt ends. A template that cannot do that opens nothing. */
static bool probe_thinks(const weft_chat_template *chat) {
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "hello");
    weft_chat_options options = {.add_generation_prompt = true};
    weft_buffer out;
    weft_buffer_init(&out, 1 << 20, "the probe prompt");
    bool thinks = messages && weft_chat_render(chat, messages, &options, &out, NULL, NULL) == WEFT_OK &&
                  weft_chat_prompt_opens_reasoning(out.data ? out.data : "", out.size);
    weft_buffer_free(&out);
    json_decref(messages);
    return thinks;
}

static weft_status create(weft_chat_template *chat, const char *source, const char *origin, bool thinking,
                          weft_error *err) {
    const char *builtin = thinking ? weft_chat_builtin_thinking : weft_chat_builtin_instruct;
    WEFT_TRY(weft_jinja_compile(builtin, strlen(builtin), "built-in chat template", &chat->builtin, err));
    if (!source)
        return weft_buffer_printf(&chat->warning, err,
                                  "%s has no chat template: the built-in Qwen3-VL %s template is used", origin,
                                  thinking ? "Thinking" : "Instruct");
    weft_error why;
    weft_status status = weft_jinja_compile(source, strlen(source), origin, &chat->own, &why);
    if (status == WEFT_ERR_MEMORY) return weft_fail(err, status, "%s", why.message);
    if (status == WEFT_OK) return WEFT_OK;
    return weft_buffer_printf(&chat->warning, err,
                              "the chat template cannot be used (%s): the built-in Qwen3-VL %s template is used",
                              why.message, thinking ? "Thinking" : "Instruct");
}

weft_status weft_chat_template_create(const char *source, const char *origin, bool thinking, weft_chat_template **out,
                                      weft_error *err) {
    *out = NULL;
    weft_chat_template *chat = calloc(1, sizeof *chat);
    if (!chat) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a chat template");
    weft_buffer_init(&chat->warning, 8 << 10, "the template warning");
    weft_status status = create(chat, source, origin ? origin : "the model", thinking, err);
    if (status != WEFT_OK) {
        weft_chat_template_free(chat);
        return status;
    }
    chat->thinks = probe_thinks(chat);
    *out = chat;
    return WEFT_OK;
}

void weft_chat_template_free(weft_chat_template *chat) {
    if (!chat) return;
    weft_jinja_free(chat->own);
    weft_jinja_free(chat->builtin);
    weft_buffer_free(&chat->warning);
    free(chat);
}

const char *weft_chat_template_warning(const weft_chat_template *chat) {
    return chat->warning.size ? chat->warning.data : NULL;
}
bool weft_chat_template_thinks(const weft_chat_template *chat) {
    return chat->thinks;
}

/* ---- messages ---- */

static weft_status out_of_memory(weft_error *err) {
    return weft_fail(err, WEFT_ERR_MEMORY, "no memory for the messages");
}

/* image_url: {"url": ...} -> image: ...; the same for videos. Other keys (max_pixels, ...) stay. */
static int rename_media(json_t *part, const char *from, const char *to) {
    json_t *value = json_object_get(part, from);
    json_t *url = json_is_object(value) ? json_object_get(value, "url") : NULL;
    if (url) value = url;
    int failed = json_object_set_new(part, "type", json_string(to));
    if (value && !json_object_get(part, to)) failed |= json_object_set(part, to, value);
    if (strcmp(from, to) != 0) json_object_del(part, from);
    return failed;
}

static json_t *normal_part(json_t *part) {
    if (!json_is_object(part)) return json_incref(part);
    const char *type = json_string_value(json_object_get(part, "type"));
    json_t *copy = json_copy(part);
    int failed = !copy;
    if (!failed && type) {
        if (!strcmp(type, "image_url") || !strcmp(type, "input_image"))
            failed = rename_media(copy, "image_url", "image");
        else if (!strcmp(type, "video_url") || !strcmp(type, "input_video"))
            failed = rename_media(copy, "video_url", "video");
        else if (!strcmp(type, "input_text") || !strcmp(type, "output_text"))
            failed = json_object_set_new(copy, "type", json_string("text"));
    }
    if (!failed) return copy;
    json_decref(copy);
    return NULL;
}

static json_t *normal_content(json_t *content) {
    if (!json_is_array(content)) return json_incref(content);
    json_t *out = json_array();
    size_t i;
    json_t *part;
    json_array_foreach(content, i, part) {
        if (json_array_append_new(out, normal_part(part))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* A call whose arguments are a string that holds a JSON object gets the object; another string stays. */
static json_t *normal_call(json_t *call) {
    json_t *function = json_object_get(call, "function"), *holder = json_is_object(function) ? function : call;
    json_t *text = json_object_get(holder, "arguments");
    json_t *arguments = json_is_string(text)
                            ? json_loadb(json_string_value(text), json_string_length(text), JSON_ALLOW_NUL, NULL)
                            : NULL;
    if (!json_is_object(arguments)) {
        json_decref(arguments);
        return json_incref(call);
    }
    json_t *copy = json_copy(call), *inner = holder == call ? json_incref(copy) : json_copy(holder);
    int failed = !copy || !inner || json_object_set(inner, "arguments", arguments) ||
                 (holder != call && json_object_set(copy, "function", inner));
    json_decref(arguments);
    json_decref(inner);
    if (!failed) return copy;
    json_decref(copy);
    return NULL;
}

static json_t *normal_calls(json_t *calls) {
    if (!json_is_array(calls)) return json_incref(calls);
    json_t *out = json_array();
    size_t i;
    json_t *call;
    json_array_foreach(calls, i, call) {
        if (json_array_append_new(out, normal_call(call))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* Reasoning under any of its names is found under the standard one, and under `thinking`. */
static int alias_reasoning(json_t *message) {
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *reasoning = NULL;
    for (int i = 0; i < 3 && !reasoning; i++) reasoning = json_object_get(message, names[i]);
    if (!reasoning) return 0;
    int failed = 0;
    if (!json_object_get(message, "thinking")) failed = json_object_set(message, "thinking", reasoning);
    return failed | json_object_set(message, "reasoning_content", reasoning);
}

/* Null members are dropped, as transformers' processors do: many templates take an absent key better than none. Null
 * content counts as empty. */
static int drop_nulls(json_t *message) {
    int failed = 0;
    if (json_is_null(json_object_get(message, "content")))
        failed = json_object_set_new(message, "content", json_string(""));
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(message, next, key, value) {
        if (json_is_null(value)) failed |= json_object_del(message, key);
    }
    return failed;
}

static json_t *normal_message(json_t *message) {
    json_t *copy = json_copy(message);
    if (!copy) return NULL;
    int failed = drop_nulls(copy);
    json_t *content = json_object_get(copy, "content"), *calls = json_object_get(copy, "tool_calls");
    if (content) failed |= json_object_set_new(copy, "content", normal_content(content));
    if (calls) failed |= json_object_set_new(copy, "tool_calls", normal_calls(calls));
    failed |= alias_reasoning(copy);
    if (!failed) return copy;
    json_decref(copy);
    return NULL;
}

static weft_status normal_messages(const json_t *messages, json_t **out, weft_error *err) {
    *out = NULL;
    if (!json_is_array(messages)) return weft_fail(err, WEFT_ERR_INVALID, "messages must be an array");
    if (json_array_size(messages) > WEFT_CHAT_MESSAGES_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%zu messages, the limit is %d", json_array_size(messages),
                         WEFT_CHAT_MESSAGES_MAX);
    json_t *list = json_array();
    if (!list) return out_of_memory(err);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *message = json_array_get(messages, i);
        bool is_object = json_is_object(message);
        if (is_object && json_array_append_new(list, normal_message(message)) == 0) continue;
        json_decref(list);
        return is_object ? out_of_memory(err) : weft_fail(err, WEFT_ERR_INVALID, "message %zu is not an object", i);
    }
    *out = list;
    return WEFT_OK;
}

/* ---- continue_final_message ---- */

static weft_status tag_text(json_t *holder, const char *key, weft_error *err) {
    json_t *text = json_object_get(holder, key);
    weft_buffer tagged;
    weft_buffer_init(&tagged, WEFT_CHAT_PROMPT_MAX, "the final message");
    weft_status status = weft_buffer_append(&tagged, json_string_value(text), json_string_length(text), err);
    if (status == WEFT_OK) status = weft_buffer_puts(&tagged, continue_tag, err);
    if (status == WEFT_OK && json_object_set_new(holder, key, json_stringn(tagged.data, tagged.size)))
        status = out_of_memory(err);
    weft_buffer_free(&tagged);
    return status;
}

/* Marks the end of the text to continue: the last text part, or the content itself. */
static weft_status tag_final_message(json_t *messages, weft_error *err) {
    size_t count = json_array_size(messages);
    json_t *message = count ? json_array_get(messages, count - 1) : NULL,
           *content = json_object_get(message, "content");
    if (json_is_string(content)) return tag_text(message, "content", err);
    for (size_t i = json_array_size(content); i-- > 0;) {
        json_t *part = json_array_get(content, i);
        if (json_is_string(json_object_get(part, "text"))) return tag_text(part, "text", err);
    }
    return weft_fail(err, WEFT_ERR_INVALID, "continue_final_message: the final message has no text to continue");
}

/* Cuts the prompt at the mark; when the template trimmed the mark's space, it trimmed the text too. */
static weft_status cut_at_tag(weft_buffer *out, size_t from, weft_error *err) {
    size_t size = sizeof continue_tag - 2; /* without its space */
    for (size_t at = out->size; at >= from + size; at--) {
        size_t start = at - size;
        if (memcmp(out->data + start, continue_tag, size) != 0) continue;
        bool kept_space = at < out->size && out->data[at] == ' ';
        while (!kept_space && start > from && strchr(" \n\r\t\f\v", out->data[start - 1]) && out->data[start - 1])
            start--;
        out->size = start;
        out->data[start] = 0;
        return WEFT_OK;
    }
    return weft_fail(err, WEFT_ERR_INVALID,
                     "continue_final_message: the chat template does not show the final message whole");
}

/* ---- rendering ---- */

/* Adds the members of an object (or NULL), over what is there; the messages stay ours. */
static int add_variables(json_t *context, const json_t *variables) {
    int failed = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)variables, key, value) {
        if (strcmp(key, "messages") != 0) failed |= json_object_set(context, key, value);
    }
    return failed;
}

static json_t *make_context(json_t *messages, const weft_chat_options *options) {
    json_t *context = json_object();
    json_t *tools = options->tools ? (json_t *)options->tools : json_null();
    int failed = json_object_set(context, "messages", messages) || json_object_set(context, "tools", tools) ||
                 json_object_set_new(context, "documents", json_null()) ||
                 json_object_set_new(context, "add_generation_prompt", json_boolean(options->add_generation_prompt));
    if (options->add_vision_id) failed |= json_object_set_new(context, "add_vision_id", json_true());
    failed |= add_variables(context, options->special_tokens) | add_variables(context, options->template_kwargs);
    if (!failed) return context;
    json_decref(context);
    return NULL;
}

/* Faults of the template itself, which the built-in may not have; not the template's refusal, not spent limits. */
static bool may_fall_back(weft_status status) {
    return status == WEFT_ERR_FORMAT || status == WEFT_ERR_UNSUPPORTED || status == WEFT_ERR_INTERNAL;
}

static weft_status render(const weft_chat_template *chat, const json_t *context, weft_buffer *out, weft_buffer *warning,
                          weft_error *err) {
    if (!chat->own) return weft_jinja_render(chat->builtin, context, out, err);
    weft_error why;
    weft_status status = weft_jinja_render(chat->own, context, out, &why);
    if (status == WEFT_OK) return WEFT_OK;
    if (!may_fall_back(status) || weft_jinja_render(chat->builtin, context, out, NULL) != WEFT_OK)
        return weft_fail(err, status, "%s", why.message);
    if (!warning) return WEFT_OK;
    return weft_buffer_printf(warning, err, "the chat template failed (%s): the built-in Qwen3-VL template is used",
                              why.message);
}

weft_status weft_chat_render(const weft_chat_template *chat, const json_t *messages, const weft_chat_options *options,
                             weft_buffer *out, weft_buffer *warning, weft_error *err) {
    if (options->continue_final_message && options->add_generation_prompt)
        return weft_fail(err, WEFT_ERR_INVALID,
                         "continue_final_message and add_generation_prompt exclude each other: one continues the last "
                         "message, the other begins a new one");
    json_t *copy;
    WEFT_TRY(normal_messages(messages, &copy, err));
    size_t from = out->size;
    weft_status status = options->continue_final_message ? tag_final_message(copy, err) : WEFT_OK;
    json_t *context = NULL;
    if (status == WEFT_OK && !(context = make_context(copy, options))) status = out_of_memory(err);
    if (status == WEFT_OK) status = render(chat, context, out, warning, err);
    if (status == WEFT_OK && options->continue_final_message) status = cut_at_tag(out, from, err);
    json_decref(context);
    json_decref(copy);
    if (status != WEFT_OK && out->data) {
        out->size = from;
        out->data[from] = 0;
    }
    return status;
}
