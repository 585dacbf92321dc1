/* weft chat: a conversation in the terminal; with a question on the command line, one answer and out. */
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

typedef struct chat_options {
    weft_cli_model model;
    weft_cli_list images;
    weft_cli_list videos;
    weft_cli_list files;
    const char *pages, *mode, *password;
    int64_t dpi;
    const char *system;
    double temperature, top_p;
    int64_t top_k, seed, max_tokens;
    bool no_stats;
} chat_options;

typedef struct conversation {
    const chat_options *options;
    weft_engine *engine;
    json_t *messages;
    json_t *pending; /* media parts for the next question */
} conversation;

static const char *const everywhere[] = {"/", NULL}; /* the user's own command may read the user's files */

static weft_status attach(conversation *chat, const char *kind, const char *path, weft_error *err) {
    json_t *part = weft_cli_media_part(kind, path, err);
    if (!part) return err->status;
    json_array_append_new(chat->pending, part);
    return WEFT_OK;
}

/* A document (or whatever the file is), with the options that were given for documents. */
static weft_status attach_file(conversation *chat, const char *path, weft_error *err) {
    const chat_options *o = chat->options;
    const char *slash = strrchr(path, '/');
    json_t *source = weft_cli_media_part("file", path, err);
    if (!source) return err->status;
    json_t *file = json_object_get(source, "file");
    json_object_set_new(file, "filename", json_string(slash ? slash + 1 : path));
    if (o->pages) json_object_set_new(file, "pages", json_string(o->pages));
    if (o->mode) json_object_set_new(file, "mode", json_string(o->mode));
    if (o->password) json_object_set_new(file, "password", json_string(o->password));
    if (o->dpi > 0) json_object_set_new(file, "dpi", json_integer(o->dpi));
    json_array_append_new(chat->pending, source);
    return WEFT_OK;
}

static void show_progress(const weft_progress *p, bool *shown) {
    static const char *const words[] = {"waiting", "decoding pictures", "reading the picture", "reading the prompt", ""};
    if (!isatty(STDERR_FILENO) || p->stage == WEFT_STAGE_GENERATE) return;
    if (p->total > 0 && p->eta_ms >= 1000)
        fprintf(stderr, "\r\033[K%s: %lld of %lld, about %lld s left", words[p->stage], (long long)p->done, (long long)p->total, (long long)(p->eta_ms + 500) / 1000);
    else
        fprintf(stderr, "\r\033[K%s: %lld of %lld", words[p->stage], (long long)p->done, (long long)p->total);
    *shown = true;
}

static void clear_progress(bool *shown) {
    if (*shown) fputs("\r\033[K", stderr);
    *shown = false;
}

static json_t *request_body(const conversation *chat) {
    const chat_options *o = chat->options;
    json_t *body = json_pack("{s:O}", "messages", chat->messages);
    if (!isnan(o->temperature)) json_object_set_new(body, "temperature", json_real(o->temperature));
    if (!isnan(o->top_p)) json_object_set_new(body, "top_p", json_real(o->top_p));
    if (o->top_k >= 0) json_object_set_new(body, "top_k", json_integer(o->top_k));
    if (o->seed >= 0) json_object_set_new(body, "seed", json_integer(o->seed));
    if (o->max_tokens > 0) json_object_set_new(body, "max_tokens", json_integer(o->max_tokens));
    return body;
}

/* Streams the answer to the terminal and keeps its text. Returns the final event. */
static weft_event stream_answer(weft_request *request, weft_buffer *answer) {
    bool shown = false, in_reasoning = false;
    weft_error ignored;
    for (;;) {
        weft_event event;
        weft_request_poll(request, 200, &event);
        if (weft_cli_interrupted()) weft_request_cancel(request);
        if (event.kind == WEFT_EVENT_NONE) continue;
        if (event.kind == WEFT_EVENT_PROGRESS) {
            show_progress(&event.progress, &shown);
            continue;
        }
        clear_progress(&shown);
        if (event.kind == WEFT_EVENT_DONE || event.kind == WEFT_EVENT_ERROR) return event;
        bool dim = event.kind == WEFT_EVENT_REASONING && isatty(STDOUT_FILENO);
        if (in_reasoning && event.kind != WEFT_EVENT_REASONING) fputs("\n\n", stderr);
        in_reasoning = event.kind == WEFT_EVENT_REASONING;
        FILE *out = in_reasoning ? stderr : stdout;
        if (dim) fputs("\033[2m", out);
        fwrite(event.text, 1, event.text_size, out);
        if (dim) fputs("\033[0m", out);
        fflush(out);
        if (event.kind == WEFT_EVENT_CONTENT && weft_buffer_append(answer, event.text, event.text_size, &ignored) != WEFT_OK)
            weft_request_cancel(request);
    }
}

/* Asks `question` with the pending media; on success the turn stays in the history, on failure it is taken back. */
static int ask(conversation *chat, const char *question) {
    weft_error err;
    size_t before = json_array_size(chat->messages);
    json_t *text = json_pack("{s:s, s:s}", "type", "text", "text", question);
    if (!text) {
        fprintf(stderr, "weft: error: the question is not UTF-8\n");
        return 1;
    }
    json_array_append_new(chat->pending, text);
    json_array_append_new(chat->messages, json_pack("{s:s, s:o}", "role", "user", "content", chat->pending));
    chat->pending = json_array();
    json_t *body = request_body(chat);
    char *json = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    weft_request_options options = {.json = json, .json_size = json ? strlen(json) : 0};
    weft_request *request = NULL;
    weft_buffer answer;
    weft_buffer_init(&answer, 64 << 20, "the answer");
    int code = 0;
    weft_cli_clear_interrupt();
    if (weft_engine_submit(chat->engine, &options, &request, &err) != WEFT_OK) {
        code = weft_cli_fail(&err);
    } else {
        weft_event final = stream_answer(request, &answer);
        if (final.kind == WEFT_EVENT_ERROR) {
            code = weft_cli_fail(&final.error);
        } else {
            putchar('\n');
            fflush(stdout);
            const weft_usage *u = &final.usage;
            if (!chat->options->no_stats && isatty(STDERR_FILENO))
                fprintf(stderr, "[%lld + %lld tokens, first after %.1f s, %.1f tokens/s%s]\n", (long long)u->prompt_tokens,
                        (long long)u->completion_tokens, u->first_token_ms / 1e3,
                        u->generate_ms > 0 ? (double)(u->completion_tokens - 1) / u->generate_ms * 1e3 : 0,
                        strcmp(final.finish_reason, "cancelled") == 0 ? ", stopped" : strcmp(final.finish_reason, "length") == 0 ? ", cut at the limit" : "");
            json_array_append_new(chat->messages, json_pack("{s:s, s:s#}", "role", "assistant", "content", answer.data ? answer.data : "", (int)answer.size));
        }
        weft_request_free(request);
    }
    while (code && json_array_size(chat->messages) > before) json_array_remove(chat->messages, json_array_size(chat->messages) - 1);
    weft_buffer_free(&answer);
    free(json);
    return code;
}

static void start_over(conversation *chat) {
    json_array_clear(chat->messages);
    json_array_clear(chat->pending);
    if (chat->options->system)
        json_array_append_new(chat->messages, json_pack("{s:s, s:s}", "role", "system", "content", chat->options->system));
}

/* A line that begins with '/'. Returns false to leave. */
static bool run_command(conversation *chat, char *line) {
    weft_error err;
    char *argument = line + strcspn(line, " ");
    while (*argument == ' ') *argument++ = 0;
    if (strcmp(line, "/quit") == 0 || strcmp(line, "/exit") == 0) return false;
    if (strcmp(line, "/clear") == 0) {
        start_over(chat);
    } else if (strcmp(line, "/file") == 0 && *argument) {
        if (attach_file(chat, argument, &err) != WEFT_OK)
            weft_cli_fail(&err);
        else
            fprintf(stderr, "attached %s; ask about it\n", argument);
    } else if ((strcmp(line, "/image") == 0 || strcmp(line, "/video") == 0) && *argument) {
        if (attach(chat, line[1] == 'i' ? "image_url" : "video_url", argument, &err) != WEFT_OK)
            weft_cli_fail(&err);
        else
            fprintf(stderr, "attached %s; ask about it\n", argument);
    } else {
        fprintf(stderr, "/image FILE   attach a picture to the next question\n/video FILE   attach a clip\n/file FILE    attach a PDF document\n"
                        "/clear        start a new conversation\n/quit         leave (or Ctrl+D); Ctrl+C stops an answer\n");
    }
    return true;
}

static int converse(conversation *chat, const char *name) {
    fprintf(stderr, "%s. /image FILE attaches a picture, /help lists more, Ctrl+D leaves.\n", name);
    char *line = NULL;
    size_t capacity = 0;
    for (;;) {
        if (isatty(STDIN_FILENO)) fputs("> ", stderr);
        weft_cli_clear_interrupt();
        ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0) break;
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r')) line[--size] = 0;
        if (size == 0) continue;
        if (line[0] == '/') {
            if (!run_command(chat, line)) break;
        } else {
            ask(chat, line);
        }
    }
    free(line);
    return 0;
}

static int run_chat(chat_options *options, const weft_cli_list *words) {
    weft_error err;
    weft_model *model = NULL;
    conversation chat = {.options = options, .messages = json_array(), .pending = json_array()};
    weft_status status = weft_cli_open_model(&options->model, false, &model, &err);
    weft_engine_options engine_options = weft_cli_engine_options(&options->model, everywhere);
    if (status == WEFT_OK) status = weft_engine_create(model, &engine_options, &chat.engine, &err);
    start_over(&chat);
    for (int i = 0; status == WEFT_OK && i < options->images.count; i++) status = attach(&chat, "image_url", options->images.items[i], &err);
    for (int i = 0; status == WEFT_OK && i < options->videos.count; i++) status = attach(&chat, "video_url", options->videos.items[i], &err);
    for (int i = 0; status == WEFT_OK && i < options->files.count; i++) status = attach_file(&chat, options->files.items[i], &err);
    int code = 1;
    weft_cli_interrupted(); /* arms Ctrl+C */
    if (status != WEFT_OK) {
        weft_cli_fail(&err);
    } else if (words->count > 0) { /* the words of the question, as typed */
        weft_buffer question;
        weft_buffer_init(&question, 16 << 20, "the question");
        for (int i = 0; status == WEFT_OK && i < words->count; i++) {
            if (i > 0) status = weft_buffer_puts(&question, " ", &err);
            if (status == WEFT_OK) status = weft_buffer_puts(&question, words->items[i], &err);
        }
        code = status == WEFT_OK ? ask(&chat, question.data) : weft_cli_fail(&err);
        weft_buffer_free(&question);
    } else {
        code = converse(&chat, weft_model_get_info(model)->name);
    }
    json_decref(chat.messages);
    json_decref(chat.pending);
    weft_engine_destroy(chat.engine);
    weft_model_close(model);
    return code;
}

int weft_cmd_chat(int argc, char **argv) {
    chat_options o = {.temperature = NAN, .top_p = NAN, .top_k = -1, .seed = -1};
    weft_cli_list words = {0};
    const weft_option options[] = {
        WEFT_CLI_MODEL_OPTIONS(o.model),
        WEFT_CLI_URL_OPTIONS(o.model),
        {"--image", "-i", WEFT_OPTION_LIST, &o.images, "a picture for the (first) question; may be repeated"},
        {"--video", NULL, WEFT_OPTION_LIST, &o.videos, "a clip for the (first) question; may be repeated"},
        {"--file", "-f", WEFT_OPTION_LIST, &o.files, "a PDF document for the (first) question; may be repeated"},
        {"--pages", NULL, WEFT_OPTION_TEXT, &o.pages, "pages of documents, as 1-3,7 (default: all)"},
        {"--pdf-mode", NULL, WEFT_OPTION_TEXT, &o.mode, "what of documents is shown: pages, text, both (default: both)"},
        {"--dpi", NULL, WEFT_OPTION_INT, &o.dpi, "resolution of document pages (default: 100)"},
        {"--password", NULL, WEFT_OPTION_TEXT, &o.password, "password of encrypted documents"},
        {"--system", "-s", WEFT_OPTION_TEXT, &o.system, "system message"},
        {"--temperature", NULL, WEFT_OPTION_NUMBER, &o.temperature, "0 for the likeliest token (default: the checkpoint's)"},
        {"--top-p", NULL, WEFT_OPTION_NUMBER, &o.top_p, "nucleus sampling (default: the checkpoint's)"},
        {"--top-k", NULL, WEFT_OPTION_INT, &o.top_k, "0 for all (default: the checkpoint's)"},
        {"--seed", NULL, WEFT_OPTION_INT, &o.seed, "for repeatable answers"},
        {"--max-tokens", "-n", WEFT_OPTION_INT, &o.max_tokens, "tokens of an answer at most"},
        {"--quiet", "-q", WEFT_OPTION_FLAG, &o.no_stats, "no figures after an answer"},
        {0},
    };
    int code = weft_cli_parse(argc, argv, "weft chat [--model MODEL] [--image FILE …] [QUESTION …]", options, &words);
    return code >= 0 ? code : run_chat(&o, &words);
}
