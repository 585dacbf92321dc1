/* The token loop allocates nothing: every call of the allocator, on any thread, is counted while the decoder steps and
 * the sampler chooses; and a whole engine allocates for an answer's buffers as they double, not for each token. */
#include <stdatomic.h>

#include "engine/engine.h"
#include "testing.h"

static atomic_bool counting;
static atomic_llong allocations;

static void count(void) {
    if (atomic_load_explicit(&counting, memory_order_relaxed)) atomic_fetch_add(&allocations, 1);
}

#if defined(__SANITIZE_ADDRESS__)
int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void *, size_t),
                                              void (*free_hook)(const volatile void *));
static void on_malloc(const volatile void *pointer, size_t size) {
    (void)pointer;
    (void)size;
    count();
}
static void on_free(const volatile void *pointer) {
    (void)pointer;
}
static void install(void) {
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}
#else
/* The C library's allocator under its second names; the program's own definitions come before the library's. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t items, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t align, size_t size);
void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}
void *calloc(size_t items, size_t size) {
    count();
    return __libc_calloc(items, size);
}
void *realloc(void *pointer, size_t size) {
    count();
    return __libc_realloc(pointer, size);
}
void *aligned_alloc(size_t align, size_t size) {
    count();
    return __libc_memalign(align, size);
}
int posix_memalign(void **out, size_t align, size_t size) {
    count();
    *out = __libc_memalign(align, size);
    return *out ? 0 : 12;
}
static void install(void) {}
#endif

static long long counted(void) {
    atomic_store(&counting, false);
    return atomic_exchange(&allocations, 0);
}

static void test_counter(void) {
    atomic_store(&counting, true);
    void *volatile block = malloc(100);
    block = realloc(block, 1000);
    free(block);
    CHECK(counted() >= 1); /* the count sees what it should: otherwise the rest proves nothing */
}

enum { PROMPT = 70, ANSWER = 40 }; /* together within one page of the cache */

static void fill_row(weft_step_row *row, void *const *pages, int64_t index, int32_t token, bool logits) {
    int32_t at = (int32_t)index;
    *row = (weft_step_row){.pages = pages,
                           .index = index,
                           .position = {at, at, at},
                           .token = token,
                           .sequence_length = PROMPT + ANSWER,
                           .logits = logits};
}

/* A prompt and an answer through the decoder and three kinds of sampler. */
static void test_steps(const weft_model *model, const weft_engine_options *options, const char *what) {
    weft_error err;
    weft_worker w;
    CHECK_OK(weft_worker_init(&w, model, options, &err), err);
    const weft_sampling kinds[] = {
        {.greedy = true, .top_p = 1, .repetition_penalty = 1},
        {.temperature = 0.7, .top_k = 20, .top_p = 0.8, .repetition_penalty = 1.1, .presence_penalty = 0.5},
        {.temperature = 1, .top_p = 0.95, .min_p = 0.01, .repetition_penalty = 1},
    };
    for (int kind = 0; kind < 3; kind++) {
        weft_kv_sequence kv = {0};
        weft_sampler *sampler = NULL;
        CHECK(weft_kv_sequence_grow(&w.kv_pool, &kv, PROMPT + ANSWER));
        CHECK_OK(weft_sampler_create(&kinds[kind], model->config->text.vocab_size, NULL, 0, &sampler, &err), err);
        for (int64_t i = 0; i < PROMPT; i++)
            fill_row(&w.rows[i], kv.pages, i, (int32_t)(i * 7 % model->config->text.vocab_size), i + 1 == PROMPT);
        atomic_store(&counting, true);
        weft_decoder_step(w.decoder, w.rows, PROMPT, w.logits);
        int32_t token = weft_sampler_next(sampler, w.logits, NULL);
        for (int64_t i = PROMPT; i < PROMPT + ANSWER; i++) {
            fill_row(&w.rows[0], kv.pages, i, token, true);
            weft_decoder_step(w.decoder, w.rows, 1, w.logits);
            token = weft_sampler_next(sampler, w.logits, NULL);
        }
        long long made = counted();
        CHECK_MSG(made == 0, "%s, sampler %d: %lld allocations", what, kind, made);
        weft_sampler_free(sampler);
        weft_kv_sequence_free(&w.kv_pool, &kv);
    }
    weft_worker_destroy(&w);
}

/* Allocations of a whole request with an answer of `tokens` at most, its events read as they come. */
static long long request_allocations(weft_engine *engine, int64_t tokens, int64_t *made) {
    const char *json = "{\"messages\":[{\"role\":\"user\",\"content\":\"go on\"}],\"seed\":5,\"temperature\":1.5}";
    weft_request_options options = {.json = json, .json_size = strlen(json), .max_tokens = tokens};
    weft_request *request = NULL;
    weft_error err;
    atomic_store(&counting, true);
    CHECK_OK(weft_engine_submit(engine, &options, &request, &err), err);
    weft_event event;
    do weft_request_poll(request, 20000, &event);
    while (event.kind != WEFT_EVENT_DONE && event.kind != WEFT_EVENT_ERROR && event.kind != WEFT_EVENT_NONE);
    long long n = counted();
    CHECK(event.kind == WEFT_EVENT_DONE);
    *made = event.kind == WEFT_EVENT_DONE ? event.usage.completion_tokens : 0;
    weft_request_free(request);
    return n;
}

static void test_engine(const weft_model *model) {
    weft_error err;
    weft_engine *engine = NULL;
    weft_engine_options options = {.threads = 2};
    CHECK_OK(weft_engine_create(model, &options, &engine, &err), err);
    int64_t few, many;
    long long first = request_allocations(engine, 8, &few), second = request_allocations(engine, 200, &many);
    CHECK(many >= 100);
    CHECK_MSG(second - first < 30, "%lld allocations for %lld tokens, %lld for %lld", first, (long long)few, second,
              (long long)many); /* a handful of buffers doubles a few times each */
    weft_engine_destroy(engine);
}

int main(void) {
    install();
    test_counter();
    const char *const names[] = {"dense_tied", "moe"};
    for (int i = 0; i < 2; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/models/%s/model", WEFT_TEST_DATA, names[i]);
        weft_error err;
        weft_model *model = NULL;
        CHECK_OK(weft_model_open(path, NULL, &model, &err), err);
        if (!model) continue;
        test_steps(model, &(weft_engine_options){.threads = 2}, names[i]);
        test_steps(model, &(weft_engine_options){.threads = 2, .exact = true}, names[i]);
        if (i == 0) test_engine(model);
        weft_model_close(model);
    }
    return testing_summary();
}
