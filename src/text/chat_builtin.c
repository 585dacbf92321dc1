/* The built-in Qwen3-VL chat templates: Jinja sources, constant. See chat_builtin.h.
 *
 * Both: ChatML turns; pictures and videos as one pad between vision marks, numbered with add_vision_id; tools as JSON
 * lines in the system turn; tool results in one user turn. Instruct shows the first system message only and plain text
 * of assistants. Thinking shows all system messages, opens <think> for the answer, and keeps the reasoning of earlier
 * answers only after the last real question (a user turn that is not itself a tool result). */
#include "text/chat_builtin.h"

/* body(content, media, count): the text of a message. media: pictures and videos leave their marks; count: what one of
 * them adds to the numbering. */
#define BODY                                                                                                           \
    "{%- set seen = namespace(pictures=0, videos=0) -%}\n"                                                             \
    "{%- macro body(content, media, count) -%}\n"                                                                      \
    "  {%- if content is string -%}{{ content }}\n"                                                                    \
    "  {%- else -%}\n"                                                                                                 \
    "    {%- for part in content -%}\n"                                                                                \
    "      {%- if media and (part.type == 'image' or 'image' in part or 'image_url' in part) -%}\n"                    \
    "        {%- set seen.pictures = seen.pictures + count -%}\n"                                                      \
    "        {{- 'Picture ' ~ seen.pictures ~ ': ' if add_vision_id else '' -}}\n"                                     \
    "        {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}\n"                                                  \
    "      {%- elif media and (part.type == 'video' or 'video' in part) -%}\n"                                         \
    "        {%- set seen.videos = seen.videos + count -%}\n"                                                          \
    "        {{- 'Video ' ~ seen.videos ~ ': ' if add_vision_id else '' -}}\n"                                         \
    "        {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}\n"                                                  \
    "      {%- elif 'text' in part -%}\n"                                                                              \
    "        {{- part.text -}}\n"                                                                                      \
    "      {%- endif -%}\n"                                                                                            \
    "    {%- endfor -%}\n"                                                                                             \
    "  {%- endif -%}\n"                                                                                                \
    "{%- endmacro -%}\n"

/* system(media): the system turn, with the tools when there are any. The wording is part of how the model was trained.
 */
#define SYSTEM                                                                                                         \
    "{%- macro system(media) -%}\n"                                                                                    \
    "  {%- set first = messages[0] -%}\n"                                                                              \
    "  {%- if tools -%}\n"                                                                                             \
    "    {{- '<|im_start|>system\\n' -}}\n"                                                                            \
    "    {{- body(first.content, media, 0) ~ '\\n\\n' if first.role == 'system' else '' -}}\n"                         \
    "    {{- '# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n'\n"                 \
    "        'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' -}}\n"             \
    "    {%- for tool in tools -%}{{ '\\n' ~ tool | tojson }}{%- endfor -%}\n"                                         \
    "    {{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within "  \
    "'\n"                                                                                                              \
    "        '<tool_call></tool_call> XML tags:\\n<tool_call>\\n'\n"                                                   \
    "        '{\"name\": <function-name>, \"arguments\": <args-json-object>}\\n</tool_call><|im_end|>\\n' -}}\n"       \
    "  {%- elif first.role == 'system' -%}\n"                                                                          \
    "    {{- '<|im_start|>system\\n' ~ body(first.content, media, 0) ~ '<|im_end|>\\n' -}}\n"                          \
    "  {%- endif -%}\n"                                                                                                \
    "{%- endmacro -%}\n"

/* calls(list, after_text): the tool calls of an answer. */
#define CALLS                                                                                                          \
    "{%- macro calls(list, after_text) -%}\n"                                                                          \
    "  {%- for call in list or [] -%}\n"                                                                               \
    "    {%- set f = call.function or call -%}\n"                                                                      \
    "    {{- '\\n' if after_text or not loop.first else '' -}}\n"                                                      \
    "    {{- '<tool_call>\\n{\"name\": \"' ~ f.name ~ '\", \"arguments\": ' -}}\n"                                     \
    "    {{- f.arguments if f.arguments is string else f.arguments | tojson -}}\n"                                     \
    "    {{- '}\\n</tool_call>' -}}\n"                                                                                 \
    "  {%- endfor -%}\n"                                                                                               \
    "{%- endmacro -%}\n"

/* result(before, content, after): one tool result; neighbours that are results too share its user turn. */
#define RESULT                                                                                                         \
    "{%- macro result(before, content, after) -%}\n"                                                                   \
    "  {{- '' if before == 'tool' else '<|im_start|>user' -}}\n"                                                       \
    "  {{- '\\n<tool_response>\\n' ~ content ~ '\\n</tool_response>' -}}\n"                                            \
    "  {{- '' if after == 'tool' else '<|im_end|>\\n' -}}\n"                                                           \
    "{%- endmacro -%}\n"

const char weft_chat_builtin_instruct[] = BODY SYSTEM CALLS RESULT
    "{{- system(false) -}}\n"
    "{%- for message in messages -%}\n"
    "  {%- if message.role == 'user' -%}\n"
    "    {{- '<|im_start|>user\\n' ~ body(message.content, true, 1) ~ '<|im_end|>\\n' -}}\n"
    "  {%- elif message.role == 'assistant' -%}\n"
    "    {{- '<|im_start|>assistant\\n' ~ body(message.content, false, 0) -}}\n"
    "    {{- calls(message.tool_calls, message.content) ~ '<|im_end|>\\n' -}}\n"
    "  {%- elif message.role == 'tool' -%}\n"
    "    {{- result(loop.previtem.role if not loop.first else '', body(message.content, true, 1),\n"
    "               loop.nextitem.role if not loop.last else '') -}}\n"
    "  {%- endif -%}\n"
    "{%- endfor -%}\n"
    "{{- '<|im_start|>assistant\\n' if add_generation_prompt else '' -}}\n";

const char weft_chat_builtin_thinking[] = BODY SYSTEM CALLS RESULT
    "{{- system(true) -}}\n"
    "{%- set ns = namespace(last=messages|length - 1, searching=true) -%}\n"
    "{%- for message in messages|reverse -%}\n"
    "  {%- if ns.searching and message.role == 'user' -%}\n"
    "    {%- set text = body(message.content, true, 0) -%}\n"
    "    {%- if not (text.startswith('<tool_response>') and text.endswith('</tool_response>')) -%}\n"
    "      {%- set ns.searching = false -%}\n"
    "      {%- set ns.last = messages|length - loop.index -%}\n"
    "    {%- endif -%}\n"
    "  {%- endif -%}\n"
    "{%- endfor -%}\n"
    "{%- for message in messages -%}\n"
    "  {%- set text = body(message.content, true, 1) -%}\n"
    "  {%- if message.role == 'user' or (message.role == 'system' and not loop.first) -%}\n"
    "    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ text ~ '<|im_end|>\\n' -}}\n"
    "  {%- elif message.role == 'assistant' -%}\n"
    "    {%- set reasoning = '' -%}\n"
    "    {%- if message.reasoning_content is string -%}\n"
    "      {%- set reasoning = message.reasoning_content -%}\n"
    "    {%- elif '</think>' in text -%}\n"
    "      {%- set reasoning = (text.split('</think>')[0].rstrip('\\n').split('<think>')[-1]).lstrip('\\n') -%}\n"
    "      {%- set text = text.split('</think>')[-1].lstrip('\\n') -%}\n"
    "    {%- endif -%}\n"
    "    {{- '<|im_start|>assistant\\n' -}}\n"
    "    {%- if loop.index0 > ns.last and (loop.last or reasoning) -%}\n"
    "      {{- '<think>\\n' ~ reasoning.strip('\\n') ~ '\\n</think>\\n\\n' ~ text.lstrip('\\n') -}}\n"
    "    {%- else -%}\n"
    "      {{- text -}}\n"
    "    {%- endif -%}\n"
    "    {{- calls(message.tool_calls, text) ~ '<|im_end|>\\n' -}}\n"
    "  {%- elif message.role == 'tool' -%}\n"
    "    {{- result(loop.previtem.role if not loop.first else '', text, loop.nextitem.role if not loop.last else '') "
    "-}}\n"
    "  {%- endif -%}\n"
    "{%- endfor -%}\n"
    "{{- '<|im_start|>assistant\\n<think>\\n' if add_generation_prompt else '' -}}\n";
