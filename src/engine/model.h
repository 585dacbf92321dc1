/* What a weft_model holds: the opened checkpoint, its tokenizer and its chat template. Immutable after opening. */
#ifndef WEFT_ENGINE_MODEL_H
#define WEFT_ENGINE_MODEL_H

#include "text/chat.h"
#include "text/tokenizer.h"
#include "weft.h"
#include "weights/checkpoint.h"

enum { WEFT_MODEL_WARNINGS_MAX = 32 };

struct weft_model {
    weft_checkpoint *checkpoint;
    const weft_config *config;
    weft_tokenizer *tokenizer;
    weft_chat_template *chat;
    weft_model_info info;
    const char *warnings[WEFT_MODEL_WARNINGS_MAX]; /* borrowed from the checkpoint and the template */
    int warning_count;
    int32_t image_pad, video_pad; /* -1: the tokenizer has none */
    int32_t think_end;            /* </think>, or -1 */
    int32_t eos[WEFT_EOS_MAX];    /* ids that end an answer */
    int eos_count;
};

#endif
