/* The API's JSON objects: errors, tool calls, ids, and text that is not UTF-8. */
#include "server/server_internal.h"
#include "testing.h"

static const char *text_at(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static void test_text(void) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x99\x82", "\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x99\x82"},
        {"cut \xe4\xbd", "cut ??"},
        {"\xc3", "?"},
        {"\xc3\xa9\xff\xe4\xbd\xa0", "\xc3\xa9?\xe4\xbd\xa0"},
        {"\xed\xa0\x80", "???"} /* a surrogate */,
        {"\xc0\x80", "??"} /* overlong */,
        {"\xf4\x90\x80\x80", "????"} /* past U+10FFFF */,
        {"\x80\xbf", "??"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *text = weft_object_text(cases[i].in);
        CHECK_STR(json_string_value(text), cases[i].out);
        json_decref(text);
    }
}

static void test_errors(void) {
    static const struct {
        weft_status status;
        unsigned http;
        const char *code;
    } cases[] = {
        {WEFT_ERR_INVALID, 400, NULL},
        {WEFT_ERR_FORMAT, 400, "invalid_media"},
        {WEFT_ERR_UNSUPPORTED, 400, "unsupported"},
        {WEFT_ERR_NOT_FOUND, 404, "not_found"},
        {WEFT_ERR_LIMIT, 413, "limit_exceeded"},
        {WEFT_ERR_CONTEXT, 400, "context_length_exceeded"},
        {WEFT_ERR_MEMORY, 503, "out_of_memory"},
        {WEFT_ERR_BUSY, 503, "busy"},
        {WEFT_ERR_LOCKED, 400, "password_required"},
        {WEFT_ERR_INTERNAL, 500, NULL},
        {WEFT_ERR_IO, 500, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_error err = {.status = cases[i].status, .message = "what \"and\" where \xe4\xbd"};
        unsigned status = 0;
        json_t *body = weft_object_error(&err, &status);
        const json_t *error = json_object_get(body, "error");
        CHECK_INT(status, cases[i].http);
        CHECK_STR(text_at(error, "message"), "what \"and\" where ??");
        CHECK_STR(text_at(error, "type"), status < 500 ? "invalid_request_error" : "server_error");
        CHECK(json_is_null(json_object_get(error, "param")));
        if (cases[i].code)
            CHECK_STR(text_at(error, "code"), cases[i].code);
        else
            CHECK(json_is_null(json_object_get(error, "code")));
        json_decref(body);
    }
}

static void check_call(const char *text, const char *name, const char *arguments, int index) {
    json_t *call = weft_object_tool_call(text, strlen(text), index);
    const json_t *function = json_object_get(call, "function");
    CHECK_STR(text_at(call, "type"), "function");
    CHECK(strncmp(text_at(call, "id"), "call_", 5) == 0);
    CHECK_STR(text_at(function, "name"), name);
    CHECK_STR(text_at(function, "arguments"), arguments);
    CHECK((json_object_get(call, "index") != NULL) == (index >= 0));
    if (index >= 0) CHECK_INT(json_integer_value(json_object_get(call, "index")), index);
    json_decref(call);
}

static void test_tool_calls(void) {
    check_call("{\"name\": \"click\", \"arguments\": {\"x\": 500, \"y\": [1, 2]}}", "click",
               "{\"x\": 500, \"y\": [1, 2]}", -1);
    check_call("{\"name\": \"zoom\", \"arguments\": {}}", "zoom", "{}", 3);
    /* numbers and order stay as they were written */
    check_call(
        "{\"name\": \"n\", \"arguments\": {\"z\": 0.1, \"a\": 123456789012345678901234567890, \"e\": 1e2, \"z\": 1.0}}",
        "n", "{\"z\": 0.1, \"a\": 123456789012345678901234567890, \"e\": 1e2, \"z\": 1.0}", 0);
    check_call("{\"name\": \"\\u00e9\\\"}\", \"arguments\": {\"arguments\": \"}\\\"{,\", \"name\": \"inner\"}}",
               "\xc3\xa9\"}", "{\"arguments\": \"}\\\"{,\", \"name\": \"inner\"}", 0);
    check_call("{\"name\": \"a\"}", "a", "{}", 0);
    check_call("not a call", "", "{}", 0);
}

static void test_ids(void) {
    enum { COUNT = 2000 };
    static char ids[COUNT][40];
    int same = 0;
    for (int i = 0; i < COUNT; i++) {
        weft_object_id(ids[i], sizeof ids[i], "call_");
        for (int j = 0; j < i; j++) same += strcmp(ids[i], ids[j]) == 0;
    }
    CHECK_INT(same, 0);
    CHECK_INT(strlen(ids[0]), 5 + 24);
    CHECK_INT(strspn(ids[0] + 5, "0123456789abcdef"), 24);
    char small[10];
    weft_object_id(small, sizeof small, "call_");
    CHECK(strlen(small) < sizeof small);
}

int main(void) {
    test_text();
    test_errors();
    test_tool_calls();
    test_ids();
    return testing_summary();
}
