/* The chat templates weft brings itself, for checkpoints without one (or with one that fails): they render what the
 * published Qwen3-VL Instruct and Thinking templates render. */
#ifndef WEFT_TEXT_CHAT_BUILTIN_H
#define WEFT_TEXT_CHAT_BUILTIN_H

extern const char weft_chat_builtin_instruct[], weft_chat_builtin_thinking[];

#endif
