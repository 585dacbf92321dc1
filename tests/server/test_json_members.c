/* Finding members of a large JSON object without building it: against the library that builds it, on random texts. */
#include "server/server_internal.h"
#include "testing.h"

static weft_status find(const char *text, size_t size, size_t values_max, weft_json_member members[3]) {
    members[0] = (weft_json_member){.name = "a"};
    members[1] = (weft_json_member){.name = "key"};
    members[2] = (weft_json_member){.name = ""};
    weft_error err;
    weft_status status = weft_json_members(text, size, values_max, members, 3, &err);
    if (status != WEFT_OK) CHECK(err.message[0] && err.status == status);
    return status;
}

static void check_value(const char *text, const char *value) {
    weft_json_member members[3];
    CHECK_MSG(find(text, strlen(text), 1000, members) == WEFT_OK, "%s", text);
    if (!value) {
        CHECK(members[0].text == NULL);
        return;
    }
    CHECK_MSG(members[0].text && members[0].size == strlen(value) &&
                  memcmp(members[0].text, value, members[0].size) == 0,
              "%s", text);
}

static void test_values(void) {
    check_value("{}", NULL);
    check_value(" \t\r\n{ \n}", NULL);
    check_value("{\"a\":1}", "1");
    check_value("{ \"a\" : 1 , \"b\":2 }", "1");
    check_value("{\"a\":1,\"a\": true \n}", "true");
    check_value("{\"b\":{\"a\":1}}", NULL);
    check_value("{\"b\":[{\"a\":1},\"\\\"a\\\":2\"],\"a\":[1,{\"x\":\"]\"}]}", "[1,{\"x\":\"]\"}]");
    check_value("{\"\\u0061\":\"v\\\\\"}", "\"v\\\\\"");
    check_value("{\"a\\u0062\":1}", NULL);
    check_value("{\"b\":\"a\",\"aa\":1,\"\":2}", NULL);
}

static void test_refusals(void) {
    static const char *const texts[] = {"",
                                        " ",
                                        "[",
                                        "[]",
                                        "1",
                                        "\"a\"",
                                        "{",
                                        "{\"",
                                        "{\"a",
                                        "{\"a\"",
                                        "{\"a\":",
                                        "{\"a\":1",
                                        "{\"a\":\"",
                                        "{\"a\":\"\\",
                                        "{\"a\":\"\\\"}",
                                        "{\"a\":[1,2}",
                                        "{\"a\":{\"b\":1}",
                                        "{a:1}",
                                        "{\"a\" 1}",
                                        "{\"a\":1,",
                                        "{,}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        weft_json_member members[3];
        CHECK_MSG(find(texts[i], strlen(texts[i]), 1000, members) == WEFT_ERR_INVALID, "%s", texts[i]);
    }
}

static void test_limit(void) {
    weft_json_member members[3];
    const char *five = "{\"a\":[1,2,3,4]}"; /* the list, three commas, and the member itself */
    CHECK_INT(find(five, strlen(five), 5, members), WEFT_OK);
    CHECK_INT(find(five, strlen(five), 4, members), WEFT_ERR_LIMIT);
    const char *text = "{\"a\":\"[,,,,,,,,[[[[[[\"}";
    CHECK_INT(find(text, strlen(text), 1, members), WEFT_OK);
    enum { DEPTH = 3000000 };
    char *deep = malloc(DEPTH + 6);
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', DEPTH);
    CHECK_INT(find(deep, DEPTH + 5, SIZE_MAX, members), WEFT_ERR_INVALID);
    CHECK_INT(find(deep, DEPTH + 5, 1000, members), WEFT_ERR_LIMIT);
    free(deep);
}

/* Any text: no read outside it (the sanitizers look); where the library finds an object, the same members are found. */
static void test_random(void) {
    static const char *const pieces[] = {"{",  "}", "[",    "]",    ",", ":",  "\"a\"",       "\"key\"", "\"\"",  "\"",
                                         "\\", "1", "true", "null", " ", "\n", "\"\\u0061\"", "\"x,y\"", "-2.5e3"};
    enum { PIECES = sizeof pieces / sizeof *pieces };
    uint64_t seed = 5;
    int objects = 0;
    for (int round = 0; round < 60000; round++) {
        char text[256] = "{";
        int count = (int)(testing_random(&seed) % 14);
        for (int i = 0; i < count; i++) {
            if (round % 2) { /* mostly well-formed */
                static const char *const values[] = {"1", "[]", "{\"a\":2}", "\"a\"", "[1,{\"key\":[]}]", " null "};
                strcat(text, i ? "," : "");
                strcat(text, pieces[6 + testing_random(&seed) % 3]);
                strcat(text, testing_random(&seed) % 2 ? ":" : " : ");
                strcat(text, values[testing_random(&seed) % 6]);
                if (strlen(text) > 200) break;
            } else {
                strcat(text, pieces[testing_random(&seed) % PIECES]);
            }
        }
        if (testing_random(&seed) % 8) strcat(text, "}");
        size_t size = strlen(text);
        char *exact = malloc(size); /* no byte behind the text */
        memcpy(exact, text, size);
        weft_json_member members[3];
        weft_status status = find(exact, size, SIZE_MAX, members);
        json_t *root = json_loadb(exact, size, 0, NULL);
        if (root) {
            objects++;
            CHECK_MSG(status == WEFT_OK, "%s", text);
            for (int i = 0; i < 3 && status == WEFT_OK; i++) {
                json_t *value = weft_json_member_value(&members[i]), *expected = json_object_get(root, members[i].name);
                CHECK_MSG(value == expected || json_equal(value, expected), "%s", text);
                json_decref(value);
            }
            json_decref(root);
        }
        free(exact);
    }
    CHECK_MSG(objects > 5000, "only %d objects", objects);
}

int main(void) {
    test_values();
    test_refusals();
    test_limit();
    test_random();
    return testing_summary();
}
