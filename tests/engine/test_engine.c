/* The engine as its callers see it, on a small random checkpoint: sharing a step changes nobody's answer, cancelling frees what
 * was held, limits are refused by name, file: URLs stay inside their roots. */
#include "weft.h"

#include <stdatomic.h>

#include "testing.h"

#define MODEL WEFT_TEST_DATA "/models/dense_tied/model"
enum { TOKENS = 40, REQUESTS = 12 };

static const char *const golden_root[] = {WEFT_TEST_DATA "/media", NULL};

static int wait_end(weft_request *request, weft_event *event) {
    for (;;) {
        weft_request_poll(request, 20000, event);
        if (event->kind == WEFT_EVENT_NONE) return -1; /* nothing for twenty seconds */
        if (event->kind == WEFT_EVENT_DONE || event->kind == WEFT_EVENT_ERROR) return 0;
    }
}

static weft_status submit(weft_engine *engine, const char *json, int64_t tokens, weft_request **request, weft_error *err) {
    weft_request_options options = {.json = json, .json_size = strlen(json), .greedy = true, .max_tokens = tokens};
    return weft_engine_submit(engine, &options, request, err);
}

static void make_request(int i, char *json, size_t size) {
    if (i % 3 == 2)
        snprintf(json, size, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file://%s/media/small.png\"}},"
                             "{\"type\":\"text\",\"text\":\"picture %d\"}]}]}", WEFT_TEST_DATA, i);
    else
        snprintf(json, size, "{\"messages\":[{\"role\":\"user\",\"content\":\"question %d %.*s\"}]}", i, i * 40, "words and more words, "
                             "words and more words, words and more words, words and more words, words and more words, words and more words, "
                             "words and more words, words and more words, words and more words, words and more words, words and more words, "
                             "words and more words, words and more words, words and more words, words and more words, words and more words");
}

static void test_sharing(const weft_model *model) {
    weft_error err;
    weft_engine *engine = NULL;
    weft_engine_options options = {.media_roots = golden_root, .threads = 2};
    CHECK_OK(weft_engine_create(model, &options, &engine, &err), err);
    static int32_t alone[REQUESTS][TOKENS];
    size_t alone_count[REQUESTS];
    char json[4096];
    weft_event event;
    for (int i = 0; i < REQUESTS; i++) {
        weft_request *request = NULL;
        make_request(i, json, sizeof json);
        CHECK_OK(submit(engine, json, TOKENS, &request, &err), err);
        CHECK_INT(wait_end(request, &event), 0);
        CHECK_MSG(event.kind == WEFT_EVENT_DONE, "%s", event.error.message);
        const int32_t *ids = weft_request_ids(request, &alone_count[i]);
        memcpy(alone[i], ids, sizeof(int32_t) * alone_count[i]);
        CHECK(alone_count[i] > 0 && (event.usage.completion_tokens == (int64_t)alone_count[i]));
        weft_request_free(request);
    }
    weft_request *together[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        make_request(i, json, sizeof json);
        CHECK_OK(submit(engine, json, TOKENS, &together[i], &err), err);
    }
    for (int i = 0; i < REQUESTS; i++) {
        CHECK_INT(wait_end(together[i], &event), 0);
        size_t count;
        const int32_t *ids = weft_request_ids(together[i], &count);
        CHECK_INT(count, alone_count[i]);
        CHECK_MSG(count == alone_count[i] && memcmp(ids, alone[i], sizeof(int32_t) * count) == 0, "request %d differs in company", i);
        weft_request_free(together[i]);
    }
    weft_engine_destroy(engine);
}

static void test_cancel(const weft_model *model) {
    weft_error err;
    weft_engine *engine = NULL;
    weft_engine_options options = {.memory_bytes = 8 << 20, .threads = 2}; /* little enough that leaked pages would be missed */
    CHECK_OK(weft_engine_create(model, &options, &engine, &err), err);
    const char *json = "{\"messages\":[{\"role\":\"user\",\"content\":\"go on for ever\"}],\"seed\":1,\"temperature\":1.5}";
    for (int i = 0; i < 60; i++) {
        weft_request *request = NULL;
        weft_request_options request_options = {.json = json, .json_size = strlen(json)};
        CHECK_OK(weft_engine_submit(engine, &request_options, &request, &err), err);
        weft_event event;
        if (i % 2) weft_request_poll(request, 1000, &event);
        if (i % 3 == 0) {
            weft_request_cancel(request);
            CHECK_INT(wait_end(request, &event), 0);
            CHECK(event.kind == WEFT_EVENT_DONE);
        }
        weft_request_free(request);
    }
    weft_request *request = NULL;
    weft_event event;
    CHECK_OK(submit(engine, "{\"messages\":[{\"role\":\"user\",\"content\":\"still there?\"}]}", 4, &request, &err), err);
    CHECK_INT(wait_end(request, &event), 0);
    CHECK(event.kind == WEFT_EVENT_DONE && event.usage.completion_tokens > 0);
    weft_request_free(request);
    weft_engine_destroy(engine);
}

/* What a background request and another one saw of each other; written by the engine's thread only. */
static atomic_int background_events;
static atomic_int seen_first, seen_last; /* of the former, when the latter had its first and its latest event; -1: none yet */

static void on_background(void *context) {
    (void)context;
    atomic_fetch_add(&background_events, 1);
}
static void on_other(void *context) {
    (void)context;
    if (atomic_load(&seen_first) < 0) atomic_store(&seen_first, atomic_load(&background_events));
    atomic_store(&seen_last, atomic_load(&background_events));
}

/* False: the background request came to its end before the other began, which a busy machine may cause; nothing was seen then. */
static bool test_background(const weft_model *model) {
    weft_error err;
    weft_engine *engine = NULL;
    weft_engine_options options = {.threads = 2};
    CHECK_OK(weft_engine_create(model, &options, &engine, &err), err);
    const char *long_json = "{\"messages\":[{\"role\":\"user\",\"content\":\"go on for ever\"}],\"seed\":1,\"temperature\":1.5}";
    const char *json = "{\"messages\":[{\"role\":\"user\",\"content\":\"in between\"}]}";
    weft_request *background = NULL, *other = NULL;
    weft_request_options background_options = {.json = long_json, .json_size = strlen(long_json), .background = true, .notify = on_background};
    weft_request_options other_options = {.json = json, .json_size = strlen(json), .greedy = true, .max_tokens = TOKENS, .notify = on_other};
    CHECK_OK(weft_engine_submit(engine, &background_options, &background, &err), err);
    weft_event event;
    do weft_request_poll(background, 20000, &event);
    while (event.kind == WEFT_EVENT_PROGRESS);
    CHECK_INT(event.kind, WEFT_EVENT_CONTENT); /* it is at work */
    atomic_store(&seen_first, -1);
    CHECK_OK(weft_engine_submit(engine, &other_options, &other, &err), err);
    CHECK_INT(wait_end(other, &event), 0);
    CHECK(event.kind == WEFT_EVENT_DONE && event.usage.completion_tokens > 1);
    CHECK(atomic_load(&seen_first) > 0 && atomic_load(&seen_last) == atomic_load(&seen_first));
    int before = atomic_load(&seen_last);
    do weft_request_poll(background, 20000, &event);
    while (event.kind == WEFT_EVENT_CONTENT && atomic_load(&background_events) <= before + 5);
    bool ended = event.kind == WEFT_EVENT_DONE;
    if (!ended) CHECK_INT(event.kind, WEFT_EVENT_CONTENT); /* and goes on */
    weft_request_free(other);
    weft_request_free(background);
    weft_engine_destroy(engine);
    return !ended;
}

static void expect_refused(weft_engine *engine, const char *json, weft_status want, const char *part) {
    weft_error err = {0};
    weft_request *request = NULL;
    weft_status status = submit(engine, json, 4, &request, &err);
    if (status == WEFT_OK) { /* found out on the engine's thread */
        weft_event event;
        CHECK_INT(wait_end(request, &event), 0);
        CHECK_INT(event.kind, WEFT_EVENT_ERROR);
        err = event.error;
        status = err.status;
        weft_request_free(request);
    }
    CHECK_INT(status, want);
    CHECK_MSG(strstr(err.message, part) != NULL, "\"%s\" does not say \"%s\"", err.message, part);
}

static void test_refusals(const weft_model *model) {
    weft_error err;
    weft_engine *engine = NULL;
    weft_engine_options options = {.media_roots = golden_root, .context_length = 64, .threads = 1};
    CHECK_OK(weft_engine_create(model, &options, &engine, &err), err);
    expect_refused(engine, "{", WEFT_ERR_INVALID, "JSON");
    expect_refused(engine, "[]", WEFT_ERR_INVALID, "object");
    expect_refused(engine, "{\"messages\":[]}", WEFT_ERR_INVALID, "messages");
    expect_refused(engine, "{\"messages\":[{\"content\":\"x\"}]}", WEFT_ERR_INVALID, "role");
    expect_refused(engine, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":\"hot\"}", WEFT_ERR_INVALID, "temperature");
    expect_refused(engine, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":2}", WEFT_ERR_UNSUPPORTED, "'n'");
    expect_refused(engine, "{\"messages\":[{\"role\":\"user\",\"content\":\"a <|image_pad|> of mine\"}]}", WEFT_ERR_INVALID, "special tokens");
    expect_refused(engine, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}]}]}",
                   WEFT_ERR_UNSUPPORTED, "image 1");
    expect_refused(engine, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///etc/passwd\"}}]}]}",
                   WEFT_ERR_INVALID, "allowed folders");
    expect_refused(engine, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file://" WEFT_TEST_DATA
                           "/media/../positions.json\"}}]}]}", WEFT_ERR_INVALID, "allowed folders");
    expect_refused(engine, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://example.org/a.png\"}}]}]}",
                   WEFT_ERR_UNSUPPORTED, "--allow-url");
    char longer[4096] = "{\"messages\":[{\"role\":\"user\",\"content\":\"";
    for (int i = 0; i < 300; i++) strcat(longer, "word 7 ");
    strcat(longer, "\"}]}");
    expect_refused(engine, longer, WEFT_ERR_CONTEXT, "context");
    weft_engine_destroy(engine);
}

int main(void) {
    weft_error err;
    weft_model *model = NULL;
    CHECK_OK(weft_model_open(MODEL, NULL, &model, &err), err);
    if (!model) return testing_summary();
    test_sharing(model);
    test_cancel(model);
    bool went_on = false;
    for (int i = 0; i < 10 && !went_on; i++) went_on = test_background(model);
    CHECK(went_on);
    test_refusals(model);
    weft_model_close(model);
    return testing_summary();
}
