/* GGUF reader: good files are read as written; every kind of damage is refused with a message that names it; no
 * truncation and no flipped byte does harm. */
#include "files.h"

/* One good file: every kind of key, several tensors. */
static bytes good_file(uint32_t version, size_t alignment) {
    gguf_writer w = gguf_begin();
    w.version = version;
    w.alignment = alignment;
    if (alignment != 32) gguf_u32(&w, "general.alignment", (uint32_t)alignment);
    gguf_text(&w, "general.name", "small");
    gguf_key_head(&w, "a.u8", WEFT_GGUF_U8), put(&w.keys, "\xfe", 1);
    gguf_key_head(&w, "a.i8", WEFT_GGUF_I8), put(&w.keys, "\xfe", 1);
    gguf_key_head(&w, "a.u16", WEFT_GGUF_U16), put(&w.keys, "\x34\x12", 2);
    gguf_key_head(&w, "a.i16", WEFT_GGUF_I16), put(&w.keys, "\xff\xff", 2);
    gguf_key_head(&w, "a.bool", WEFT_GGUF_BOOL), put(&w.keys, "\x01", 1);
    gguf_key_head(&w, "a.u64", WEFT_GGUF_U64), put_u64(&w.keys, UINT64_MAX);
    gguf_key_head(&w, "a.f64", WEFT_GGUF_F64), put(&w.keys, &(double){2.5}, 8);
    gguf_f32(&w, "a.f32", 0.5f);
    gguf_array_head(&w, "a.words", WEFT_GGUF_STRING, 3);
    put_string(&w.keys, "one"), put_string(&w.keys, ""), put_string(&w.keys, "three");
    gguf_array_head(&w, "a.numbers", WEFT_GGUF_I32, 2);
    put_u32(&w.keys, (uint32_t)-7), put_u32(&w.keys, 9);
    gguf_array_head(&w, "a.empty", WEFT_GGUF_F32, 0);
    gguf_tensor(&w, "one", WEFT_F32, SHAPE(3, 5));
    gguf_tensor(&w, "two.weight", WEFT_Q8_0, SHAPE(2, 64));
    gguf_tensor(&w, "three", WEFT_F16, SHAPE(7));
    gguf_tensor(&w, "four", WEFT_Q4_K, SHAPE(2, 2, 256));
    bytes b = gguf_bytes(&w);
    gguf_end(&w, NULL);
    return b;
}

static weft_status open_bytes(const bytes *b, weft_gguf **g, weft_error *err) {
    const char *path = files_path("x.gguf");
    files_write(path, b->data, b->size);
    return weft_gguf_open(path, g, err);
}

static void test_keys(const weft_gguf *g) {
    weft_error err;
    uint64_t u = 0, count = 0, cursor = 0;
    double d = 0;
    bool flag = false;
    const char *text;
    size_t size;
    weft_gguf_kind kind;
    CHECK_OK(weft_gguf_u64(g, "a.u8", &u, &err), err);
    CHECK_INT(u, 254);
    CHECK_OK(weft_gguf_u64(g, "a.u16", &u, &err), err);
    CHECK_INT(u, 0x1234);
    CHECK_OK(weft_gguf_u64(g, "a.u64", &u, &err), err);
    CHECK(u == UINT64_MAX);
    CHECK(weft_gguf_u64(g, "a.i8", &u, &err) == WEFT_ERR_FORMAT && strstr(err.message, "a.i8") &&
          strstr(err.message, "negative"));
    CHECK(weft_gguf_u64(g, "a.i16", &u, &err) == WEFT_ERR_FORMAT);
    CHECK(weft_gguf_u64(g, "a.f32", &u, &err) == WEFT_ERR_FORMAT && strstr(err.message, "f32"));
    CHECK(weft_gguf_u64(g, "none", &u, &err) == WEFT_ERR_FORMAT && strstr(err.message, "'none' is missing"));
    CHECK_OK(weft_gguf_u64_or(g, "none", 5, &u, &err), err);
    CHECK_INT(u, 5);
    CHECK_OK(weft_gguf_f64_or(g, "a.f64", 0, &d, &err), err);
    CHECK(d == 2.5);
    CHECK_OK(weft_gguf_f64_or(g, "a.f32", 0, &d, &err), err);
    CHECK(d == 0.5);
    CHECK_OK(weft_gguf_f64_or(g, "a.i8", 0, &d, &err), err);
    CHECK(d == -2);
    CHECK(weft_gguf_f64_or(g, "general.name", 0, &d, &err) == WEFT_ERR_FORMAT);
    CHECK_OK(weft_gguf_bool_or(g, "a.bool", false, &flag, &err), err);
    CHECK(flag);
    CHECK(weft_gguf_bool_or(g, "a.u8", false, &flag, &err) == WEFT_ERR_FORMAT);
    CHECK_OK(weft_gguf_string(g, "general.name", &text, &size, &err), err);
    CHECK(size == 5 && memcmp(text, "small", 5) == 0);
    CHECK_OK(weft_gguf_array(g, "a.words", &kind, &count, &err), err);
    CHECK(kind == WEFT_GGUF_STRING && count == 3);
    static const char *const words[] = {"one", "", "three"};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_gguf_array_string(g, "a.words", &cursor, &text, &size, &err), err);
        CHECK(size == strlen(words[i]) && memcmp(text, words[i], size) == 0);
    }
    CHECK(weft_gguf_array_string(g, "a.words", &cursor, &text, &size, &err) == WEFT_ERR_NOT_FOUND);
    cursor = UINT64_MAX;
    CHECK(weft_gguf_array_string(g, "a.words", &cursor, &text, &size, &err) == WEFT_ERR_NOT_FOUND);
    CHECK_OK(weft_gguf_array_number(g, "a.numbers", 0, &d, &err), err);
    CHECK(d == -7);
    CHECK_OK(weft_gguf_array_number(g, "a.numbers", 1, &d, &err), err);
    CHECK(d == 9);
    CHECK(weft_gguf_array_number(g, "a.numbers", 2, &d, &err) == WEFT_ERR_FORMAT);
    CHECK(weft_gguf_array_number(g, "a.words", 0, &d, &err) == WEFT_ERR_FORMAT);
    CHECK_OK(weft_gguf_array(g, "a.empty", &kind, &count, &err), err);
    CHECK_INT(count, 0);
}

static void test_good(uint32_t version, size_t alignment) {
    weft_error err = {0};
    weft_gguf *g = NULL;
    bytes b = good_file(version, alignment);
    CHECK_OK(open_bytes(&b, &g, &err), err);
    if (g) {
        test_keys(g);
        const weft_tensor_table *table = weft_gguf_tensors(g);
        CHECK_INT(table->count, 4);
        const weft_tensor *t = weft_tensor_find(table, "one");
        float values[15];
        CHECK(t && t->dims == 2 && t->shape[0] == 3 && t->shape[1] == 5 && t->type == WEFT_F32 && t->bytes == 60);
        CHECK_OK(weft_tensor_to_f32(t, values, &err), err);
        for (int i = 0; i < 15; i++) CHECK(values[i] == file_value("one", i));
        t = weft_tensor_find(table, "three");
        CHECK(t && t->dims == 1 && t->type == WEFT_F16);
        CHECK_OK(weft_tensor_to_f32(t, values, &err), err);
        for (int i = 0; i < 7; i++) CHECK(values[i] == file_value("three", i));
        t = weft_tensor_find(table, "four");
        CHECK(t && t->dims == 3 && t->shape[2] == 256 && t->bytes == 4 * 144);
        CHECK(!weft_tensor_find(table, "five") && !weft_tensor_find(table, ""));
        uint64_t size = 0;
        CHECK(weft_gguf_file(g, 0, &size) && size == b.size && !weft_gguf_file(g, 1, &size) &&
              !weft_gguf_file(g, -1, &size));
    }
    weft_gguf_close(g);
    free(b.data);
}

/* No prefix of a file may open, crash or read past its end. */
static void test_truncation(void) {
    bytes b = good_file(3, 32);
    for (size_t size = 0; size < b.size; size++) {
        bytes cut = {b.data, size, 0};
        weft_gguf *g = NULL;
        weft_error err = {0};
        weft_status status = open_bytes(&cut, &g, &err);
        CHECK_MSG(status != WEFT_OK && !g && strstr(err.message, "x.gguf"), "cut to %zu bytes: %s", size, err.message);
        weft_gguf_close(g);
    }
    free(b.data);
}

/* Reads whatever a damaged file offers, so that the sanitizers see a wrong pointer. */
static void touch_everything(const weft_gguf *g) {
    const weft_tensor_table *table = weft_gguf_tensors(g);
    volatile unsigned sum = 0;
    for (int64_t i = 0; i < table->count; i++) {
        const uint8_t *data = table->tensors[i].data;
        for (size_t j = 0; j < table->tensors[i].bytes; j += 7) sum += data[j];
        sum += data[table->tensors[i].bytes - 1];
    }
    (void)sum;
    static const char *const keys[] = {"a.words", "a.numbers", "general.name"};
    for (size_t k = 0; k < 3; k++) {
        uint64_t cursor = 0, count;
        weft_gguf_kind kind;
        const char *text;
        size_t size;
        double d;
        if (weft_gguf_string(g, keys[k], &text, &size, NULL) == WEFT_OK && size) sum += (unsigned char)text[size - 1];
        if (weft_gguf_array(g, keys[k], &kind, &count, NULL) != WEFT_OK) continue;
        while (weft_gguf_array_string(g, keys[k], &cursor, &text, &size, NULL) == WEFT_OK)
            if (size) sum += (unsigned char)text[size - 1];
        if (count && weft_gguf_array_number(g, keys[k], count - 1, &d, NULL) == WEFT_OK) sum += d > 0;
    }
}

static void test_flips(void) {
    uint64_t random = 12345;
    bytes good = good_file(3, 32);
    int refused = 0;
    for (int round = 0; round < 4000; round++) {
        bytes b = {malloc(good.size), good.size, 0};
        memcpy(b.data, good.data, good.size);
        for (uint64_t n = testing_random(&random) % 3 + 1; n > 0; n--) {
            size_t at = testing_random(&random) % (good.size * 2 / 3); /* mostly the header */
            b.data[at] = testing_random(&random) % 4 ? (uint8_t)testing_random(&random)
                                                     : (uint8_t)(testing_random(&random) % 2 ? 255 : 0);
        }
        weft_gguf *g = NULL;
        weft_error err = {0};
        weft_status status = open_bytes(&b, &g, &err);
        CHECK_MSG((status == WEFT_OK) == (g != NULL) && (status == WEFT_OK || err.message[0]), "round %d", round);
        if (g) touch_everything(g);
        refused += status != WEFT_OK;
        weft_gguf_close(g);
        free(b.data);
    }
    CHECK_MSG(refused > 1000, "only %d of 4000 damaged files were refused", refused);
    free(good.data);
}

/* A file of one key or tensor that is wrong in one way; the message must hold `words`. */
static void expect_refused(gguf_writer *w, weft_status wanted, const char *words) {
    weft_error err = {0};
    weft_gguf *g = NULL;
    gguf_end(w, files_path("bad.gguf"));
    weft_status status = weft_gguf_open(files_path("bad.gguf"), &g, &err);
    CHECK_MSG(status == wanted && !g && strstr(err.message, words), "want %d '%s', got %d '%s'", (int)wanted, words,
              (int)status, err.message);
    weft_gguf_close(g);
}

static void test_bad_headers(void) {
    gguf_writer w = gguf_begin();
    w.version = 1;
    expect_refused(&w, WEFT_ERR_UNSUPPORTED, "version 1");
    w.version = 0x03000000;
    expect_refused(&w, WEFT_ERR_UNSUPPORTED, "big-endian");
    w.tensor_count = UINT64_MAX;
    expect_refused(&w, WEFT_ERR_FORMAT, "tensors");
    w.key_count = UINT64_MAX;
    expect_refused(&w, WEFT_ERR_FORMAT, "keys");
    w.key_count = 1;
    expect_refused(&w, WEFT_ERR_FORMAT, "keys");
    static const uint32_t alignments[] = {0, 3, 24, 1u << 30, UINT32_MAX};
    for (size_t i = 0; i < 5; i++) {
        gguf_u32(&w, "general.alignment", alignments[i]);
        expect_refused(&w, WEFT_ERR_FORMAT, "general.alignment");
    }
    gguf_text(&w, "general.alignment", "32");
    expect_refused(&w, WEFT_ERR_FORMAT, "general.alignment");
    weft_gguf *g;
    weft_error err;
    files_text(files_path("bad.gguf"), "GGML and more bytes that mean nothing");
    CHECK(weft_gguf_open(files_path("bad.gguf"), &g, &err) == WEFT_ERR_FORMAT && strstr(err.message, "not a GGUF"));
    files_text(files_path("bad.gguf"), "");
    CHECK(weft_gguf_open(files_path("bad.gguf"), &g, &err) == WEFT_ERR_FORMAT && strstr(err.message, "empty"));
    CHECK(weft_gguf_open(files_path("nowhere.gguf"), &g, &err) == WEFT_ERR_NOT_FOUND);
    CHECK(weft_gguf_open(files_folder, &g, &err) == WEFT_ERR_IO && strstr(err.message, "folder"));
}

static void test_bad_keys(void) {
    gguf_writer w = gguf_begin();
    gguf_u32(&w, "a.b", 1), gguf_u32(&w, "c", 1), gguf_u32(&w, "a.b", 2);
    expect_refused(&w, WEFT_ERR_FORMAT, "'a.b' is there twice");
    gguf_key_head(&w, "k", 99), put_u64(&w.keys, 0);
    expect_refused(&w, WEFT_ERR_FORMAT, "unknown kind 99");
    gguf_u32(&w, "line\nbreak", 1);
    expect_refused(&w, WEFT_ERR_FORMAT, "not plain text");
    gguf_u32(&w, "\xc3\x28", 1);
    expect_refused(&w, WEFT_ERR_FORMAT, "not plain text");
    gguf_u32(&w, "", 1), put_u64(&w.keys, 0);
    expect_refused(&w, WEFT_ERR_FORMAT, "empty");
    gguf_array_head(&w, "k", WEFT_GGUF_ARRAY, 1), put_u64(&w.keys, 0);
    expect_refused(&w, WEFT_ERR_UNSUPPORTED, "array of arrays");
    gguf_array_head(&w, "k", WEFT_GGUF_STRING, UINT64_MAX), put_u64(&w.keys, 0);
    expect_refused(&w, WEFT_ERR_FORMAT, "'k' claims");
    gguf_array_head(&w, "k", WEFT_GGUF_U64, UINT64_MAX / 8 + 2), put_u64(&w.keys, 0);
    expect_refused(&w, WEFT_ERR_FORMAT, "'k' claims");
    gguf_array_head(&w, "k", 77, 1), put_u64(&w.keys, 0);
    expect_refused(&w, WEFT_ERR_FORMAT, "unknown kind 77");
    gguf_key_head(&w, "k", WEFT_GGUF_STRING), put_u64(&w.keys, UINT64_MAX - 3);
    expect_refused(&w, WEFT_ERR_FORMAT, "claims");
}

static void test_bad_tensors(void) {
    gguf_writer w = gguf_begin();
    gguf_tensor(&w, "t", WEFT_F32, SHAPE(4)), gguf_tensor(&w, "u", WEFT_F32, SHAPE(4)),
        gguf_tensor(&w, "t", WEFT_F32, SHAPE(4));
    expect_refused(&w, WEFT_ERR_FORMAT, "'t' is there twice");
    gguf_tensor(&w, "t", WEFT_F32, SHAPE(16)), gguf_info(&w, "u", 0, 1, SHAPE(8), 32);
    expect_refused(&w, WEFT_ERR_FORMAT, "share bytes");
    gguf_info(&w, "t", 0, 1, SHAPE(8), 0), gguf_info(&w, "u", 0, 1, SHAPE(8), 0), put_values(&w.data, "t", WEFT_F32, 8);
    expect_refused(&w, WEFT_ERR_FORMAT, "share bytes");
    gguf_tensor(&w, "t", WEFT_F32, SHAPE(64)), gguf_info(&w, "u", 0, 1, SHAPE(8), 4);
    expect_refused(&w, WEFT_ERR_FORMAT, "not a multiple of the alignment");
    gguf_info(&w, "t", 0, 1, SHAPE(4), 1 << 20), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "'t' (16 bytes at offset 1048576) ends past");
    gguf_info(&w, "t", 0, 1, SHAPE(4), UINT64_MAX - 31), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "ends past");
    gguf_info(&w, "t", 0, 1, SHAPE(1000), 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "ends past");
    gguf_info(&w, "t", 0, 2, (const int64_t[]){4, 0}, 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "impossible extent of 0");
    gguf_info(&w, "t", 0, 2, SHAPE(INT64_MAX, 2), 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "impossible extent");
    gguf_info(&w, "t", 0, 2, SHAPE(1ll << 61, 2), 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "'t'");
    gguf_info(&w, "t", 0, 0, SHAPE(1), 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "0 dimensions");
    gguf_info(&w, "t", 0, 5, SHAPE(1, 1, 1, 1, 1), 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "5 dimensions");
    gguf_info(&w, "t", 12345, 1, SHAPE(4), 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "unknown type 12345");
    gguf_info(&w, "t", 8, 2, SHAPE(2, 33), 0), put_values(&w.data, "t", WEFT_F32, 64);
    expect_refused(&w, WEFT_ERR_FORMAT, "not a multiple of 32");
    gguf_tensor(&w, "bell\a", WEFT_F32, SHAPE(4));
    expect_refused(&w, WEFT_ERR_FORMAT, "not plain text");
    char name[300];
    memset(name, 'x', sizeof name), name[299] = 0;
    gguf_tensor(&w, name, WEFT_F32, SHAPE(4));
    expect_refused(&w, WEFT_ERR_FORMAT, "longer than 255");
}

/* A type of the format that weft does not compute with is listed, not refused: inspect shows it, binding names it. */
static void test_foreign_type(void) {
    gguf_writer w = gguf_begin();
    gguf_info(&w, "t", 23, 1, SHAPE(256), 0);
    for (int i = 0; i < 136; i++) put(&w.data, "", 1);
    gguf_end(&w, files_path("iq.gguf"));
    weft_gguf *g;
    weft_error err;
    CHECK_OK(weft_gguf_open(files_path("iq.gguf"), &g, &err), err);
    const weft_tensor *t = weft_tensor_find(weft_gguf_tensors(g), "t");
    CHECK(t && t->type == WEFT_TYPE_COUNT);
    CHECK_STR(t->type_name, "IQ4_XS");
    CHECK(weft_bind_type(t, &err) == WEFT_ERR_UNSUPPORTED && strstr(err.message, "IQ4_XS"));
    weft_gguf_close(g);
}

static void write_part(const char *path, int no, int count, int total, const char *tensor) {
    gguf_writer w = gguf_begin();
    if (no >= 0) {
        gguf_key_head(&w, "split.no", WEFT_GGUF_U16), put(&w.keys, &(uint16_t){(uint16_t)no}, 2);
        gguf_key_head(&w, "split.count", WEFT_GGUF_U16), put(&w.keys, &(uint16_t){(uint16_t)count}, 2);
        gguf_key_head(&w, "split.tensors.count", WEFT_GGUF_I32), put_u32(&w.keys, (uint32_t)total);
    }
    if (no == 0) gguf_text(&w, "general.name", "whole");
    if (tensor) gguf_tensor(&w, tensor, WEFT_F32, SHAPE(6));
    gguf_end(&w, path);
}

static void expect_split(const char *path, weft_status wanted, const char *words) {
    weft_gguf *g = NULL;
    weft_error err = {0};
    weft_status status = weft_gguf_open(path, &g, &err);
    CHECK_MSG(status == wanted && strstr(status ? err.message : "", words), "want %d '%s', got %d '%s'", (int)wanted,
              words, (int)status, err.message);
    weft_gguf_close(g);
}

static void test_splits(void) {
    const char *p1 = files_path("s-00001-of-00003.gguf"), *p2 = files_path("s-00002-of-00003.gguf"),
               *p3 = files_path("s-00003-of-00003.gguf");
    write_part(p1, 0, 3, 2, NULL); /* a first part of metadata only, as converters write */
    write_part(p2, 1, 3, 2, "a");
    write_part(p3, 2, 3, 2, "b");
    const char *named[] = {p1, p2, p3};
    for (int i = 0; i < 3; i++) {
        weft_gguf *g = NULL;
        weft_error err = {0};
        uint64_t size;
        CHECK_OK(weft_gguf_open(named[i], &g, &err), err);
        if (!g) continue;
        float values[6];
        CHECK(weft_gguf_has(g, "general.name") && weft_gguf_tensors(g)->count == 2);
        CHECK_STR(weft_gguf_path(g), p1);
        CHECK(weft_gguf_file(g, 2, &size) && !weft_gguf_file(g, 3, &size));
        CHECK_OK(weft_tensor_to_f32(weft_tensor_find(weft_gguf_tensors(g), "b"), values, &err), err);
        for (int j = 0; j < 6; j++) CHECK(values[j] == file_value("b", j));
        weft_gguf_close(g);
    }
    write_part(p3, 1, 3, 2, "b"); /* claims to be part 2 again */
    expect_split(p1, WEFT_ERR_FORMAT, "part 2 of 3, expected part 3 of 3");
    write_part(p3, 0, 3, 2, "b"); /* a part that points back at the beginning */
    expect_split(p1, WEFT_ERR_FORMAT, "expected part 3 of 3");
    expect_split(p3, WEFT_ERR_FORMAT, "must be named");
    write_part(p3, 2, 4, 2, "b");
    expect_split(p1, WEFT_ERR_FORMAT, "do not belong together");
    write_part(p3, -1, 0, 0, "b");
    expect_split(p1, WEFT_ERR_FORMAT, "do not belong together");
    write_part(p3, 2, 3, 2, "a");
    expect_split(p1, WEFT_ERR_FORMAT, "'a' is there twice");
    write_part(p3, 2, 3, 2, "b");
    write_part(p1, 0, 3, 7, NULL);
    expect_split(p1, WEFT_ERR_FORMAT, "split.tensors.count is 7");
    unlink(p3);
    expect_split(p2, WEFT_ERR_NOT_FOUND, "s-00003-of-00003.gguf");
    write_part(p1, 0, 60000, 2, NULL);
    expect_split(p1, WEFT_ERR_FORMAT, "60000");
    write_part(p1, 5, 3, 2, NULL);
    expect_split(p1, WEFT_ERR_FORMAT, "part 6 of 3");
}

int main(void) {
    files_begin();
    test_good(3, 32);
    test_good(2, 32);
    test_good(3, 64);
    test_good(3, 8);
    test_truncation();
    test_flips();
    test_bad_headers();
    test_bad_keys();
    test_bad_tensors();
    test_foreign_type();
    test_splits();
    return testing_summary();
}
