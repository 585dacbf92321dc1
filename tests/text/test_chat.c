/* Chat templates: the built-in ones against what the published ones render (tests/golden/chat.json, made by
 * lab/chat_goldens.py), translation of messages, warnings, detection of reasoning. */
#include <stdbool.h>

#include "testing.h"
#include "text/chat.h"

static void render_case(const weft_chat_template *chat, json_t *entry, size_t number) {
    json_t *options = json_object_get(entry, "options");
    weft_chat_options chat_options = {
        .add_generation_prompt = json_is_true(json_object_get(options, "add_generation_prompt")),
        .add_vision_id = json_is_true(json_object_get(options, "add_vision_id")),
        .continue_final_message = json_is_true(json_object_get(options, "continue_final_message")),
        .tools = json_object_get(options, "tools"),
    };
    json_t *messages = json_object_get(entry, "messages"), *before = json_deep_copy(messages);
    weft_buffer out;
    weft_buffer_init(&out, 1 << 20, "prompt");
    weft_error err = {0};
    CHECK_OK(weft_chat_render(chat, messages, &chat_options, &out, NULL, &err), err);
    const char *want = json_string_value(json_object_get(entry, "prompt"));
    CHECK_MSG(out.data && strcmp(out.data, want) == 0, "case %zu: got \"%s\"", number, out.data ? out.data : "");
    CHECK(json_equal(messages, before)); /* the caller's JSON is left alone */
    json_decref(before);
    weft_buffer_free(&out);
}

static void test_published_prompts(void) {
    json_t *cases = json_load_file(WEFT_TEST_DATA "/chat.json", 0, NULL);
    CHECK(json_array_size(cases) >= 200);
    weft_chat_template *chat[2];
    weft_error err;
    for (int thinking = 0; thinking < 2; thinking++)
        CHECK_OK(weft_chat_template_create(NULL, "model", thinking, &chat[thinking], &err), err);
    size_t i;
    json_t *entry;
    json_array_foreach(cases, i, entry) {
        bool thinking = json_is_true(json_object_get(json_object_get(entry, "options"), "thinking"));
        render_case(chat[thinking], entry, i);
    }
    weft_chat_template_free(chat[0]);
    weft_chat_template_free(chat[1]);
    json_decref(cases);
}

static weft_chat_template *create(const char *source, bool thinking) {
    weft_chat_template *chat = NULL;
    weft_error err;
    CHECK_OK(weft_chat_template_create(source, "model.gguf", thinking, &chat, &err), err);
    return chat;
}

static void test_choice_and_warnings(void) {
    weft_chat_template *chat = create(NULL, false);
    CHECK(weft_chat_template_warning(chat) &&
          strstr(weft_chat_template_warning(chat), "model.gguf has no chat template"));
    CHECK(!weft_chat_template_thinks(chat));
    weft_chat_template_free(chat);

    chat = create(NULL, true);
    CHECK(weft_chat_template_thinks(chat));
    weft_chat_template_free(chat);

    chat = create("{% broken", false);
    CHECK(weft_chat_template_warning(chat) && strstr(weft_chat_template_warning(chat), "line 1"));
    weft_chat_template_free(chat);

    chat = create("{{ messages[0].content }}{% if add_generation_prompt %}<think>{% endif %}", false);
    CHECK(weft_chat_template_warning(chat) == NULL);
    CHECK(weft_chat_template_thinks(chat));
    weft_chat_template_free(chat);

    /* opened and closed again, as hybrid models do when thinking is off */
    chat = create("{{ messages[0].content }}<think>\n\n</think>\n\n", false);
    CHECK(!weft_chat_template_thinks(chat));
    weft_chat_template_free(chat);
    CHECK(weft_chat_prompt_opens_reasoning("a<think>\n", 9));
    CHECK(!weft_chat_prompt_opens_reasoning("<think>a", 8));
    CHECK(!weft_chat_prompt_opens_reasoning("", 0));
}

/* Renders with one's own template; returns the status. */
static weft_status render_with(const char *source, const char *messages_text, const weft_chat_options *options,
                               weft_buffer *out, weft_buffer *warning, weft_error *err) {
    weft_chat_template *chat = create(source, false);
    json_t *messages = json_loads(messages_text, 0, NULL);
    weft_status status = weft_chat_render(chat, messages, options, out, warning, err);
    json_decref(messages);
    weft_chat_template_free(chat);
    return status;
}

static void expect(const char *source, const char *messages, const weft_chat_options *options, const char *want) {
    weft_buffer out;
    weft_error err = {0};
    weft_buffer_init(&out, 1 << 20, "prompt");
    CHECK_OK(render_with(source, messages, options, &out, NULL, &err), err);
    CHECK_STR(out.data ? out.data : "", want);
    weft_buffer_free(&out);
}

static void test_what_templates_see(void) {
    weft_chat_options options = {0};
    expect("{% for p in messages[0].content %}{{ p.type }}={{ p.image or p.video or p.text }};{% endfor %}",
           "[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {\"url\": \"u\"}}, {\"type\": "
           "\"input_image\", "
           "\"image_url\": \"v\"}, {\"type\": \"video_url\", \"video_url\": {\"url\": \"w\"}}, {\"type\": "
           "\"input_text\", \"text\": \"t\"}]}]",
           &options, "image=u;image=v;video=w;text=t;");
    expect("{{ messages[0].tool_calls[0].function.arguments.a + 1 }}",
           "[{\"role\": \"assistant\", \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"a\\\": "
           "1}\"}}]}]",
           &options, "2");
    expect("{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}|{{ messages[0].content }}",
           "[{\"role\": \"assistant\", \"reasoning\": \"why\", \"content\": null}]", &options, "why|why|");
    expect("{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ add_vision_id is defined }}",
           "[{\"role\": \"user\"}]", &options, "True True False False");
    expect("{{ messages[0].keys() | list }}", "[{\"role\": \"assistant\", \"content\": null, \"tool_calls\": null}]",
           &options, "['role', 'content']");
    json_t *special = json_pack("{s:s, s:s}", "bos_token", "<bos>", "eos_token", "<eos>");
    options.special_tokens = special;
    expect("{{ bos_token ~ eos_token }}", "[{\"role\": \"user\"}]", &options, "<bos><eos>");
    json_t *kwargs = json_pack("{s:b, s:s, s:s}", "enable_thinking", 0, "messages", "stolen", "bos_token", "<s>");
    options.template_kwargs = kwargs;
    expect("{{ bos_token }}{{ enable_thinking }}{{ messages|length }}", "[{\"role\": \"user\"}]", &options,
           "<s>False1");
    json_decref(kwargs);
}

static void test_refusals_and_fallback(void) {
    weft_chat_options options = {.add_generation_prompt = true};
    const char *messages = "[{\"role\": \"user\", \"content\": \"hi\"}]";
    weft_buffer out, warning;
    weft_error err = {0};
    weft_buffer_init(&out, 1 << 20, "prompt");
    weft_buffer_init(&warning, 1 << 12, "warning");
    CHECK_OK(render_with("{{ messages[0].a.b }}", messages, &options, &out, &warning, &err), err);
    CHECK_STR(out.data, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    CHECK(warning.data && strstr(warning.data, "built-in"));
    weft_buffer_clear(&out);
    CHECK_INT(render_with("x{{ raise_exception('no system') }}", messages, &options, &out, &warning, &err),
              WEFT_ERR_INVALID);
    CHECK_STR(err.message, "no system");
    CHECK_INT(out.size, 0);
    options.continue_final_message = true;
    CHECK_INT(render_with(NULL, messages, &options, &out, NULL, &err), WEFT_ERR_INVALID);
    options.add_generation_prompt = false;
    CHECK_INT(render_with(NULL, "[{\"role\": \"user\", \"content\": []}]", &options, &out, NULL, &err),
              WEFT_ERR_INVALID);
    CHECK_INT(render_with("nothing", messages, &options, &out, NULL, &err), WEFT_ERR_INVALID);
    options.continue_final_message = false;
    CHECK_INT(render_with(NULL, "[5]", &options, &out, NULL, &err), WEFT_ERR_INVALID);
    CHECK_INT(render_with(NULL, "{}", &options, &out, NULL, &err), WEFT_ERR_INVALID);
    weft_buffer_free(&out);
    weft_buffer_free(&warning);
}

int main(void) {
    test_published_prompts();
    test_choice_and_warnings();
    test_what_templates_see();
    test_refusals_and_fallback();
    return testing_summary();
}
