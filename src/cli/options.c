/* Options of the command line: a table per command. See cli.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static void print_help(const char *usage, const weft_option *options) {
    printf("usage: %s\n\n", usage);
    for (; options->name; options++) {
        static const char *const values[] = {
            [WEFT_OPTION_FLAG] = "",        [WEFT_OPTION_TEXT] = " TEXT",  [WEFT_OPTION_INT] = " N",
            [WEFT_OPTION_NUMBER] = " X",    [WEFT_OPTION_BYTES] = " SIZE", [WEFT_OPTION_LIST] = " TEXT …",
        };
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s", options->brief ? options->brief : "", options->brief ? ", " : "", options->name, values[options->kind]);
        printf("  %-26s %s\n", left, options->help);
    }
}

static bool parse_bytes(const char *text, uint64_t *value) {
    char *end;
    double number = strtod(text, &end);
    double unit = 1;
    switch (*end) {
    case 'k': case 'K': unit = 1024.0; break;
    case 'm': case 'M': unit = 1024.0 * 1024; break;
    case 'g': case 'G': unit = 1024.0 * 1024 * 1024; break;
    case 't': case 'T': unit = 1024.0 * 1024 * 1024 * 1024; break;
    case 0: break;
    default: return false;
    }
    if (*end && strcmp(end + 1, "") != 0 && strcmp(end + 1, "B") != 0 && strcmp(end + 1, "iB") != 0) return false;
    if (end == text || !(number > 0) || number * unit > 1e18) return false;
    *value = (uint64_t)(number * unit);
    return true;
}

static bool store_value(const weft_option *option, const char *text) {
    char *end;
    switch (option->kind) {
    case WEFT_OPTION_FLAG: *(bool *)option->value = true; return true;
    case WEFT_OPTION_TEXT: *(const char **)option->value = text; return true;
    case WEFT_OPTION_INT: {
        long long number = strtoll(text, &end, 10);
        *(int64_t *)option->value = number;
        return end != text && *end == 0 && number >= 0;
    }
    case WEFT_OPTION_NUMBER:
        *(double *)option->value = strtod(text, &end);
        return end != text && *end == 0;
    case WEFT_OPTION_BYTES: return parse_bytes(text, option->value);
    case WEFT_OPTION_LIST: {
        weft_cli_list *list = option->value;
        if (list->count == WEFT_CLI_LIST_MAX) return false;
        list->items[list->count++] = text;
        return true;
    }
    }
    return false;
}

static const weft_option *find_option(const weft_option *options, const char *name, size_t size) {
    for (; options->name; options++)
        if ((strlen(options->name) == size && memcmp(options->name, name, size) == 0) ||
            (options->brief && strlen(options->brief) == size && memcmp(options->brief, name, size) == 0))
            return options;
    return NULL;
}

int weft_cli_parse(int argc, char **argv, const char *usage, const weft_option *options, weft_cli_list *words) {
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_words && strcmp(arg, "--") == 0) {
            only_words = true;
            continue;
        }
        if (only_words || arg[0] != '-' || arg[1] == 0) {
            if (words && words->count < WEFT_CLI_LIST_MAX) {
                words->items[words->count++] = arg;
                continue;
            }
            fprintf(stderr, "weft: error: unexpected argument '%s'\nusage: %s\n", arg, usage);
            return 2;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            print_help(usage, options);
            return 0;
        }
        size_t size = strncmp(arg, "--", 2) == 0 ? strcspn(arg, "=") : strlen(arg);
        const weft_option *option = find_option(options, arg, size);
        if (!option) {
            fprintf(stderr, "weft: error: unknown option '%s'; --help lists them\n", arg);
            return 2;
        }
        const char *value = arg[size] == '=' ? arg + size + 1 : NULL;
        if (option->kind != WEFT_OPTION_FLAG && !value) {
            if (i + 1 == argc) {
                fprintf(stderr, "weft: error: option '%s' needs a value\n", arg);
                return 2;
            }
            value = argv[++i];
        }
        if ((option->kind == WEFT_OPTION_FLAG && value) || !store_value(option, value)) {
            fprintf(stderr, "weft: error: option '%.*s' does not take '%s'\n", (int)size, arg, value);
            return 2;
        }
    }
    return -1;
}
