/* weft inspect: what a model's files hold. */
#include <stdio.h>

#include "cli/cli.h"

int weft_cmd_inspect(int argc, char **argv) {
    const char *mmproj = NULL, *model = NULL;
    bool json = false;
    weft_cli_list words = {0};
    const weft_option options[] = {
        {"--model", "-m", WEFT_OPTION_TEXT, &model, "the model (or just its path as an argument)"},
        {"--mmproj", NULL, WEFT_OPTION_TEXT, &mmproj, "vision GGUF (default: looked for beside the model)"},
        {"--json", NULL, WEFT_OPTION_FLAG, &json, "one JSON object instead of a table"},
        {0},
    };
    int code = weft_cli_parse(argc, argv, "weft inspect MODEL [--mmproj FILE] [--json]", options, &words);
    if (code >= 0) return code;
    if (!model && words.count == 1) model = words.items[0];
    if (!model) {
        fprintf(stderr, "weft: error: name one model: weft inspect MODEL\n");
        return 2;
    }
    weft_error err;
    char *text = NULL;
    weft_status status = weft_model_inspect(model, mmproj, json, &text, &err);
    if (text) fputs(text, stdout);
    weft_free(text);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}
