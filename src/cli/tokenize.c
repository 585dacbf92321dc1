/* weft tokenize and weft detokenize: JSON lines in, JSON lines out. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { LINE_MAX_BYTES = 1 << 30 };

/* A JSON string -> a JSON array of ids, or back. */
typedef weft_status line_function(const weft_model *model, const char *line, size_t size, weft_error *err);

static weft_status tokenize_line(const weft_model *model, const char *line, size_t size, weft_error *err) {
    json_error_t where;
    json_t *value = json_loadb(line, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    if (!json_is_string(value)) {
        json_decref(value);
        return weft_fail(err, WEFT_ERR_INVALID, "not a JSON string%s%s", value ? "" : ": ", value ? "" : where.text);
    }
    int32_t *ids = NULL;
    size_t count = 0;
    weft_status status = weft_model_tokenize(model, json_string_value(value), json_string_length(value), true, &ids, &count, err);
    json_decref(value);
    if (status != WEFT_OK) return status;
    putchar('[');
    for (size_t i = 0; i < count; i++) printf(i ? ", %d" : "%d", ids[i]);
    puts("]");
    weft_free(ids);
    return WEFT_OK;
}

static weft_status detokenize_line(const weft_model *model, const char *line, size_t size, weft_error *err) {
    json_t *value = json_loadb(line, size, 0, NULL);
    size_t count = json_array_size(value);
    int32_t *ids = malloc(sizeof *ids * (count + 1));
    weft_status status = WEFT_OK;
    if (!json_is_array(value) || !ids) status = weft_fail(err, WEFT_ERR_INVALID, "not a JSON array of token ids");
    for (size_t i = 0; status == WEFT_OK && i < count; i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0 || json_integer_value(item) > INT32_MAX)
            status = weft_fail(err, WEFT_ERR_INVALID, "entry %zu is not a token id", i);
        else
            ids[i] = (int32_t)json_integer_value(item);
    }
    json_decref(value);
    char *text = NULL;
    size_t text_size = 0;
    if (status == WEFT_OK) status = weft_model_detokenize(model, ids, count, false, &text, &text_size, err);
    free(ids);
    if (status != WEFT_OK) return status;
    json_t *string = json_stringn(text, text_size);
    json_dumpf(string, stdout, JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(string);
    weft_free(text);
    return WEFT_OK;
}

static int run_lines(int argc, char **argv, const char *usage, line_function *function) {
    weft_cli_model model_options = {0};
    const char *file = "-";
    const weft_option options[] = {
        {"--model", "-m", WEFT_OPTION_TEXT, &model_options.path, "model: a Hugging Face folder or a .gguf file"},
        {"--file", "-f", WEFT_OPTION_TEXT, &file, "input, one JSON value a line (default: standard input)"},
        {0},
    };
    int code = weft_cli_parse(argc, argv, usage, options, NULL);
    if (code >= 0) return code;
    weft_error err;
    weft_model *model = NULL;
    if (weft_cli_open_model(&model_options, true, &model, &err) != WEFT_OK) return weft_cli_fail(&err);
    weft_buffer input;
    weft_status status = weft_cli_read(file, LINE_MAX_BYTES, &input, &err);
    if (status == WEFT_OK) {
        long long number = 0;
        for (const char *line = input.data, *end = line + input.size; status == WEFT_OK && line && line < end;) {
            const char *newline = memchr(line, '\n', (size_t)(end - line));
            size_t size = newline ? (size_t)(newline - line) : (size_t)(end - line);
            number++;
            if (size > 0 && !(size == 1 && *line == '\r')) status = function(model, line, size, &err);
            line += size + 1;
        }
        if (status != WEFT_OK) weft_error_prefix(&err, "%s: line %lld", file, number);
        weft_buffer_free(&input);
    }
    weft_model_close(model);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}

int weft_cmd_tokenize(int argc, char **argv) {
    return run_lines(argc, argv, "weft tokenize --model MODEL --file IN.jsonl", tokenize_line);
}

int weft_cmd_detokenize(int argc, char **argv) {
    return run_lines(argc, argv, "weft detokenize --model MODEL --file IDS.jsonl", detokenize_line);
}
