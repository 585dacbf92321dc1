/* Safetensors reader: one file and shards are read as written; every fault of header, cover and index is refused by
 * name; no truncation and no flipped byte does harm. */
#include "files.h"

static bytes good_file(size_t pad_to) {
    st_writer w = {0};
    st_tensor(&w, "a.weight", WEFT_BF16, SHAPE(3, 4));
    st_tensor(&w, "b", WEFT_F32, SHAPE(5));
    st_tensor(&w, "c", WEFT_F8_E4M3, SHAPE(2, 3));
    st_tensor(&w, "d", WEFT_F16, SHAPE(2, 1, 2, 1, 2));
    bytes b = st_bytes(&w, pad_to);
    free(w.header.data);
    free(w.data.data);
    return b;
}

static weft_status open_bytes(const bytes *b, weft_safetensors **s, weft_error *err) {
    const char *path = files_path("x.safetensors");
    files_write(path, b->data, b->size);
    return weft_safetensors_open_file(path, s, err);
}

static void test_good(size_t pad_to) {
    bytes b = good_file(pad_to);
    weft_safetensors *s = NULL;
    weft_error err = {0};
    CHECK_OK(open_bytes(&b, &s, &err), err);
    if (s) {
        const weft_tensor_table *table = weft_safetensors_tensors(s);
        float values[12];
        CHECK_INT(table->count, 4);
        const weft_tensor *t = weft_tensor_find(table, "a.weight");
        CHECK(t && t->dims == 2 && t->shape[0] == 3 && t->shape[1] == 4 && t->type == WEFT_BF16);
        CHECK_OK(weft_tensor_to_f32(t, values, &err), err);
        for (int i = 0; i < 12; i++) CHECK(values[i] == file_value("a.weight", i));
        t = weft_tensor_find(table, "d");
        CHECK(t && t->dims == 5 && t->bytes == 16);
        CHECK_OK(weft_tensor_to_f32(t, values, &err), err);
        for (int i = 0; i < 8; i++) CHECK(values[i] == file_value("d", i));
        CHECK(weft_tensor_to_f32(weft_tensor_find(table, "c"), values, &err) == WEFT_ERR_UNSUPPORTED);
    }
    weft_safetensors_close(s);
    free(b.data);
}

static void test_truncation(void) {
    bytes b = good_file(8);
    for (size_t size = 0; size < b.size; size++) {
        bytes cut = {b.data, size, 0};
        weft_safetensors *s = NULL;
        weft_error err = {0};
        weft_status status = open_bytes(&cut, &s, &err);
        CHECK_MSG(status != WEFT_OK && !s && strstr(err.message, "x.safetensors"), "cut to %zu bytes: %s", size,
                  err.message);
        weft_safetensors_close(s);
    }
    free(b.data);
}

static void test_flips(void) {
    uint64_t random = 777;
    bytes good = good_file(8);
    int refused = 0;
    for (int round = 0; round < 3000; round++) {
        bytes b = {malloc(good.size), good.size, 0};
        memcpy(b.data, good.data, good.size);
        for (uint64_t n = testing_random(&random) % 3 + 1; n > 0; n--) {
            static const char likely[] = "0123456789,:[]{}\"-.eE \\u\0\xff";
            size_t at = testing_random(&random) % (good.size * 3 / 4);
            b.data[at] = testing_random(&random) % 2 ? (uint8_t)testing_random(&random)
                                                     : (uint8_t)likely[testing_random(&random) % (sizeof likely - 1)];
        }
        weft_safetensors *s = NULL;
        weft_error err = {0};
        weft_status status = open_bytes(&b, &s, &err);
        CHECK_MSG((status == WEFT_OK) == (s != NULL) && (status == WEFT_OK || err.message[0]), "round %d", round);
        volatile unsigned sum = 0;
        for (int64_t i = 0; s && i < weft_safetensors_tensors(s)->count; i++) {
            const weft_tensor *t = &weft_safetensors_tensors(s)->tensors[i];
            for (size_t j = 0; j < t->bytes; j++) sum += ((const uint8_t *)t->data)[j];
        }
        (void)sum;
        refused += status != WEFT_OK;
        weft_safetensors_close(s);
        free(b.data);
    }
    CHECK_MSG(refused > 1000, "only %d of 3000 damaged files were refused", refused);
    free(good.data);
}

/* A header text over `data_size` zero bytes. */
static void expect_header(const char *header, size_t data_size, weft_status wanted, const char *words) {
    uint8_t data[256] = {0};
    bytes b = st_file(header, strlen(header), data, data_size, 1);
    weft_safetensors *s = NULL;
    weft_error err = {0};
    weft_status status = open_bytes(&b, &s, &err);
    CHECK_MSG(status == wanted && strstr(status ? err.message : "", words), "%s: want %d '%s', got %d '%s'", header,
              (int)wanted, words, (int)status, err.message);
    weft_safetensors_close(s);
    free(b.data);
}

static void test_headers(void) {
    expect_header("{}", 0, WEFT_OK, "");
    expect_header("{\"__metadata__\":{\"format\":\"pt\"}}", 0, WEFT_OK, "");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, WEFT_OK, "");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},\"u\":{\"dtype\":\"U8\",\"shape\":"
                  "[3],\"data_offsets\":[0,3]}}",
                  3, WEFT_OK, "");
    expect_header("{\"__metadata__\":5}", 0, WEFT_ERR_FORMAT, "__metadata__");
    expect_header("[1,2]", 0, WEFT_ERR_FORMAT, "JSON object");
    expect_header("{\"t\":", 0, WEFT_ERR_FORMAT, "not valid JSON");
    expect_header("{\"t\":3}", 0, WEFT_ERR_FORMAT, "'t' is not an object");
    expect_header("{\"t\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, WEFT_ERR_FORMAT, "no dtype");
    expect_header("{\"t\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, WEFT_ERR_FORMAT,
                  "unknown dtype 'F99'");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, WEFT_ERR_FORMAT, "no shape");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, WEFT_ERR_FORMAT,
                  "impossible shape");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, WEFT_ERR_FORMAT,
                  "impossible shape");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4,
                  WEFT_ERR_FORMAT, "impossible shape");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,4]}}", 4,
                  WEFT_ERR_FORMAT, "impossible shape");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, WEFT_ERR_UNSUPPORTED,
                  "6 dimensions");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, WEFT_ERR_FORMAT, "need 8");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,5]}}", 5, WEFT_ERR_FORMAT, "need 4");
    expect_header("{\"t\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, WEFT_ERR_FORMAT, "'t'");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, WEFT_ERR_FORMAT, "data_offsets");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[\"0\",4]}}", 4, WEFT_ERR_FORMAT,
                  "data_offsets");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, WEFT_ERR_FORMAT,
                  "lies at bytes -4");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, WEFT_ERR_FORMAT, "lies at");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 4, WEFT_ERR_FORMAT,
                  "download complete");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, WEFT_ERR_FORMAT,
                  "4 bytes before tensor 't'");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, WEFT_ERR_FORMAT,
                  "4 bytes after the last tensor");
    expect_header("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"u\":{\"dtype\":\"U8\",\"shape\":["
                  "2],\"data_offsets\":[3,5]}}",
                  5, WEFT_ERR_FORMAT, "share bytes");
    expect_header("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"t\":{\"dtype\":\"U8\",\"shape\":[1]"
                  ",\"data_offsets\":[1,2]}}",
                  2, WEFT_ERR_FORMAT, "duplicate");
    expect_header("{\"a\\u0007b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, WEFT_ERR_FORMAT,
                  "control characters");
    expect_header("{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, WEFT_ERR_FORMAT,
                  "name of 0 bytes");
    bytes b = {0};
    weft_safetensors *s;
    weft_error err;
    put_u64(&b, UINT64_MAX), put(&b, "{}", 2);
    CHECK(open_bytes(&b, &s, &err) == WEFT_ERR_LIMIT && strstr(err.message, "18446744073709551615"));
    b.size = 0, put_u64(&b, 3), put(&b, "{}", 2);
    CHECK(open_bytes(&b, &s, &err) == WEFT_ERR_FORMAT && strstr(err.message, "claims a header of 3"));
    free(b.data);
}

/* A header that nests as deep as it is long must not exhaust the stack. */
static void test_nesting(void) {
    size_t size = 1 << 20;
    char *text = malloc(size);
    memset(text, '[', size);
    memcpy(text, "{\"t\":", 5);
    bytes b = st_file(text, size, "", 0, 1);
    weft_safetensors *s;
    weft_error err;
    CHECK(open_bytes(&b, &s, &err) == WEFT_ERR_FORMAT && strstr(err.message, "not valid JSON"));
    free(text);
    free(b.data);
}

static void write_shard(const char *path, const char *tensor) {
    st_writer w = {0};
    st_tensor(&w, tensor, WEFT_F32, SHAPE(6));
    st_end(&w, path, 8);
}

static void expect_index(const char *map, weft_status wanted, const char *words) {
    char text[2048];
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":48},\"weight_map\":%s}", map);
    files_text(files_path("model.safetensors.index.json"), text);
    weft_safetensors *s = NULL;
    weft_error err = {0};
    weft_status status = weft_safetensors_open(files_folder, &s, &err);
    CHECK_MSG(status == wanted && strstr(status ? err.message : "", words), "%s: want %d '%s', got %d '%s'", map,
              (int)wanted, words, (int)status, err.message);
    if (s) {
        uint64_t size;
        CHECK(weft_safetensors_tensors(s)->count == 2 && weft_safetensors_file(s, 1, &size) &&
              !weft_safetensors_file(s, 2, &size));
    }
    weft_safetensors_close(s);
}

static void test_shards(void) {
    weft_safetensors *s;
    weft_error err;
    CHECK(weft_safetensors_open(files_folder, &s, &err) == WEFT_ERR_NOT_FOUND);
    write_shard(files_path("m1.safetensors"), "a");
    write_shard(files_path("m2.safetensors"), "b");
    write_shard(files_path("m3.safetensors"), "a");
    files_text(files_path("unrelated.safetensors"), "not read, as the index does not name it");
    expect_index("{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\"}", WEFT_OK, "");
    expect_index("{}", WEFT_ERR_FORMAT, "weight_map is empty");
    expect_index("[]", WEFT_ERR_FORMAT, "weight_map is missing or not an object");
    expect_index("{\"a\":7}", WEFT_ERR_FORMAT, "not a file name");
    expect_index("{\"a\":\"../m1.safetensors\"}", WEFT_ERR_FORMAT, "only files of the folder itself");
    expect_index("{\"a\":\"/etc/passwd\"}", WEFT_ERR_FORMAT, "only files of the folder itself");
    expect_index("{\"a\":\"sub/m1.safetensors\"}", WEFT_ERR_FORMAT, "only files of the folder itself");
    expect_index("{\"a\":\"..\"}", WEFT_ERR_FORMAT, "only files of the folder itself");
    expect_index("{\"a\":\"m1.bin\"}", WEFT_ERR_FORMAT, "not a .safetensors file");
    expect_index("{\"a\":\"\"}", WEFT_ERR_FORMAT, "not a .safetensors file");
    expect_index("{\"a\":\"m1.safetensors\",\"b\":\"m9.safetensors\"}", WEFT_ERR_NOT_FOUND, "m9.safetensors");
    expect_index("{\"a\":\"m2.safetensors\",\"b\":\"m1.safetensors\"}", WEFT_ERR_FORMAT, "where the index says");
    expect_index("{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\",\"c\":\"m2.safetensors\"}", WEFT_ERR_FORMAT,
                 "'c' is not in m2.safetensors");
    expect_index("{\"a\":\"m1.safetensors\",\"b\":\"m3.safetensors\"}", WEFT_ERR_FORMAT, "'a' is there twice");
    write_shard(files_path("model.safetensors"), "whole"); /* a single file wins over an index */
    CHECK_OK(weft_safetensors_open(files_folder, &s, &err), err);
    CHECK(weft_tensor_find(weft_safetensors_tensors(s), "whole") && weft_safetensors_tensors(s)->count == 1);
    weft_safetensors_close(s);
}

int main(void) {
    files_begin();
    test_good(8);
    test_good(1);
    test_truncation();
    test_flips();
    test_headers();
    test_nesting();
    test_shards();
    return testing_summary();
}
