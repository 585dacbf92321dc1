/* The subset of Jinja that chat templates are written in, interpreted under limits.
 *
 * Values are jansson's json_t at the border; inside, a small value type. A compiled template is immutable and may be
 * rendered from several threads at once. Rendering equals transformers' (jinja2 ImmutableSandboxedEnvironment with
 * trim_blocks and lstrip_blocks, loopcontrols, tojson as transformers defines it, raise_exception, strftime_now). */
#ifndef WEFT_TEXT_JINJA_H
#define WEFT_TEXT_JINJA_H

#include <jansson.h>

#include "base/buffer.h"
#include "base/status.h"

typedef struct weft_jinja weft_jinja;

enum {
    WEFT_JINJA_SOURCE_MAX = 1 << 20,   /* bytes of a template */
    WEFT_JINJA_OUTPUT_MAX = 256 << 20, /* bytes of one rendering */
    WEFT_JINJA_MEMORY_MAX = 1 << 30,   /* bytes of working memory of one rendering */
    WEFT_JINJA_STEPS_MAX = 50 * 1000 * 1000,
    WEFT_JINJA_DEPTH_MAX = 200, /* nesting of statements, brackets, data; macro calls in progress */
};

/* Parses `source` (UTF-8). Errors name line and column. */
weft_status weft_jinja_compile(const char *source, size_t size, const char *name, weft_jinja **out, weft_error *err);
void weft_jinja_free(weft_jinja *jinja);
/* Renders with the variables of `context` (a JSON object, borrowed), appending to *out. raise_exception(msg) yields
 * WEFT_ERR_INVALID with msg; anything else that goes wrong names line and column. On failure *out is as before. */
weft_status weft_jinja_render(const weft_jinja *jinja, const json_t *context, weft_buffer *out, weft_error *err);

#endif
