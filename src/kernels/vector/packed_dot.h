/* Few rows with panels: one function per panel type and number of rows, so that both are constants in it, and `packed_dot`, which
 * chooses. Included by the file of a level after it has defined
 *   dot_panels(bits, kind, zero, rows, out, out_stride, x, x_rows, w, p0, p1)
 * and EACH_PACKED_TYPE. A level with more than four rows names the numbers it has in EACH_DOT_COUNT; others are taken apart. */
#ifndef WEFT_KERNELS_VECTOR_PACKED_DOT_H
#define WEFT_KERNELS_VECTOR_PACKED_DOT_H

#ifndef EACH_DOT_COUNT
#define EACH_DOT_COUNT(CASE, bits, kind, zero)                                                                         \
    CASE(1, bits, kind, zero)                                                                                          \
    CASE(2, bits, kind, zero)                                                                                          \
    CASE(3, bits, kind, zero)                                                                                          \
    CASE(4, bits, kind, zero)
#endif
#define ROWS_CASE(n, bits, kind, zero)                                                                                 \
    case n:                                                                                                            \
        dot_panels(bits, kind, zero, n, out, out_stride, x, x_rows, w, p0, p1);                                        \
        return;
#define DEFINE_DOT(type, bits, kind, zero)                                                                             \
    static void dot_##type(float *out, int64_t out_stride, const weft_quants *x, int64_t x_rows, int rows,             \
                           const weft_matrix *w, int64_t p0, int64_t p1) {                                             \
        switch (rows) {                                                                                                \
            EACH_DOT_COUNT(ROWS_CASE, bits, kind, zero)                                                                \
        default: /* the first and the rest */                                                                          \
            dot_##type(out, out_stride, x, x_rows, 1, w, p0, p1);                                                      \
            dot_##type(out + out_stride, out_stride, x + 1, x_rows, rows - 1, w, p0, p1);                              \
        }                                                                                                              \
    }
EACH_PACKED_TYPE(DEFINE_DOT)

static void packed_dot(float *out, int64_t out_stride, const weft_quants *x, int64_t x_rows, int rows,
                       const weft_matrix *w, int64_t p0, int64_t p1) {
#define DOT_CASE(type, bits, kind, zero)                                                                               \
    case type: dot_##type(out, out_stride, x, x_rows, rows, w, p0, p1); return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(DOT_CASE)
    default: return;
    }
}
#endif
