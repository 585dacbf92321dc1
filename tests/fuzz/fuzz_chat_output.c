/* libFuzzer: the first byte chooses the parser's options and the size of the pieces, the rest is model output. However
 * it is cut, the parser must say the same as when it gets the text whole. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/chat.h"

typedef struct collected {
    weft_buffer text;
    int last;
} collected;

static weft_status collect(void *context, weft_output_kind kind, const char *text, size_t size, weft_error *err) {
    collected *c = context;
    if (!size) abort();
    if (c->last != (int)kind || kind == WEFT_OUTPUT_TOOL_CALL) {
        char mark[2] = {'\1', (char)('0' + kind)};
        WEFT_TRY(weft_buffer_append(&c->text, mark, 2, err));
        c->last = (int)kind;
    }
    if (kind == WEFT_OUTPUT_TOOL_CALL) {
        json_t *call = json_loadb(text, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        if (!json_is_string(json_object_get(call, "name")) || !json_is_object(json_object_get(call, "arguments")))
            abort();
        json_decref(call);
    }
    return weft_buffer_append(&c->text, text, size, err);
}

static void feed(uint8_t options, const char *text, size_t size, size_t piece, collected *c) {
    weft_output_parser *parser;
    weft_error err;
    c->last = -1;
    weft_buffer_init(&c->text, 64 << 20, "collected");
    if (weft_output_parser_create(options & 1, options & 2, collect, c, &parser, &err) != WEFT_OK) abort();
    for (size_t at = 0; at < size; at += piece)
        if (weft_output_parser_push(parser, text + at, size - at < piece ? size - at : piece, &err) != WEFT_OK) abort();
    if (weft_output_parser_finish(parser, &err) != WEFT_OK) abort();
    weft_output_parser_free(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const char *text = (const char *)data + 1;
    size_t piece = 1 + data[0] / 4;
    collected whole, cut;
    feed(data[0], text, size - 1, size, &whole);
    feed(data[0], text, size - 1, piece, &cut);
    if (whole.text.size != cut.text.size ||
        (whole.text.size && memcmp(whole.text.data, cut.text.data, cut.text.size) != 0))
        abort();
    weft_buffer_free(&whole.text);
    weft_buffer_free(&cut.text);
    return 0;
}
