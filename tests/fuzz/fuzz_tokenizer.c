/* libFuzzer target: hostile text through the small tokenizers, and hostile tokenizer files.
 *
 * Build with clang and -DWEFT_FUZZ=ON, run `fuzz_tokenizer -max_len=4096 CORPUS`. The first byte chooses what the
 * others are: the text for one of the tokenizers, or a tokenizer.json. What must hold beyond not crashing is checked
 * with abort(): ids decode to the normalised text, the stream equals the whole, NFC of NFC is itself. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "text/tokenizer.h"
#include "text/unicode.h"

enum { OUT_MAX = 64 << 20 };

static void require(bool held, const char *what) {
    if (held) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static const weft_tokenizer *tokenizer_number(unsigned number) {
    static const char *const names[] = {"published", "flags", "marks", "strings", "gpt2", "sparse", "pieces"};
    static weft_tokenizer *loaded[7];
    number %= 7;
    if (!loaded[number]) {
        char path[1024];
        weft_error err;
        snprintf(path, sizeof path, WEFT_TEST_DATA "/../text/data/%s.json", names[number]);
        require(weft_tokenizer_from_json(path, &loaded[number], &err) == WEFT_OK, "the fixture loads");
    }
    return loaded[number];
}

static bool same(const weft_buffer *a, const weft_buffer *b) {
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static void check_text(const weft_tokenizer *t, bool lossless, const char *text, size_t size, bool parse_special) {
    weft_error err;
    weft_ids ids = {0};
    weft_buffer clean, normal, again, bytes, repaired, streamed;
    weft_buffer *all[] = {&clean, &normal, &again, &bytes, &repaired, &streamed};
    for (int i = 0; i < 6; i++) weft_buffer_init(all[i], OUT_MAX, "fuzz");
    require(weft_utf8_repair(text, size, &clean, &err) == WEFT_OK, "repair");
    require(weft_utf8_valid(clean.data, clean.size) == clean.size, "repaired text is well formed");
    require(weft_nfc(clean.data, clean.size, &normal, &err) == WEFT_OK, "NFC");
    require(weft_nfc(normal.data, normal.size, &again, &err) == WEFT_OK && same(&normal, &again),
            "NFC of NFC is itself");
    weft_status status = weft_tokenize(t, text, size, parse_special, &ids, &err);
    require(status == WEFT_OK || (status == WEFT_ERR_LIMIT && !lossless), "tokenize");
    require(weft_detokenize(t, ids.data, ids.count, false, &bytes, &err) == WEFT_OK, "detokenize");
    /* Added tokens are cut out before normalisation, so only text without them has to come back as the NFC of the
     * whole. */
    bool plain = !clean.size || !memchr(clean.data, '<', clean.size);
    if (lossless && plain) require(same(&bytes, &normal), "ids decode to the normalised text");
    require(weft_utf8_repair(bytes.data ? bytes.data : "", bytes.size, &repaired, &err) == WEFT_OK, "repair");
    weft_detokenizer stream;
    weft_detokenizer_init(&stream, t, false);
    for (size_t i = 0; i < ids.count; i++) {
        require(weft_detokenizer_push(&stream, ids.data[i], &streamed, &err) == WEFT_OK, "push");
        require(!streamed.data || weft_utf8_valid(streamed.data, streamed.size) == streamed.size, "whole characters");
    }
    require(weft_detokenizer_finish(&stream, &streamed, &err) == WEFT_OK && same(&streamed, &repaired), "stream");
    for (int i = 0; i < 6; i++) weft_buffer_free(all[i]);
    weft_ids_free(&ids);
}

static void check_file(const char *data, size_t size) {
    int fd = memfd_create("tokenizer.json", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    weft_error err = {0};
    weft_tokenizer *t = NULL;
    weft_status status = weft_tokenizer_from_json(path, &t, &err);
    require((status == WEFT_OK) == (t != NULL), "a tokenizer or an error");
    require(status == WEFT_OK || err.message[0], "an error has a message");
    weft_ids ids = {0};
    static const char text[] =
        "Hello, <|im_start|> w\xC3\xB6rld e\xCC\x81 123\n\n  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    if (t) (void)weft_tokenize(t, text, sizeof text, true, &ids, &err);
    weft_ids_free(&ids);
    weft_tokenizer_free(t);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    unsigned choice = data[0];
    const char *rest = (const char *)data + 1;
    if (choice >= 240)
        check_file(rest, size - 1);
    else
        check_text(tokenizer_number(choice), choice % 7 == 0 || choice % 7 == 2 || choice % 7 == 4, rest, size - 1,
                   choice & 8);
    return 0;
}
