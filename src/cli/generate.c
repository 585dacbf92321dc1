/* weft generate and weft dump: one OpenAI-style chat request from a file. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

enum { REQUEST_MAX_BYTES = 512 << 20 };

static const char *const everywhere[] = {"/", NULL}; /* the user's own command may read the user's files */

/* Prints text as it comes; reasoning goes to stderr, so that standard output holds the answer alone. */
static int print_answer(weft_request *request, bool quiet, weft_error *err) {
    for (;;) {
        weft_event event;
        weft_request_poll(request, 200, &event);
        if (weft_cli_interrupted()) weft_request_cancel(request);
        switch (event.kind) {
        case WEFT_EVENT_CONTENT:
        case WEFT_EVENT_TOOL_CALL:
            if (!quiet) {
                fwrite(event.text, 1, event.text_size, stdout);
                if (event.kind == WEFT_EVENT_TOOL_CALL) putchar('\n');
                fflush(stdout);
            }
            break;
        case WEFT_EVENT_REASONING:
            if (!quiet) fwrite(event.text, 1, event.text_size, stderr);
            break;
        case WEFT_EVENT_DONE:
            if (!quiet) putchar('\n');
            return 0;
        case WEFT_EVENT_ERROR: *err = event.error; return weft_cli_fail(err);
        default: break;
        }
    }
}

static int run_generate(const weft_cli_model *model_options, const weft_model *model, const weft_request_options *request_options, bool print_ids) {
    weft_error err;
    weft_engine_options engine_options = weft_cli_engine_options(model_options, everywhere);
    weft_engine *engine = NULL;
    if (weft_engine_create(model, &engine_options, &engine, &err) != WEFT_OK) return weft_cli_fail(&err);
    weft_request *request = NULL;
    int code;
    if (weft_engine_submit(engine, request_options, &request, &err) != WEFT_OK) {
        code = weft_cli_fail(&err);
    } else {
        code = print_answer(request, print_ids, &err);
        if (code == 0 && print_ids) {
            size_t count;
            const int32_t *ids = weft_request_ids(request, &count);
            putchar('[');
            for (size_t i = 0; i < count; i++) printf(i ? ", %d" : "%d", ids[i]);
            puts("]");
        }
        weft_request_free(request);
    }
    weft_engine_destroy(engine);
    return code;
}

int weft_cmd_generate(int argc, char **argv) {
    weft_cli_model model_options = {0};
    const char *file = "-";
    bool greedy = false, ids = false;
    int64_t max_tokens = 0;
    const weft_option options[] = {
        WEFT_CLI_MODEL_OPTIONS(model_options),
        WEFT_CLI_URL_OPTIONS(model_options),
        {"--request", "-r", WEFT_OPTION_TEXT, &file, "the request, an OpenAI chat completion body (default: standard input)"},
        {"--greedy", NULL, WEFT_OPTION_FLAG, &greedy, "always the likeliest token"},
        {"--max-tokens", "-n", WEFT_OPTION_INT, &max_tokens, "tokens at most (default: the request's)"},
        {"--ids", NULL, WEFT_OPTION_FLAG, &ids, "print the generated ids as one JSON array instead of text"},
        {0},
    };
    int code = weft_cli_parse(argc, argv, "weft generate --model MODEL --request R.json [--greedy] [--max-tokens N] [--ids]", options, NULL);
    if (code >= 0) return code;
    weft_error err;
    weft_model *model = NULL;
    weft_buffer body;
    if (weft_cli_open_model(&model_options, false, &model, &err) != WEFT_OK) return weft_cli_fail(&err);
    if (weft_cli_read(file, REQUEST_MAX_BYTES, &body, &err) != WEFT_OK) {
        weft_model_close(model);
        return weft_cli_fail(&err);
    }
    weft_request_options request = {.json = body.data, .json_size = body.size, .greedy = greedy, .max_tokens = max_tokens};
    code = run_generate(&model_options, model, &request, ids);
    weft_buffer_free(&body);
    weft_model_close(model);
    return code;
}

int weft_cmd_dump(int argc, char **argv) {
    weft_cli_model model_options = {0};
    const char *file = "-", *out = NULL, *stages = "all";
    bool last = false, served = false;
    const weft_option options[] = {
        WEFT_CLI_MODEL_OPTIONS(model_options),
        WEFT_CLI_URL_OPTIONS(model_options),
        {"--request", "-r", WEFT_OPTION_TEXT, &file, "the request, an OpenAI chat completion body (default: standard input)"},
        {"--out", "-o", WEFT_OPTION_TEXT, &out, "folder for the .npy files"},
        {"--stages", NULL, WEFT_OPTION_TEXT, &stages, "prompt, input_ids, position_ids, pixel_values, vision_embeds, deepstack, hidden, logits; all"},
        {"--last", NULL, WEFT_OPTION_FLAG, &last, "logits of the last position only"},
        {"--served", NULL, WEFT_OPTION_FLAG, &served, "as requests are served, instead of exactly"},
        {0},
    };
    int code = weft_cli_parse(argc, argv, "weft dump --model MODEL --request R.json --out DIR [--stages LIST] [--last] [--served]", options, NULL);
    if (code >= 0) return code;
    if (!out) {
        fprintf(stderr, "weft: error: name the output folder with --out DIR\n");
        return 2;
    }
    weft_error err;
    weft_model *model = NULL;
    weft_buffer body;
    weft_status status = weft_cli_open_model(&model_options, false, &model, &err);
    if (status != WEFT_OK) return weft_cli_fail(&err);
    status = weft_cli_read(file, REQUEST_MAX_BYTES, &body, &err);
    if (status == WEFT_OK) {
        weft_engine_options engine_options = weft_cli_engine_options(&model_options, everywhere);
        engine_options.exact = !served;
        weft_request_options request = {.json = body.data, .json_size = body.size};
        status = weft_dump(model, &engine_options, &request, stages, last, out, &err);
        weft_buffer_free(&body);
    }
    weft_model_close(model);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}
