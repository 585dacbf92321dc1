/* libFuzzer target: hostile bytes through the picture decoders.
 *
 * Build with clang and -DWEFT_FUZZ=ON; run `fuzz_image -max_len=65536 CORPUS tests/worker/fixtures`. What must hold
 * beyond not crashing: a decoded picture has every byte set, a refused one leaves a message and no memory. */
#include <stdint.h>
#include <stdlib.h>

#include "worker/picture/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = 1 << 20;
    weft_image image;
    weft_error err = {0};
    weft_status status = weft_picture_decode(data, size, &limits, false, &image, &err);
    if (status == WEFT_OK) {
        uint64_t sum = 0;
        if (image.width < 1 || image.height < 1) abort();
        for (int64_t i = 0; i < image.width * image.height * 3; i++) sum += image.rgb[i];
        if (sum > (uint64_t)(image.width * image.height * 3) * 255) abort();
    } else if (image.rgb || !err.message[0] || err.status != status) {
        abort();
    }
    weft_image_free(&image);
    return 0;
}
