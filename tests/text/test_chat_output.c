/* The output parser: every text is cut at every place and into single bytes, and must come out the same. */
#include <stdbool.h>

#include "testing.h"
#include "text/chat.h"

/* Collects what the sink gets: "R(...)" "C(...)" "T(...)", neighbours of one kind joined, calls kept apart. */
typedef struct collected {
    weft_buffer text;
    int last;
} collected;

static weft_status collect(void *context, weft_output_kind kind, const char *text, size_t size, weft_error *err) {
    collected *c = context;
    if (c->last != (int)kind || kind == WEFT_OUTPUT_TOOL_CALL) {
        if (c->last >= 0) WEFT_TRY(weft_buffer_puts(&c->text, ")", err));
        WEFT_TRY(weft_buffer_puts(&c->text,
                                  kind == WEFT_OUTPUT_REASONING ? "R("
                                  : kind == WEFT_OUTPUT_CONTENT ? "C("
                                                                : "T(",
                                  err));
        c->last = (int)kind;
    }
    CHECK(size > 0);
    return weft_buffer_append(&c->text, text, size, err);
}

static void feed(bool reasoning, bool tools, const char *text, const size_t *cuts, size_t cut_count, const char *want) {
    collected c = {.last = -1};
    weft_buffer_init(&c.text, 1 << 20, "collected");
    weft_output_parser *parser;
    weft_error err = {0};
    CHECK_OK(weft_output_parser_create(reasoning, tools, collect, &c, &parser, &err), err);
    size_t at = 0, size = strlen(text);
    for (size_t i = 0; i <= cut_count; i++) {
        size_t to = i < cut_count ? cuts[i] : size;
        CHECK_OK(weft_output_parser_push(parser, text + at, to - at, &err), err);
        at = to;
    }
    CHECK_OK(weft_output_parser_finish(parser, &err), err);
    weft_output_parser_free(parser);
    CHECK(c.last < 0 || weft_buffer_puts(&c.text, ")", &err) == WEFT_OK);
    CHECK_STR(c.text.data ? c.text.data : "", want);
    weft_buffer_free(&c.text);
}

static void expect(bool reasoning, bool tools, const char *text, const char *want) {
    size_t size = strlen(text);
    feed(reasoning, tools, text, NULL, 0, want);
    for (size_t cut = 1; cut < size; cut++) feed(reasoning, tools, text, &cut, 1, want);
    size_t *all = calloc(size + 1, sizeof *all);
    for (size_t i = 0; i + 1 < size; i++) all[i] = i + 1;
    feed(reasoning, tools, text, all, size ? size - 1 : 0, want);
    free(all);
}

static void test_reasoning(void) {
    expect(false, false, "Hello", "C(Hello)");
    expect(false, false, "", "");
    expect(false, false, "\n\nHello\n", "C(\n\nHello\n)");
    expect(true, false, "\nthinking\nmore\n\n</think>\n\nanswer\n", "R(thinking\nmore)C(answer\n)");
    expect(true, false, "never closed\n", "R(never closed)");
    expect(true, false, "</think>\n\nonly answer", "C(only answer)");
    expect(true, false, "a < b </ c </thin d</think>x", "R(a < b </ c </thin d)C(x)");
    expect(true, false, "half </thi", "R(half </thi)");
    expect(true, false, "<think>\nsaid again\n</think>\nx", "R(said again)C(x)");
    expect(false, false, "<think>\nby itself\n</think>\n\nx", "R(by itself)C(x)");
    expect(false, false, "\n <think>w</think>x", "R(w)C(x)");
    expect(false, false, "<thin air", "C(<thin air)");
    expect(false, false, "say <think> later", "C(say <think> later)");
    expect(true, false, "a</think>\n\n", "R(a)");
    expect(true, true, "\xE6\x97\xA5\n</think>\n\xE6\x9C\xAC", "R(\xE6\x97\xA5)C(\xE6\x9C\xAC)");
}

static void test_calls(void) {
    expect(false, true, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
           "T({\"name\": \"f\", \"arguments\": {\"a\": 1}})");
    expect(false, true,
           "Let me see.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": "
           "\"g\", "
           "\"arguments\": {\"x\": [1.50, 12345678901234567890]}}\n</tool_call>\n",
           "C(Let me see.)T({\"name\": \"f\", \"arguments\": {}})T({\"name\": \"g\", \"arguments\": {\"x\": [1.50, "
           "12345678901234567890]}})");
    expect(true, true,
           "use it\n</think>\n\n<tool_call>\n{\"arguments\": {\"s\": \"</tool_cal\\u006c> \\\"}{\"}, \"name\": "
           "\"n\\u00e9\"}\n</tool_call>",
           "R(use it)T({\"name\": \"n\\u00e9\", \"arguments\": {\"s\": \"</tool_cal\\u006c> \\\"}{\"}})");
    expect(false, true, "<tool_call>{\"name\": \"f\"}</tool_call>done",
           "T({\"name\": \"f\", \"arguments\": {}})C(done)");
    expect(false, true, "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 2}\"}</tool_call>",
           "T({\"name\": \"f\", \"arguments\": {\"a\": 2}})");
    expect(false, true, "<tool_call>{\"name\": \"f\", \"arguments\": {}}",
           "T({\"name\": \"f\", \"arguments\": {}})"); /* stopped at the end tag */
}

static void test_calls_that_are_none(void) {
    expect(false, true, "<tool_call>\nnot json\n</tool_call>after", "C(<tool_call>\nnot json\n</tool_call>after)");
    expect(false, true, "<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>",
           "C(<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>)");
    expect(false, true, "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
           "C(<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>)");
    expect(false, true, "<tool_call>{\"name\": \"f\", \"arguments\": \"x\"}</tool_call>",
           "C(<tool_call>{\"name\": \"f\", \"arguments\": \"x\"}</tool_call>)");
    expect(false, true, "text <tool_call> {\"name\": \"f\"", "C(text <tool_call> {\"name\": \"f\")");
    expect(false, true, "a <tool_ b", "C(a <tool_ b)");
    expect(false, true, "end\n\n", "C(end\n\n)");
    expect(false, false, "<tool_call>{\"name\": \"f\"}</tool_call>", "C(<tool_call>{\"name\": \"f\"}</tool_call>)");
}

/* A call that never ends is handed on as text instead of being kept forever. */
static void test_endless_call(void) {
    collected c = {.last = -1};
    weft_buffer_init(&c.text, 64 << 20, "collected");
    weft_output_parser *parser;
    weft_error err = {0};
    CHECK_OK(weft_output_parser_create(false, true, collect, &c, &parser, &err), err);
    CHECK_OK(weft_output_parser_push(parser, "<tool_call>", 11, &err), err);
    char *block = malloc(1 << 20);
    memset(block, 'x', 1 << 20);
    for (int i = 0; i < 9; i++) CHECK_OK(weft_output_parser_push(parser, block, 1 << 20, &err), err);
    CHECK(c.text.size > WEFT_OUTPUT_CALL_MAX);
    CHECK_OK(weft_output_parser_finish(parser, &err), err);
    CHECK_INT(c.text.size, 2 + 11 + (9 << 20));
    free(block);
    weft_output_parser_free(parser);
    weft_buffer_free(&c.text);
}

static weft_status refuse(void *context, weft_output_kind kind, const char *text, size_t size, weft_error *err) {
    (void)context, (void)kind, (void)text, (void)size;
    return weft_fail(err, WEFT_ERR_CANCELLED, "gone");
}

static void test_sink_errors_come_back(void) {
    weft_output_parser *parser;
    weft_error err = {0};
    CHECK_OK(weft_output_parser_create(false, true, refuse, NULL, &parser, &err), err);
    CHECK_INT(weft_output_parser_push(parser, "hello", 5, &err), WEFT_ERR_CANCELLED);
    weft_output_parser_free(parser);
}

int main(void) {
    test_reasoning();
    test_calls();
    test_calls_that_are_none();
    test_endless_call();
    test_sink_errors_come_back();
    return testing_summary();
}
