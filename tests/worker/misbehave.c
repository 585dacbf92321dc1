/* A worker that was taken over: after the sandbox is up it does what the "picture" says. Built for tests only, under
 * the names of the real programs weft-media and weft-media-heif, in folders of its own (test_attacks.c, test_media.py).
 *
 * What the sandbox refuses with an error is reported as one; a deed that succeeds returns a picture, which no test
 * expects. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/protocol.h"
#include "worker/deeds.h"
#include "worker/serve.h"

/* A record that the session did not ask for in this form. */
static void lie(uint32_t type, uint32_t extra, int64_t a, int64_t b) {
    weft_wire wire = {.type = type, .extra = extra, .n = {a, b, a, b}};
    (void)!write(WEFT_WIRE_FD, &wire, sizeof wire);
}

static weft_status misbehave(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe,
                             weft_image *image, weft_error *err) {
    char deed[32] = "";
    (void)limits, (void)probe;
    size_t magic = bytes[0] == 0xFF ? 3 : 12; /* of a JPEG; of a HEIC */
    if (size > magic && size - magic < sizeof deed) memcpy(deed, bytes + magic, size - magic);
    if (strcmp(deed, "huge size") == 0) lie(WEFT_WIRE_SIZE, 0, 1 << 20, 1 << 20);
    if (strcmp(deed, "negative size") == 0) lie(WEFT_WIRE_SIZE, 0, -1, 5);
    if (strcmp(deed, "no such record") == 0) lie(0x12345678, 0, 1, 1);
    if (strcmp(deed, "long record") == 0) lie(WEFT_WIRE_SIZE, 1u << 31, 1, 1);
    if (strcmp(deed, "early done") == 0) lie(WEFT_WIRE_DONE, 0, 0, 0);
    if (strcmp(deed, "frames") == 0) lie(WEFT_WIRE_PLAN, 0, 1 << 30, 0);
    if (strcmp(deed, "message") == 0) return weft_fail(err, WEFT_ERR_FORMAT, "\xFF\xFE\x1B[31m%s", "a message");
    if (strcmp(deed, "flood") == 0)
        for (;;) lie(WEFT_WIRE_SIZE, 0, 4, 2);
    if (strcmp(deed, "paint") != 0) WEFT_TRY(deeds_do(deed, err));
    *image = (weft_image){.width = 4, .height = 2, .full_width = 4, .full_height = 2, .rgb = malloc(24)};
    if (image->rgb) memset(image->rgb, 0x5A, 24);
    return WEFT_OK;
}

int main(int argc, char **argv) {
    const weft_worker_program program = {.image = misbehave,
                                         .threads = strstr(argv[0], "heif") != NULL}; /* as the real one */
    return weft_worker_serve(argc, argv, &program);
}
