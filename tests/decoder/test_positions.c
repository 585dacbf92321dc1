/* Position triples against transformers' get_rope_index (lab/unit_goldens.py), and spans that do not fit. */
#include "decoder/positions.h"

#include <jansson.h>

#include "testing.h"

enum { TOKENS_MAX = 512, SPANS_MAX = 32 };

/* Visual spans of a case: runs of non-zero types, whose grids come in order from its list of spans (patches, merged 2x2). */
static int64_t spans_of(const json_t *item, weft_visual_span *spans) {
    const json_t *types = json_object_get(item, "types"), *list = json_object_get(item, "spans");
    int64_t count = 0, n = (int64_t)json_array_size(types);
    int64_t rows[SPANS_MAX], cols[SPANS_MAX], grids = 0;
    size_t s;
    json_t *span;
    json_array_foreach((json_t *)list, s, span) {
        if (strcmp(json_string_value(json_array_get(span, 0)), "text") == 0) continue;
        for (json_int_t t = 0; t < json_integer_value(json_array_get(span, 1)); t++, grids++) {
            rows[grids] = json_integer_value(json_array_get(span, 2)) / 2;
            cols[grids] = json_integer_value(json_array_get(span, 3)) / 2;
        }
    }
    for (int64_t i = 0; i < n;) {
        json_int_t type = json_integer_value(json_array_get(types, (size_t)i));
        int64_t end = i;
        while (end < n && json_integer_value(json_array_get(types, (size_t)end)) == type) end++;
        if (type) {
            spans[count] = (weft_visual_span){i, end - i, rows[count], cols[count]};
            count++;
        }
        i = end;
    }
    CHECK_INT(count, grids);
    return count;
}

int main(void) {
    json_t *cases = json_load_file(WEFT_TEST_DATA "/positions.json", 0, NULL), *item;
    CHECK(json_array_size(cases) >= 8);
    size_t c;
    weft_error err;
    static int32_t positions[TOKENS_MAX][3];
    int64_t delta;
    json_array_foreach(cases, c, item) {
        weft_visual_span spans[SPANS_MAX];
        int64_t span_count = spans_of(item, spans), n = (int64_t)json_array_size(json_object_get(item, "types")), wrong = 0;
        CHECK_OK(weft_positions(n, spans, span_count, positions, &delta, &err), err);
        for (int axis = 0; axis < 3; axis++)
            for (int64_t i = 0; i < n; i++)
                wrong += positions[i][axis] != json_integer_value(json_array_get(json_array_get(json_object_get(item, "positions"), (size_t)axis), (size_t)i));
        CHECK_MSG(wrong == 0, "case %zu: %lld values differ", c, (long long)wrong);
        CHECK_INT(delta, json_integer_value(json_object_get(item, "delta")));
    }
    json_decref(cases);
    CHECK(weft_positions(5, &(weft_visual_span){3, 4, 2, 2}, 1, positions, &delta, &err) != WEFT_OK);
    CHECK(weft_positions(9, &(weft_visual_span){3, 4, 2, 3}, 1, positions, &delta, &err) != WEFT_OK);
    CHECK(weft_positions(9, (weft_visual_span[]){{3, 4, 2, 2}, {6, 1, 1, 1}}, 2, positions, &delta, &err) != WEFT_OK);
    return testing_summary();
}
