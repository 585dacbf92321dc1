/* Position triples: see positions.h. */
#include "decoder/positions.h"

static int64_t fill_text(int32_t (*positions)[3], int64_t begin, int64_t end, int64_t next) {
    for (int64_t i = begin; i < end; i++, next++)
        for (int axis = 0; axis < 3; axis++) positions[i][axis] = (int32_t)next;
    return next;
}

weft_status weft_positions(int64_t token_count, const weft_visual_span *spans, int64_t span_count,
                           int32_t (*positions)[3], int64_t *delta, weft_error *err) {
    if (token_count > INT32_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "a prompt of %lld tokens is too long", (long long)token_count);
    int64_t at = 0, next = 0;
    for (int64_t s = 0; s < span_count; s++) {
        const weft_visual_span *span = &spans[s];
        if (span->begin < at || span->count < 1 || span->count > token_count - span->begin ||
            span->rows * span->cols != span->count)
            return weft_fail(err, WEFT_ERR_INTERNAL, "visual span %lld does not fit its place in the prompt", (long long)s);
        next = fill_text(positions, at, span->begin, next);
        for (int64_t i = 0; i < span->count; i++) {
            int32_t *p = positions[span->begin + i];
            p[0] = (int32_t)next;
            p[1] = (int32_t)(next + i / span->cols);
            p[2] = (int32_t)(next + i % span->cols);
        }
        next += span->rows > span->cols ? span->rows : span->cols;
        at = span->begin + span->count;
    }
    next = fill_text(positions, at, token_count, next);
    *delta = next - token_count;
    return WEFT_OK;
}
