/* libFuzzer: a template, and after a NUL byte the JSON of its variables. Nothing may crash or leak, and the limits
 * given must hold: a rendering ends soon and within its memory. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_internal.h"

static const char default_context[] = "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": "
                                      "\"user\", \"content\": [{\"type\": \"image\"}, {\"type\": "
                                      "\"text\", \"text\": \"h\\u00e9\"}]}, {\"role\": \"assistant\", \"content\": "
                                      "null, \"tool_calls\": [{\"function\": {\"name\": "
                                      "\"f\", \"arguments\": {\"a\": [1, 2.5]}}}]}], \"s\": \"Hello World\", \"n\": 3, "
                                      "\"l\": [3, 1, \"a\"], \"d\": {\"k\": 1}, "
                                      "\"f\": 0.5, \"add_generation_prompt\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = memchr(data, 0, size);
    size_t template_size = end ? (size_t)(end - data) : size;
    weft_jinja *jinja;
    weft_error err;
    if (weft_jinja_compile((const char *)data, template_size, "fuzz", &jinja, &err) != WEFT_OK) return 0;
    json_t *context = end ? json_loadb((const char *)end + 1, size - template_size - 1, JSON_ALLOW_NUL, NULL)
                          : json_loads(default_context, 0, NULL);
    static const jinja_limits limits = {.memory = 16 << 20, .steps = 200000};
    weft_buffer out;
    weft_buffer_init(&out, 1 << 20, "output");
    weft_status status = jinja_render_limited(jinja, context, &limits, &out, &err);
    if (status == WEFT_ERR_INTERNAL) abort();
    if (status != WEFT_OK && out.size) abort();
    if (out.size && !jinja_utf8_valid(out.data, out.size)) abort();
    weft_buffer_free(&out);
    json_decref(context);
    weft_jinja_free(jinja);
    return 0;
}
