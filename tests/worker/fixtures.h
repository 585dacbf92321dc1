/* Where the fixtures of the media layer are, and how to read one. */
#ifndef WEFT_TESTS_MEDIA_FIXTURES_H
#define WEFT_TESTS_MEDIA_FIXTURES_H

#include "base/buffer.h"
#include "testing.h"

/* WEFT_TEST_DATA is tests/golden. */
static inline weft_buffer fixture_read(const char *name) {
    char path[4096];
    weft_error err;
    weft_buffer file;
    int length = snprintf(path, sizeof path, "%s/../worker/fixtures/%s", WEFT_TEST_DATA, name);
    CHECK(length > 0 && (size_t)length < sizeof path);
    CHECK_OK(weft_read_file(path, 1 << 24, &file, &err), err);
    return file;
}

#endif
