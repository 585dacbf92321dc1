/* The tokenizer against what the `tokenizers` library answered: tests/text/data, made by lab/tokenizer_fixture.py.
 *
 * `test_tokenizer ids TOKENIZER.json [plain]` turns JSON strings, a line each, into JSON arrays of ids instead: the
 * command that lab/tokenizer_fuzz.py compares with the library. */
#include <jansson.h>
#include <unistd.h>

#include "testing.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#define DATA WEFT_TEST_DATA "/../text/data/"
static const char *const variants[] = {"published", "flags", "marks", "strings", "gpt2", "sparse", "pieces"};
enum { VARIANT_COUNT = sizeof variants / sizeof variants[0] };

static weft_tokenizer *open_variant(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, DATA "%s.json", name);
    weft_tokenizer *tokenizer = NULL;
    weft_error err = {0};
    CHECK_OK(weft_tokenizer_from_json(path, &tokenizer, &err), err);
    return tokenizer;
}

static json_t *open_json(const char *path) {
    json_error_t why;
    json_t *value = json_load_file(path, JSON_ALLOW_NUL, &why);
    CHECK_MSG(value != NULL, "%s: %s", path, why.text);
    return value;
}

static bool same_ids(const weft_ids *ids, const json_t *want) {
    if (ids->count != json_array_size(want)) return false;
    for (size_t i = 0; i < ids->count; i++)
        if (ids->data[i] != json_integer_value(json_array_get(want, i))) return false;
    return true;
}

/* Decodes by single tokens, as a stream; every step must leave well-formed UTF-8. */
static void check_stream(const weft_tokenizer *tokenizer, const weft_ids *ids, bool skip, const json_t *want) {
    weft_error err = {0};
    weft_buffer out;
    weft_buffer_init(&out, 1 << 20, "output");
    weft_detokenizer stream;
    weft_detokenizer_init(&stream, tokenizer, skip);
    for (size_t i = 0; i < ids->count; i++) {
        CHECK_OK(weft_detokenizer_push(&stream, ids->data[i], &out, &err), err);
        CHECK_INT(weft_utf8_valid(out.data, out.size), out.size);
    }
    CHECK_OK(weft_detokenizer_finish(&stream, &out, &err), err);
    CHECK_INT(out.size, json_string_length(want));
    CHECK(out.size == json_string_length(want) &&
          memcmp(out.data ? out.data : "", json_string_value(want), out.size) == 0);
    weft_buffer_free(&out);
}

/* Decodes all at once; with malformed sequences replaced that equals the stream. */
static void check_whole(const weft_tokenizer *tokenizer, const weft_ids *ids, bool skip, const json_t *want) {
    weft_error err = {0};
    weft_buffer bytes, text;
    weft_buffer_init(&bytes, 1 << 20, "bytes");
    weft_buffer_init(&text, 1 << 20, "text");
    CHECK_OK(weft_detokenize(tokenizer, ids->data, ids->count, skip, &bytes, &err), err);
    CHECK_OK(weft_utf8_repair(bytes.data ? bytes.data : "", bytes.size, &text, &err), err);
    CHECK(text.size == json_string_length(want) &&
          memcmp(text.data ? text.data : "", json_string_value(want), text.size) == 0);
    weft_buffer_free(&bytes);
    weft_buffer_free(&text);
}

static void check_row(const char *name, const weft_tokenizer *tokenizer, const json_t *row) {
    const json_t *text = json_object_get(row, "text");
    weft_error err = {0};
    weft_ids ids = {0}, plain = {0};
    CHECK_OK(weft_tokenize(tokenizer, json_string_value(text), json_string_length(text), true, &ids, &err), err);
    CHECK_OK(weft_tokenize(tokenizer, json_string_value(text), json_string_length(text), false, &plain, &err), err);
    CHECK_MSG(same_ids(&ids, json_object_get(row, "ids")), "%s: \"%s\"", name, json_string_value(text));
    CHECK_MSG(same_ids(&plain, json_object_get(row, "plain")), "%s, plain: \"%s\"", name, json_string_value(text));
    check_stream(tokenizer, &ids, true, json_object_get(row, "shown"));
    check_stream(tokenizer, &ids, false, json_object_get(row, "whole"));
    check_whole(tokenizer, &ids, true, json_object_get(row, "shown"));
    check_whole(tokenizer, &ids, false, json_object_get(row, "whole"));
    weft_ids_free(&ids);
    weft_ids_free(&plain);
}

static void test_variants(void) {
    json_t *cases = open_json(DATA "cases.json");
    for (int i = 0; i < VARIANT_COUNT && cases; i++) {
        weft_tokenizer *tokenizer = open_variant(variants[i]);
        const json_t *expected = json_object_get(cases, variants[i]), *rows = json_object_get(expected, "rows");
        CHECK(json_array_size(rows) > 50);
        if (tokenizer) CHECK_INT(weft_tokenizer_size(tokenizer), json_integer_value(json_object_get(expected, "size")));
        for (size_t k = 0; k < json_array_size(rows) && tokenizer; k++)
            check_row(variants[i], tokenizer, json_array_get(rows, k));
        weft_tokenizer_free(tokenizer);
    }
    json_decref(cases);
}

/* ---- where words are cut ---- */

typedef struct expected_words {
    const json_t *row;
    size_t at;
} expected_words;

static weft_status compare_word(void *context, const char *word, size_t size, weft_error *err) {
    expected_words *expected = context;
    const json_t *want = json_array_get(expected->row, expected->at++);
    (void)err;
    CHECK_MSG(want && json_string_length(want) == size && memcmp(json_string_value(want), word, size) == 0,
              "got \"%.*s\", want \"%s\"", (int)size, word, want ? json_string_value(want) : "(nothing)");
    return WEFT_OK;
}

static void test_words(void) {
    json_t *cases = open_json(DATA "words.json");
    CHECK_INT(json_array_size(cases), 4);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *pattern = json_object_get(json_array_get(cases, i), "pattern");
        const json_t *rows = json_object_get(json_array_get(cases, i), "rows");
        weft_pretokenizer pre = {0};
        weft_error err = {0};
        CHECK_OK(weft_pretokenizer_add(&pre, json_string_value(pattern), json_string_length(pattern), false, &err),
                 err);
        CHECK(json_array_size(rows) > 50);
        for (size_t k = 0; k < json_array_size(rows); k++) {
            expected_words expected = {.row = json_array_get(rows, k)};
            weft_buffer text;
            weft_buffer_init(&text, 1 << 16, "text");
            for (size_t w = 0; w < json_array_size(expected.row); w++) {
                const json_t *word = json_array_get(expected.row, w);
                CHECK_OK(weft_buffer_append(&text, json_string_value(word), json_string_length(word), &err), err);
            }
            CHECK_OK(weft_pretokenize(&pre, text.data, text.size, compare_word, &expected, &err), err);
            CHECK_INT(expected.at, json_array_size(expected.row));
            weft_buffer_free(&text);
        }
        weft_pretokenizer_free(&pre);
    }
    json_decref(cases);
}

/* ---- the same tokenizer as GGUF metadata ---- */

static weft_bytes bytes_of(const json_t *string) {
    return (weft_bytes){json_string_value(string), json_string_length(string)};
}

/* Fills the arrays of a spec from a tokenizer.json whose merges are pairs; *joined owns the merges' text. */
static void spec_from_json(json_t *file, weft_tokenizer_spec *spec, weft_bytes *tokens, int32_t *kinds,
                           weft_bytes *merges, weft_buffer *joined) {
    const json_t *model = json_object_get(file, "model"), *list = json_object_get(model, "merges");
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(model, "vocab"), key, value) {
        tokens[json_integer_value(value)] = (weft_bytes){key, strlen(key)};
        kinds[json_integer_value(value)] = WEFT_TOKEN_NORMAL;
        spec->token_count++;
    }
    size_t i;
    json_array_foreach(json_object_get(file, "added_tokens"), i, value) {
        size_t id = spec->token_count++;
        tokens[id] = bytes_of(json_object_get(value, "content"));
        kinds[id] = json_is_true(json_object_get(value, "special")) ? WEFT_TOKEN_CONTROL : WEFT_TOKEN_USER_DEFINED;
    }
    weft_error err;
    CHECK_OK(weft_buffer_reserve(joined, 1 << 16, &err), err); /* so that it never moves */
    json_array_foreach(list, i, value) {
        size_t start = joined->size;
        CHECK_OK(weft_buffer_printf(joined, &err, "%s %s", json_string_value(json_array_get(value, 0)),
                                    json_string_value(json_array_get(value, 1))),
                 err);
        merges[i] = (weft_bytes){joined->data + start, joined->size - start};
        spec->merge_count++;
    }
}

static void test_spec(void) {
    static weft_bytes tokens[2048], merges[2048];
    static int32_t kinds[2048];
    weft_tokenizer_spec spec = {.tokens = tokens, .kinds = kinds, .merges = merges, .pre = "qwen2"};
    weft_buffer joined;
    weft_buffer_init(&joined, 1 << 16, "merges");
    json_t *file = open_json(DATA "published.json"), *cases = open_json(DATA "cases.json");
    spec_from_json(file, &spec, tokens, kinds, merges, &joined);
    CHECK(spec.merge_count > 100);
    weft_tokenizer *tokenizer = NULL;
    weft_error err = {0};
    CHECK_OK(weft_tokenizer_from_spec(&spec, &tokenizer, &err), err);
    const json_t *rows = json_object_get(json_object_get(cases, "published"), "rows");
    for (size_t i = 0; i < json_array_size(rows) && tokenizer; i++)
        check_row("spec", tokenizer, json_array_get(rows, i));
    weft_tokenizer_free(tokenizer);

    weft_tokenizer *none = NULL;
    spec.pre = "llama-bpe";
    CHECK_INT(weft_tokenizer_from_spec(&spec, &none, &err), WEFT_ERR_UNSUPPORTED);
    CHECK(strstr(err.message, "llama-bpe") != NULL);
    spec.pre = "qwen2";
    merges[3] = (weft_bytes){"nospace", 7};
    CHECK_INT(weft_tokenizer_from_spec(&spec, &none, &err), WEFT_ERR_FORMAT);
    merges[3] = (weft_bytes){"qq zz", 5};
    CHECK_INT(weft_tokenizer_from_spec(&spec, &none, &err), WEFT_ERR_FORMAT);
    spec.merge_count = 0;
    kinds[5] = 77;
    CHECK_INT(weft_tokenizer_from_spec(&spec, &none, &err), WEFT_ERR_FORMAT);
    CHECK(none == NULL);
    weft_buffer_free(&joined);
    json_decref(file);
    json_decref(cases);
}

/* ---- look-ups, odd ids, malformed text ---- */

static void test_lookups(void) {
    weft_tokenizer *t = open_variant("published");
    if (!t) return;
    weft_error err = {0};
    int32_t start = weft_tokenizer_find(t, "<|im_start|>"), think = weft_tokenizer_find(t, "<think>");
    CHECK(start > 0 && think > start);
    CHECK_INT(weft_tokenizer_find(t, "a"), -1);
    CHECK_INT(weft_tokenizer_kind(t, start), WEFT_TOKEN_CONTROL);
    CHECK_INT(weft_tokenizer_kind(t, think), WEFT_TOKEN_USER_DEFINED);
    CHECK_INT(weft_tokenizer_kind(t, 0), WEFT_TOKEN_NORMAL);
    CHECK_INT(weft_tokenizer_kind(t, -5), WEFT_TOKEN_UNUSED);
    CHECK_INT(weft_tokenizer_kind(t, INT32_MAX), WEFT_TOKEN_UNUSED);
    weft_bytes bytes = weft_tokenizer_bytes(t, start);
    CHECK(bytes.size == 12 && memcmp(bytes.data, "<|im_start|>", 12) == 0);
    CHECK_INT(weft_tokenizer_bytes(t, INT32_MAX).size, 0);
    weft_buffer out;
    weft_buffer_init(&out, 100, "output");
    int32_t beyond[] = {start, 1 << 30, think}; /* a head may be larger than the vocabulary */
    CHECK_OK(weft_detokenize(t, beyond, 3, true, &out, &err), err);
    CHECK_STR(out.data, "<think>");
    int32_t negative = -1;
    CHECK_INT(weft_detokenize(t, &negative, 1, true, &out, &err), WEFT_ERR_INVALID);
    weft_buffer_free(&out);
    weft_tokenizer_free(t);
}

/* What Python's bytes.decode("utf-8", "replace") gives. */
static const struct {
    const char *bytes;
    size_t size;
    const char *text;
} malformed[] = {
    {"a\xFFz", 3, "a\uFFFDz"},
    {"\xC3", 1, "\uFFFD"},
    {"\xC3\x28", 2, "\uFFFD("},
    {"\xE4\xB8", 2, "\uFFFD"},
    {"\xE4\xB8z", 3, "\uFFFDz"},
    {"\xED\xA0\x80", 3, "\uFFFD\uFFFD\uFFFD"}, /* a surrogate */
    {"\xC0\xAF", 2, "\uFFFD\uFFFD"},           /* overlong */
    {"\xE0\x80\xAF", 3, "\uFFFD\uFFFD\uFFFD"},
    {"\xF0\x9F\x98", 3, "\uFFFD"},
    {"\xF0\x9F\x98\xF0\x9F\x98\x80", 7, "\uFFFD\U0001F600"},
    {"\xF0\x80\x80\x80", 4, "\uFFFD\uFFFD\uFFFD\uFFFD"},
    {"\xF4\x90\x80\x80", 4, "\uFFFD\uFFFD\uFFFD\uFFFD"},
    {"\x80\xBF", 2, "\uFFFD\uFFFD"},
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
     "A",
     9, "\uFFFD\uFFFD\uFFFD\uFFFDA"},
};

static void test_malformed(void) {
    weft_tokenizer *t = open_variant("published");
    if (!t) return;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        weft_error err = {0};
        weft_ids got = {0}, want = {0};
        CHECK_OK(weft_tokenize(t, malformed[i].bytes, malformed[i].size, true, &got, &err), err);
        CHECK_OK(weft_tokenize(t, malformed[i].text, strlen(malformed[i].text), true, &want, &err), err);
        CHECK_MSG(got.count == want.count && memcmp(got.data, want.data, got.count * sizeof *got.data) == 0,
                  "malformed text %zu", i);
        /* One token per byte gives the stream the same bytes, cut everywhere. */
        weft_detokenizer stream;
        weft_detokenizer_init(&stream, t, false);
        weft_buffer out;
        weft_buffer_init(&out, 1000, "output");
        for (size_t k = 0; k < malformed[i].size; k++) {
            int32_t id = 0; /* of the single byte */
            while (weft_tokenizer_bytes(t, id).size != 1 || *weft_tokenizer_bytes(t, id).data != malformed[i].bytes[k])
                id++;
            CHECK_OK(weft_detokenizer_push(&stream, id, &out, &err), err);
        }
        CHECK_OK(weft_detokenizer_finish(&stream, &out, &err), err);
        CHECK_STR(out.data, malformed[i].text);
        weft_buffer_free(&out);
        weft_ids_free(&got);
        weft_ids_free(&want);
    }
    weft_tokenizer_free(t);
}

/* One long word goes through other code than short ones: the ids of a unit repeated must repeat where words do not
 * join. Digits are words of their own, so joining texts with one joins their ids. */
static void test_long(void) {
    weft_tokenizer *t = open_variant("published");
    if (!t) return;
    static const char *const units[] = {"a",  "the",     "ab",           "!",          " ",
                                        "\n", "e\u0301", "\u0301\u0323", "\U0001F600", "\u4E2D"};
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        weft_error err = {0};
        weft_buffer text;
        weft_buffer_init(&text, 1 << 20, "text");
        for (int i = 0; i < 20000; i++) CHECK_OK(weft_buffer_puts(&text, units[u], &err), err);
        weft_ids once = {0}, twice = {0};
        CHECK_OK(weft_tokenize(t, text.data, text.size, true, &once, &err), err);
        CHECK(once.count > 0);
        weft_buffer back;
        weft_buffer_init(&back, 1 << 20, "text");
        CHECK_OK(weft_detokenize(t, once.data, once.count, false, &back, &err), err);
        weft_buffer normal;
        weft_buffer_init(&normal, 1 << 20, "text");
        CHECK_OK(weft_nfc(text.data, text.size, &normal, &err), err);
        CHECK(back.size == normal.size && memcmp(back.data, normal.data, back.size) == 0);
        CHECK_OK(weft_buffer_puts(&normal, "7", &err), err);
        size_t size = normal.size;
        CHECK_OK(weft_buffer_reserve(&normal, size, &err), err);
        CHECK_OK(weft_buffer_append(&normal, normal.data, size, &err), err);
        CHECK_OK(weft_tokenize(t, normal.data, normal.size, true, &twice, &err), err);
        CHECK_INT(twice.count % 2, 0);
        CHECK(memcmp(twice.data, twice.data + twice.count / 2, twice.count / 2 * sizeof *twice.data) == 0);
        weft_buffer_free(&text);
        weft_buffer_free(&back);
        weft_buffer_free(&normal);
        weft_ids_free(&once);
        weft_ids_free(&twice);
    }
    weft_tokenizer_free(t);
}

/* ---- files that must be refused ---- */

/* Loads published.json with the first `from` replaced by `to`. */
static weft_status load_changed(const char *from, const char *to, weft_error *err) {
    weft_buffer file;
    CHECK_OK(weft_read_file(DATA "published.json", 1 << 20, &file, err), *err);
    char *at = strstr(file.data, from);
    CHECK_MSG(at != NULL, "%s", from);
    char path[] = "/tmp/weft_tokenizer_XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
    CHECK(out != NULL);
    if (at && out) {
        fwrite(file.data, 1, (size_t)(at - file.data), out);
        fputs(to, out);
        fputs(at + strlen(from), out);
    }
    if (out) fclose(out);
    weft_tokenizer *tokenizer = NULL;
    weft_status status = weft_tokenizer_from_json(path, &tokenizer, err);
    CHECK((status == WEFT_OK) == (tokenizer != NULL));
    weft_tokenizer_free(tokenizer);
    remove(path);
    weft_buffer_free(&file);
    return status;
}

static const struct {
    const char *from, *to;
    weft_status status;
    const char *named; /* what the message has to say */
} changed[] = {
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", WEFT_ERR_UNSUPPORTED, "Unigram"},
    {"\"type\":\"NFC\"", "\"type\":\"NFKC\"", WEFT_ERR_UNSUPPORTED, "NFKC"},
    {"\"type\":\"Split\"", "\"type\":\"Metaspace\"", WEFT_ERR_UNSUPPORTED, "Metaspace"},
    {"\"Isolated\"", "\"Removed\"", WEFT_ERR_UNSUPPORTED, "Removed"},
    {"\"add_prefix_space\":false", "\"add_prefix_space\":true", WEFT_ERR_UNSUPPORTED, "add_prefix_space"},
    {"(?i:'s", "(?m:'s", WEFT_ERR_UNSUPPORTED, "(?m"},
    {"(?i:'s", "(?i:('s", WEFT_ERR_UNSUPPORTED, "pattern"},
    {"(?i:'s", "\\\\w|(?i:'s", WEFT_ERR_UNSUPPORTED, "\\w"},
    {"(?i:'s", "a{1,3}+|(?i:'s", WEFT_ERR_UNSUPPORTED, "3}+"},
    {"(?i:'s", "a{5000}|(?i:'s", WEFT_ERR_UNSUPPORTED, "{500"},
    {"\"dropout\":null", "\"dropout\":0.5", WEFT_ERR_UNSUPPORTED, "dropout"},
    {"\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", WEFT_ERR_UNSUPPORTED, "end_of_word_suffix"},
    {"\"dropout\":null", "\"dropout\":0.0", WEFT_OK, NULL},
    {"\"unk_token\":null", "\"unk_token\":\"a\"", WEFT_OK, NULL}, /* every byte has a token: never used */
    {"\"version\":\"1.0\"", "\"version\":\"2.0\"", WEFT_ERR_UNSUPPORTED, "2.0"},
    {"\"vocab\":{", "\"vocab\":{\"zz\":4294967296,", WEFT_ERR_FORMAT, "vocab"},
    {"\"vocab\":{", "\"vocab\":{\"zz\":2147483647,", WEFT_ERR_LIMIT, "2147483647"},
    {"\"vocab\":{", "\"vocab\":{\"zz\":-1,", WEFT_ERR_FORMAT, "vocab"},
    {"\"vocab\":{", "\"vocab\":{\"zz\":1.5,", WEFT_ERR_FORMAT, "vocab"},
    {"\"vocab\":{", "\"vocab\":{\"\\ud800\":1,", WEFT_ERR_FORMAT, "escape"},
    {"\"vocab\":{", "\"vocab\":{\"\xFF\":1,", WEFT_ERR_FORMAT, "UTF-8"},
    {"\"vocab\":{", "\"vocab\":[{", WEFT_ERR_FORMAT, "byte"},
    {"\"merges\":[", "\"merges\":[[\"zzz\",\"yyy\"],", WEFT_ERR_FORMAT, "zzz"},
    {"\"merges\":[", "\"merges\":[\"a b c\",", WEFT_ERR_FORMAT, "merge"},
    {"\"merges\":[", "\"merges\":7,\"x\":[", WEFT_ERR_FORMAT, "array"},
    {"\"merges\":[", "\"mergers\":[", WEFT_ERR_FORMAT, "merges"},
    {"\"model\":{", "\"modem\":{", WEFT_ERR_FORMAT, "model"},
    {"\"special\":true", "\"special\":1", WEFT_ERR_FORMAT, "special"},
    {"\"content\":\"<|im_start|>\"", "\"content\":5", WEFT_ERR_FORMAT, "content"},
    {"{\"version\"", "{]\"version\"", WEFT_ERR_FORMAT, "byte"},
    {"]}}", "]}", WEFT_ERR_FORMAT, "byte"},
    {"]}}", "]}} x", WEFT_ERR_FORMAT, "end"},
};

static void test_refusals(void) {
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
        weft_error err = {0};
        weft_status status = load_changed(changed[i].from, changed[i].to, &err);
        CHECK_MSG(status == changed[i].status, "%s: status %d: %s", changed[i].to, status, err.message);
        if (changed[i].named)
            CHECK_MSG(strstr(err.message, changed[i].named) != NULL, "%s: %s", changed[i].to, err.message);
    }
    char deep[4096] = "\"model\":";
    memset(deep + 8, '[', 3000);
    weft_error err = {0};
    CHECK_INT(load_changed("\"model\":", deep, &err), WEFT_ERR_FORMAT);
    CHECK(strstr(err.message, "nesting") != NULL);
    weft_tokenizer *none;
    CHECK_INT(weft_tokenizer_from_json(DATA "no such file", &none, &err), WEFT_ERR_NOT_FOUND);
}

/* Patterns whose time is exponential, or quadratic without any backtracking, are stopped. */
static void check_pattern_limit(const char *pattern) { /* 13 bytes, like the one it takes the place of */
    weft_error err = {0};
    weft_buffer file;
    CHECK_OK(weft_read_file(DATA "pieces.json", 1 << 20, &file, &err), err);
    char *at = strstr(file.data, "[A-Z]?[a-z]+|");
    CHECK(at != NULL && strlen(pattern) == 13);
    if (at) memcpy(at, pattern, 13);
    char path[] = "/tmp/weft_tokenizer_XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, file.data, file.size) == (ssize_t)file.size);
    close(fd);
    weft_tokenizer *t = NULL;
    CHECK_OK(weft_tokenizer_from_json(path, &t, &err), err);
    char text[5000];
    memset(text, 'a', sizeof text);
    weft_ids ids = {0};
    if (t) CHECK_INT(weft_tokenize(t, text, sizeof text, true, &ids, &err), WEFT_ERR_LIMIT);
    CHECK_INT(ids.count, 0);
    weft_tokenizer_free(t);
    weft_ids_free(&ids);
    remove(path);
    weft_buffer_free(&file);
}

static void test_pattern_limit(void) {
    check_pattern_limit("(a*a*)*(a+)*!");
    check_pattern_limit("a(?=a*[bcd])|");
}

/* ---- the command for lab/tokenizer_fuzz.py ---- */

static int print_ids(const char *path, bool parse_special) {
    weft_error err;
    weft_tokenizer *tokenizer;
    if (weft_tokenizer_from_json(path, &tokenizer, &err) != WEFT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) > 0;) {
        json_t *text = json_loadb(line, (size_t)size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        weft_ids ids = {0};
        const char *bytes = json_string_value(text);
        bool done =
            bytes && weft_tokenize(tokenizer, bytes, json_string_length(text), parse_special, &ids, &err) == WEFT_OK;
        fputs(done ? "[" : "null", stdout);
        for (size_t i = 0; i < ids.count; i++) printf(i ? ",%d" : "%d", (int)ids.data[i]);
        puts(done ? "]" : "");
        weft_ids_free(&ids);
        json_decref(text);
    }
    free(line);
    weft_tokenizer_free(tokenizer);
    return 0;
}

int main(int count, char **arguments) {
    if (count >= 3 && strcmp(arguments[1], "ids") == 0)
        return print_ids(arguments[2], !(count > 3 && strcmp(arguments[3], "plain") == 0));
    test_variants();
    test_words();
    test_spec();
    test_lookups();
    test_malformed();
    test_long();
    test_refusals();
    test_pattern_limit();
    return testing_summary();
}
