/* The interpreter by itself: what a template may not do, what it costs, where faults point. Agreement with jinja2 is
 * tests/python/test_templates.py. */
#include <stdbool.h>

#include "testing.h"
#include "text/jinja_internal.h"

static weft_status render(const char *source, const char *context_text, weft_buffer *out, weft_error *err) {
    weft_jinja *jinja = NULL;
    weft_status status = weft_jinja_compile(source, strlen(source), "t", &jinja, err);
    if (status != WEFT_OK) return status;
    json_t *context = json_loads(context_text, 0, NULL);
    status = weft_jinja_render(jinja, context, out, err);
    json_decref(context);
    weft_jinja_free(jinja);
    return status;
}

static void expect(const char *source, const char *context, const char *want) {
    weft_buffer out;
    weft_buffer_init(&out, 1 << 20, "out");
    weft_error err = {0};
    CHECK_OK(render(source, context, &out, &err), err);
    CHECK_STR(out.data ? out.data : "", want);
    weft_buffer_free(&out);
}

static void expect_error(const char *source, const char *context, weft_status status, const char *part) {
    weft_buffer out;
    weft_buffer_init(&out, 1 << 20, "out");
    weft_error err = {0};
    weft_status got = render(source, context, &out, &err);
    CHECK_MSG(got == status, "%s: got %s: %s", source, weft_status_name(got), err.message);
    CHECK_MSG(strstr(err.message, part) != NULL, "%s: message \"%s\" lacks \"%s\"", source, err.message, part);
    CHECK_INT(out.size, 0);
    weft_buffer_free(&out);
}

static void test_rendering(void) {
    expect("a{{ x }}b", "{\"x\": 1}", "a1b");
    expect("{% for m in ms %}{{ loop.index }}:{{ m.role }}\n{% endfor %}",
           "{\"ms\": [{\"role\": \"user\"}, {\"role\": \"tool\"}]}", "1:user\n2:tool\n");
    expect("{{ x | tojson }}", "{\"x\": {\"b\": [1, 2.0, null, \"\xC3\xA9\"], \"a\": true}}",
           "{\"b\": [1, 2.0, null, \"\xC3\xA9\"], \"a\": true}");
    expect("{{ [1, none, 'it''s', 0.1] }}", "{}", "[1, None, 'its', 0.1]");
    expect("{% for i in [1] %}[{{ x }}]{% endfor %}{% set x = 2 %}{{ x }}", "{\"x\": 1}",
           "[]2"); /* hidden until assigned */
    expect("  {% if true %}\n  x\n  {% endif %}\n", "{}", "  x\n");
}

static void test_faults_name_their_place(void) {
    expect_error("line\n  {{ a.b.c }}", "{\"a\": {}}", WEFT_ERR_FORMAT, "t: line 2");
    expect_error("{% if %}", "{}", WEFT_ERR_FORMAT, "line 1, column 7");
    expect_error("{% for x in y %}", "{}", WEFT_ERR_FORMAT, "endfor");
    expect_error("{{ x", "{}", WEFT_ERR_FORMAT, "end of print statement");
    expect_error("{{ 'x }}", "{}", WEFT_ERR_FORMAT, "not closed");
    expect_error("{{ x | nope }}", "{}", WEFT_ERR_FORMAT, "no filter named 'nope'");
    expect_error("{{ (1] }}", "{}", WEFT_ERR_FORMAT, "unexpected ']'");
    expect_error("x{{ raise_exception('roles must alternate') }}", "{}", WEFT_ERR_INVALID, "roles must alternate");
}

static void test_refused_by_name(void) {
    expect_error("{% include 'x' %}", "{}", WEFT_ERR_UNSUPPORTED, "include");
    expect_error("{% extends 'x' %}", "{}", WEFT_ERR_UNSUPPORTED, "extends");
    expect_error("{% import 'x' as y %}", "{}", WEFT_ERR_UNSUPPORTED, "import");
    expect_error("{% from 'x' import y %}", "{}", WEFT_ERR_UNSUPPORTED, "from");
    expect_error("{{ [1].append(2) }}", "{}", WEFT_ERR_FORMAT, "unsafe");
    expect_error("{{ d.update({}) }}", "{\"d\": {}}", WEFT_ERR_FORMAT, "unsafe");
    expect_error("{{ ''.__class__.__mro__ }}", "{}", WEFT_ERR_FORMAT, "unsafe");
    expect_error("{% set ns = namespace(_x=1) %}", "{}", WEFT_ERR_FORMAT, "underscore");
    expect_error("\xFF", "{}", WEFT_ERR_FORMAT, "UTF-8");
}

static void test_limits(void) {
    expect_error("{{ range(100001) }}", "{}", WEFT_ERR_LIMIT, "range() is limited");
    expect_error("{{ 9223372036854775807 + 1 }}", "{}", WEFT_ERR_LIMIT, "64-bit");
    expect_error("{{ 99999999999999999999 }}", "{}", WEFT_ERR_UNSUPPORTED, "64 bits");
    expect_error("{{ 'aaaaaaaaaa' * 4611686018427387904 }}", "{}", WEFT_ERR_LIMIT, "");
    expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{}", WEFT_ERR_LIMIT, "deeper");
    expect_error("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "{}", WEFT_ERR_LIMIT, "deeper");
    expect_error("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "{}", WEFT_ERR_LIMIT,
                 "steps");
    static const char *const piles[][3] = {
        {"()", "(ns.x,)", "{{ {ns.x: 1} }}"},         {"()", "(ns.x,)", "{{ ns.x }}"},
        {"[]", "[ns.x]", "{{ ns.x|tojson }}"},        {"[]", "ns.x|map('list')", "{{ ns.x|list }}"},
        {"[1]", "ns.x|select", "{{ ns.x|first }}"},   {"[]", "{'k': ns.x}", "{{ ns.x == ns.x }}{{ ns.x }}"},
        {"[1]", "ns.x|batch(2)", "{{ ns.x|first }}"}, {"[1]", "ns.x|unique", "{{ ns.x|list }}"},
    };
    for (size_t i = 0; i < sizeof piles / sizeof *piles; i++) {
        char source[512];
        snprintf(source, sizeof source,
                 "{%% set ns = namespace(x=%s) %%}{%% for i in range(90000) %%}{%% set ns.x = %s %%}{%% endfor %%}%s",
                 piles[i][0], piles[i][1], piles[i][2]);
        expect_error(source, "{}", WEFT_ERR_LIMIT, "deeper");
    }
    expect_error("{% set ns = namespace(l=[]) %}{% for a in range(3000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l "
                 "== ns.l | tojson }}{{ ns.l }}",
                 "{}", WEFT_ERR_LIMIT, "");
}

/* Whatever repeats, nests or chains without end is an error and not a crash. */
static void test_depth(void) {
    static const char *const shapes[][3] = {
        {"{{ ", "(", ""},        {"{{ ", "[", ""},
        {"{{ ", "not ", "x }}"}, {"{{ ", "-", "1 }}"},
        {"{{ x", ".x", " }}"},   {"{{ x", "|list", " }}"},
        {"{{ 1", "+1", " }}"},   {"{{ x", " if x else x", " }}"},
        {"", "{% if x %}", ""},  {"", "{% for x in y %}", ""},
        {"{{ ", "{1:", ""},      {"{{ 1", "**1", " }}"},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        weft_buffer source;
        weft_buffer_init(&source, WEFT_JINJA_SOURCE_MAX, "source");
        CHECK(weft_buffer_puts(&source, shapes[i][0], NULL) == WEFT_OK);
        for (int n = 0; n < 50000; n++)
            if (weft_buffer_puts(&source, shapes[i][1], NULL) != WEFT_OK) break;
        CHECK(weft_buffer_puts(&source, shapes[i][2], NULL) == WEFT_OK);
        weft_jinja *jinja;
        weft_error err = {0};
        weft_status status = weft_jinja_compile(source.data, source.size, "deep", &jinja, &err);
        CHECK_MSG(status == WEFT_ERR_LIMIT, "shape %zu: %s: %s", i, weft_status_name(status), err.message);
        weft_buffer_free(&source);
    }
}

/* Data deeper than a template can follow is refused; a key that is repeated in hostile data costs no more. */
static void test_deep_data(void) {
    json_t *inner = json_array();
    for (int i = 0; i < 1000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, inner);
        inner = outer;
    }
    json_t *context = json_pack("{s:o}", "x", inner);
    weft_jinja *jinja;
    weft_error err;
    weft_buffer out;
    weft_buffer_init(&out, 1000, "out");
    CHECK_OK(weft_jinja_compile("{{ x }}", 7, "t", &jinja, &err), err);
    CHECK_INT(weft_jinja_render(jinja, context, &out, &err), WEFT_ERR_LIMIT);
    weft_jinja_free(jinja);
    json_decref(context);
    weft_buffer_free(&out);
}

/* The budget is kept: memory and steps given for one rendering are not exceeded. */
static void test_budgets(void) {
    const char *source = "{% set ns = namespace(s='0123456789abcdef') %}{% for i in range(1000) %}{% set ns.s = ns.s ~ "
                         "ns.s %}{% endfor %}";
    weft_jinja *jinja;
    weft_error err;
    weft_buffer out;
    weft_buffer_init(&out, 1000, "out");
    CHECK_OK(weft_jinja_compile(source, strlen(source), "t", &jinja, &err), err);
    jinja_limits limits = {.memory = 1 << 20, .steps = 1000000};
    CHECK_INT(jinja_render_limited(jinja, NULL, &limits, &out, &err), WEFT_ERR_LIMIT);
    CHECK(strstr(err.message, "memory") != NULL);
    limits.steps = 20;
    CHECK_INT(jinja_render_limited(jinja, NULL, &limits, &out, &err), WEFT_ERR_LIMIT);
    CHECK(strstr(err.message, "steps") != NULL);
    weft_jinja_free(jinja);
    weft_buffer_free(&out);
}

/* A full output buffer is the caller's limit, and what was there before stays. */
static void test_output_limit(void) {
    weft_jinja *jinja;
    weft_error err;
    weft_buffer out;
    weft_buffer_init(&out, 16, "small");
    CHECK(weft_buffer_puts(&out, "before", NULL) == WEFT_OK);
    CHECK_OK(weft_jinja_compile("{{ 'x' * 100 }}", 15, "t", &jinja, &err), err);
    CHECK_INT(weft_jinja_render(jinja, NULL, &out, &err), WEFT_ERR_LIMIT);
    CHECK_STR(out.data, "before");
    weft_jinja_free(jinja);
    weft_buffer_free(&out);
}

/* Appending piece by piece reuses the newest string: a long conversation built in a namespace stays linear. */
static void test_building_is_linear(void) {
    const char *source = "{% set ns = namespace(s='') %}{% for i in range(90000) %}{% set ns.s = ns.s + x %}{% endfor "
                         "%}{{ ns.s|length }}";
    weft_jinja *jinja;
    weft_error err = {0};
    weft_buffer out;
    weft_buffer_init(&out, 1000, "out");
    CHECK_OK(weft_jinja_compile(source, strlen(source), "t", &jinja, &err), err);
    json_t *context = json_pack("{s:s}", "x", "0123456789");
    jinja_limits limits = {.memory = 32 << 20, .steps = 10000000};
    CHECK_OK(jinja_render_limited(jinja, context, &limits, &out, &err), err);
    CHECK_STR(out.data ? out.data : "", "900000");
    json_decref(context);
    weft_jinja_free(jinja);
    weft_buffer_free(&out);
}

int main(void) {
    test_rendering();
    test_faults_name_their_place();
    test_refused_by_name();
    test_limits();
    test_depth();
    test_deep_data();
    test_budgets();
    test_output_limit();
    test_building_is_linear();
    return testing_summary();
}
