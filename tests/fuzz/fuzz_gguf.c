/* libFuzzer target: any bytes as a GGUF file, opened, looked up and read to the last byte of every tensor and string.
 *
 * The reader maps files by path, so the input goes through an anonymous file in memory. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weights/gguf.h"

static unsigned touch(const void *bytes, size_t size) {
    const unsigned char *b = bytes;
    unsigned sum = 0;
    for (size_t i = 0; i < size; i += 61) sum += b[i];
    return size ? sum + b[size - 1] : sum;
}

static unsigned read_key(const weft_gguf *g, const char *key) {
    unsigned sum = 0;
    uint64_t u = 0, count = 0, cursor = 0;
    double d = 0;
    bool flag = false;
    const char *text;
    size_t size;
    weft_gguf_kind kind;
    if (weft_gguf_u64_or(g, key, 1, &u, NULL) == WEFT_OK) sum += (unsigned)u;
    if (weft_gguf_f64_or(g, key, 1, &d, NULL) == WEFT_OK) sum += d > 0;
    if (weft_gguf_bool_or(g, key, true, &flag, NULL) == WEFT_OK) sum += flag;
    if (weft_gguf_string(g, key, &text, &size, NULL) == WEFT_OK) sum += touch(text, size);
    if (weft_gguf_array(g, key, &kind, &count, NULL) != WEFT_OK) return sum;
    for (uint64_t i = 0; weft_gguf_array_string(g, key, &cursor, &text, &size, NULL) == WEFT_OK; i++) {
        if (i >= count) abort(); /* more elements than the array claims */
        sum += touch(text, size);
    }
    if (weft_gguf_array_number(g, key, count, &d, NULL) == WEFT_OK) abort();
    if (count && weft_gguf_array_number(g, key, count - 1, &d, NULL) == WEFT_OK) sum += d > 0;
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const keys[] = {"general.architecture", "general.alignment", "a", "ab", "tokenizer.ggml.tokens"};
    char path[64];
    int fd = memfd_create("fuzz.gguf", MFD_CLOEXEC);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size)) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    weft_gguf *g = NULL;
    weft_error err = {0};
    volatile unsigned sum = 0;
    if (weft_gguf_open(path, &g, &err) != WEFT_OK) {
        if (!err.message[0] || g) abort();
        close(fd);
        return 0;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) sum += read_key(g, keys[i]);
    const weft_tensor_table *table = weft_gguf_tensors(g);
    for (int64_t i = 0; i < table->count; i++) {
        const weft_tensor *t = &table->tensors[i];
        if (weft_tensor_find(table, t->name) != t || weft_tensor_elements(t) <= 0) abort();
        sum += touch(t->data, t->bytes);
    }
    (void)sum;
    weft_gguf_close(g);
    close(fd);
    return 0;
}
