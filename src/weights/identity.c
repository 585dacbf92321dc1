/* Telling models apart: see weft_checkpoint_identity in checkpoint.h. Reads a few pages of each tensor, allocates
 * nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weights/cache.h"
#include "weights/checkpoint_internal.h"

enum { SAMPLES = 8, SAMPLE_BYTES = 256, FILE_BYTES_MAX = 4 << 20 };

/* Eight places of it, ends included: training changes every one of them. */
static uint64_t hash_tensor(uint64_t hash, const weft_tensor *t) {
    hash = weft_hash(weft_hash(hash, t->name, strlen(t->name)), t->type_name, strlen(t->type_name));
    hash = weft_hash(hash, t->shape, (size_t)t->dims * sizeof *t->shape);
    const char *data = t->data;
    if (t->bytes <= SAMPLES * SAMPLE_BYTES) return weft_hash(hash, data, t->bytes);
    size_t step = (t->bytes - SAMPLE_BYTES) / (SAMPLES - 1);
    for (size_t i = 0; i < SAMPLES; i++) hash = weft_hash(hash, data + i * step, SAMPLE_BYTES);
    return hash;
}

/* The bytes of a file of the checkpoint's folder; none when it is not there. */
static uint64_t hash_file(uint64_t hash, const char *folder, const char *name) {
    char path[4096], bytes[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = length > 0 && (size_t)length < sizeof path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    ssize_t count = 1;
    for (int64_t read_bytes = 0; fd >= 0 && count > 0 && read_bytes < FILE_BYTES_MAX; read_bytes += count) {
        count = read(fd, bytes, sizeof bytes);
        if (count > 0) hash = weft_hash(hash, bytes, (size_t)count);
    }
    if (fd >= 0) close(fd);
    return hash;
}

uint64_t weft_checkpoint_identity(const weft_checkpoint *ck) {
    static const char *const files[] = {"config.json", "generation_config.json", "preprocessor_config.json",
                                        "video_preprocessor_config.json"};
    uint64_t hash = WEFT_HASH_START;
    const weft_tensor_table *table;
    for (int i = 0; (table = weft_checkpoint_table(ck, i)); i++)
        for (int64_t k = 0; k < table->count; k++) hash = hash_tensor(hash, &table->tensors[table->by_name[k]]);
    for (size_t i = 0; ck->safetensors && i < sizeof files / sizeof *files; i++)
        hash = hash_file(hash, ck->folder, files[i]);
    const char *chat = ck->sources.chat_template;
    return chat ? weft_hash(hash, chat, strlen(chat)) : hash;
}
