/* From OpenAI-style messages to the prompt string, and from the model's output back to reasoning, text and tool calls.
 */
#ifndef WEFT_TEXT_CHAT_H
#define WEFT_TEXT_CHAT_H

#include <stdbool.h>

#include "text/jinja.h"

typedef struct weft_chat_template weft_chat_template;

/* Compiles a checkpoint's template; with `source` NULL, or when it does not compile, the built-in Qwen3-VL template is
 * used and *warning (static or owned by the template; NULL when all is well) says so. `thinking`: which built-in. */
weft_status weft_chat_template_create(const char *source, const char *origin, bool thinking, weft_chat_template **out,
                                      weft_error *err);
void weft_chat_template_free(weft_chat_template *chat); /* NULL is allowed */
/* True when a rendered prompt ends inside an open <think>: what the output parser's begins_in_reasoning should be for
 * that request (chat_template_kwargs may change it). */
bool weft_chat_prompt_opens_reasoning(const char *prompt, size_t size);
const char *weft_chat_template_warning(const weft_chat_template *chat);
/* True when the generation prompt opens <think> (Thinking checkpoints): the output then begins inside reasoning. */
bool weft_chat_template_thinks(const weft_chat_template *chat);

typedef struct weft_chat_options {
    bool add_generation_prompt;
    bool add_vision_id;
    bool continue_final_message;
    const json_t *tools;           /* OpenAI tools array or NULL */
    const json_t *template_kwargs; /* chat_template_kwargs object or NULL; wins over everything but the messages */
    const json_t *special_tokens;  /* {"bos_token": "…", "eos_token": …} of the tokenizer, or NULL: variables too */
} weft_chat_options;

enum {
    WEFT_CHAT_MESSAGES_MAX = 100000,
    WEFT_CHAT_PROMPT_MAX = WEFT_JINJA_OUTPUT_MAX,
    WEFT_OUTPUT_CALL_MAX = 4 << 20, /* bytes of one tool call in the output */
};

/* Appends the prompt. `messages`: OpenAI messages; parts image_url/input_image/image -> image, video_url/video ->
 * video, text/input_text -> text are translated before the template sees them (a copy; the caller's JSON is not
 * changed). tool_calls whose `arguments` are a JSON string are parsed to objects as transformers users do; null content
 * becomes "", other null members are dropped; reasoning is known as reasoning_content, thinking or reasoning, as in
 * transformers. When the checkpoint's template fails while rendering (not by raise_exception), falls back to the
 * built-in with a warning in *warning (appended text, may be NULL). */
weft_status weft_chat_render(const weft_chat_template *chat, const json_t *messages, const weft_chat_options *options,
                             weft_buffer *out, weft_buffer *warning, weft_error *err);

/* Splits a stream of output text into reasoning, content and tool calls, incrementally: nothing that may still become a
 * tag (</think>, <tool_call>) is emitted before it is decided. */
typedef enum weft_output_kind { WEFT_OUTPUT_REASONING, WEFT_OUTPUT_CONTENT, WEFT_OUTPUT_TOOL_CALL } weft_output_kind;
typedef weft_status weft_output_sink(void *context, weft_output_kind kind, const char *text, size_t size,
                                     weft_error *err);
typedef struct weft_output_parser weft_output_parser;
/* `tools`: look for <tool_call>. A <think> at the very start opens reasoning even when `begins_in_reasoning` is false.
 * Newlines around reasoning, before content that follows it, and around tool calls are dropped.
 * For TOOL_CALL the sink receives one whole call as JSON text {"name": …, "arguments": {…}}, validated; a malformed
 * call is passed on as CONTENT, verbatim. */
weft_status weft_output_parser_create(bool begins_in_reasoning, bool tools, weft_output_sink *sink, void *context,
                                      weft_output_parser **out, weft_error *err);
weft_status weft_output_parser_push(weft_output_parser *parser, const char *text, size_t size, weft_error *err);
weft_status weft_output_parser_finish(weft_output_parser *parser, weft_error *err);
void weft_output_parser_free(weft_output_parser *parser);

#endif
