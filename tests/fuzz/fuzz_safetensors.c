/* libFuzzer target: any bytes as a safetensors file, opened and read to the last byte of every tensor.
 *
 * The reader maps files by path, so the input goes through an anonymous file in memory. The header's length is filled
 * in from the first byte where the input's own is impossible, or the JSON behind it would never be reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    uint64_t length = 0;
    int fd = memfd_create("fuzz.safetensors", MFD_CLOEXEC);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size)) abort();
    if (size > 8) memcpy(&length, data, 8);
    if (size > 8 && length > size - 8) {
        length = size - 8 - data[0] % (size - 8 < 32 ? size - 8 : 32);
        if (pwrite(fd, &length, 8, 0) != 8) abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    weft_safetensors *s = NULL;
    weft_error err = {0};
    volatile unsigned sum = 0;
    if (weft_safetensors_open_file(path, &s, &err) != WEFT_OK) {
        if (!err.message[0] || s) abort();
        close(fd);
        return 0;
    }
    const weft_tensor_table *table = weft_safetensors_tensors(s);
    for (int64_t i = 0; i < table->count; i++) {
        const weft_tensor *t = &table->tensors[i];
        if (weft_tensor_find(table, t->name) != t || weft_tensor_elements(t) < 0) abort();
        for (size_t j = 0; j < t->bytes; j++) sum += ((const uint8_t *)t->data)[j];
    }
    (void)sum;
    weft_safetensors_close(s);
    close(fd);
    return 0;
}
