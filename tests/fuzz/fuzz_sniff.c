/* libFuzzer target: the sniffer alone, which sees every file's first bytes inside the server itself.
 *
 * The input lies in a block of just its size, so that a read past it is found. What must hold: a name, and a format of
 * the list. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *name = NULL;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    weft_media_format format = weft_media_sniff(copy, size, &name), again = weft_media_sniff(copy, size, &name);
    if (!name || !name[0] || format != again) abort();
    free(copy);
    return 0;
}
