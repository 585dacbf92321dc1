/* The command line: which command. See cli.h. */
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "cli/cli.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"serve", weft_cmd_serve, "OpenAI-compatible server and web page (port 8080)"},
    {"chat", weft_cmd_chat, "ask in the terminal, with pictures: weft chat -m MODEL --image a.png \"question\""},
    {"plan", weft_cmd_plan, "what pictures and clips would cost: tokens, seconds, memory"},
    {"index", weft_cmd_index, "look through a long video once: captions, segment by segment"},
    {"find", weft_cmd_find, "find moments of a video by words: weft find VIDEO \"the red car stops\""},
    {"inspect", weft_cmd_inspect, "what a model's files hold"},
    {"generate", weft_cmd_generate, "run one chat request from a JSON file"},
    {"bench", weft_cmd_bench, "how fast a model runs here: prefill, decode, pictures, load"},
    {"cache", weft_cmd_cache, "re-laid weights kept on disk: list, clear"},
    {"dump", weft_cmd_dump, "run one chat request exactly and write every stage as .npy"},
    {"tokenize", weft_cmd_tokenize, "text to token ids, a JSON string a line"},
    {"detokenize", weft_cmd_detokenize, "token ids to text, a JSON array a line"},
};

static void print_usage(FILE *file) {
    fprintf(file, "weft %s: Qwen3-VL models on your own machine\n\nusage: weft COMMAND [options]\n\n", WEFT_VERSION);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) fprintf(file, "  %-11s %s\n", commands[i].name, commands[i].help);
    fprintf(file, "\n'weft COMMAND --help' lists a command's options. Without --model the embedded tiny model is used.\n");
}

/* A full disk must not pass for a complete answer. */
static int check_output(int code) {
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (code != 0 || !failed) return code;
    fprintf(stderr, "weft: error: standard output cannot be written\n");
    return 1;
}

/* Blocks of this size and more go back to the system when they are freed. glibc's own limit grows with the largest block freed, up to
 * 32 MiB, so that a server would keep the pixels of its largest request. */
enum { RETURNED_BYTES_MIN = 256 << 10 };

int weft_cli_main(int argc, char **argv) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, RETURNED_BYTES_MIN);
#endif
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("weft %s\n", WEFT_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return check_output(commands[i].run(argc - 1, argv + 1));
    fprintf(stderr, "weft: error: unknown command '%s'\n\n", argv[1]);
    print_usage(stderr);
    return 2;
}
