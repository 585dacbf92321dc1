/* Operators: arithmetic on 64-bit integers (leaving them is an error, not a wrap) and floats, concatenation,
 * repetition, % formatting, slices, comparison. */
#include <math.h>
#include <string.h>

#include "text/jinja_internal.h"

static const char *const op_names[] = {"+", "-", "*", "/", "//", "%", "**"};

static _Noreturn void overflow(jrun *run, jop op) {
    jinja_raise(&run->trap, WEFT_ERR_LIMIT, "the result of %s does not fit into a 64-bit integer", op_names[op]);
}
static _Noreturn void unsupported(jrun *run, jop op, jval a, jval b) {
    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unsupported operand type(s) for %s: '%s' and '%s'", op_names[op],
                jinja_type_name(a), jinja_type_name(b));
}

static int64_t floor_divide(int64_t a, int64_t b) {
    int64_t q = a / b;
    return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

static jval power(jrun *run, int64_t base, int64_t exponent) {
    if (exponent < 0) {
        if (!base) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "0.0 cannot be raised to a negative power");
        return jinja_float(pow((double)base, (double)exponent));
    }
    int64_t result = 1;
    while (exponent) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow(run, JOP_POW);
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base)) overflow(run, JOP_POW);
    }
    return jinja_int(result);
}

static jval int_op(jrun *run, jop op, int64_t a, int64_t b) {
    int64_t r = 0;
    bool over = false;
    if (!b && (op == JOP_DIV || op == JOP_FLOORDIV || op == JOP_MOD))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "division by zero");
    switch (op) {
    case JOP_ADD: over = __builtin_add_overflow(a, b, &r); break;
    case JOP_SUB: over = __builtin_sub_overflow(a, b, &r); break;
    case JOP_MUL: over = __builtin_mul_overflow(a, b, &r); break;
    case JOP_DIV: return jinja_float((double)((long double)a / (long double)b));
    case JOP_FLOORDIV:
        over = a == INT64_MIN && b == -1;
        if (!over) r = floor_divide(a, b);
        break;
    case JOP_MOD:
        r = b == -1 ? 0 : a % b;
        if (r && (r < 0) != (b < 0)) r += b;
        break;
    case JOP_POW: return power(run, a, b);
    }
    if (over) overflow(run, op);
    return jinja_int(r);
}

/* Python's float floor division and modulo: the remainder has the sign of the divisor. */
static double float_mod(double a, double b, double *quotient) {
    double mod = fmod(a, b), div = (a - mod) / b;
    if (mod != 0) {
        if ((b < 0) != (mod < 0)) {
            mod += b;
            div -= 1;
        }
    } else {
        mod = copysign(0.0, b);
    }
    if (div != 0) {
        *quotient = floor(div);
        if (div - *quotient > 0.5) *quotient += 1;
    } else {
        *quotient = copysign(0.0, a / b);
    }
    return mod;
}

static jval float_op(jrun *run, jop op, double a, double b) {
    double quotient, mod;
    if (b == 0 && (op == JOP_DIV || op == JOP_FLOORDIV || op == JOP_MOD))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "float division by zero");
    switch (op) {
    case JOP_ADD: return jinja_float(a + b);
    case JOP_SUB: return jinja_float(a - b);
    case JOP_MUL: return jinja_float(a * b);
    case JOP_DIV: return jinja_float(a / b);
    case JOP_FLOORDIV:
    case JOP_MOD: mod = float_mod(a, b, &quotient); return jinja_float(op == JOP_MOD ? mod : quotient);
    case JOP_POW: break;
    }
    if (a == 0 && b < 0) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "0.0 cannot be raised to a negative power");
    if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b))
        jinja_raise(&run->trap, WEFT_ERR_UNSUPPORTED, "a negative number to a fractional power is complex");
    double result = pow(a, b);
    if (isinf(result) && isfinite(a) && isfinite(b))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "Numerical result out of range");
    return jinja_float(result);
}

static jval repeat(jrun *run, jval v, int64_t times) {
    if (times < 0) times = 0;
    if (v.type == J_STR) {
        jbuilder b;
        jinja_build_init(&b);
        jinja_build_fill(run, &b, v.s, (size_t)times);
        jval out = jinja_build_end(run, &b);
        out.s->markup = v.s->markup;
        return out;
    }
    size_t count = v.list->count;
    if (count && (uint64_t)times > run->steps_max / count)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "a repeated list is too long");
    jval out = jinja_list_new(run, count * (size_t)times);
    out.type = v.type;
    for (int64_t n = 0; n < times && count; n++)
        for (size_t i = 0; i < count; i++) jinja_list_push(run, out.list, v.list->items[i]);
    return out;
}

static jval join_lists(jrun *run, jval a, jval b) {
    jval out = jinja_list_new(run, a.list->count + b.list->count);
    out.type = a.type;
    for (size_t i = 0; i < a.list->count; i++) jinja_list_push(run, out.list, a.list->items[i]);
    for (size_t i = 0; i < b.list->count; i++) jinja_list_push(run, out.list, b.list->items[i]);
    return out;
}

static jval add_strings(jrun *run, jval a, jval b) {
    if (!a.s->markup && !b.s->markup) return jinja_concat(run, a.s, b.s);
    jval out = jinja_concat(run, jinja_escape_html(run, a).s, jinja_escape_html(run, b).s);
    out.s->markup = true;
    return out;
}

jval jinja_binary(jrun *run, jop op, jval a, jval b) {
    if (a.type == J_UNDEFINED) jinja_raise_undefined(run, a);
    if (op == JOP_MOD && a.type == J_STR) return jinja_percent(run, a.s, b);
    if (b.type == J_UNDEFINED) jinja_raise_undefined(run, b);
    if (jinja_is_number(a) && jinja_is_number(b)) {
        int64_t i, j;
        if (jinja_index(a, &i) && jinja_index(b, &j)) return int_op(run, op, i, j);
        return float_op(run, op, jinja_as_double(a), jinja_as_double(b));
    }
    bool a_sequence = a.type == J_STR || a.type == J_LIST || a.type == J_TUPLE;
    bool b_sequence = b.type == J_STR || b.type == J_LIST || b.type == J_TUPLE;
    int64_t times;
    if (op == JOP_ADD && a.type == b.type && a_sequence)
        return a.type == J_STR ? add_strings(run, a, b) : join_lists(run, a, b);
    if (op == JOP_MUL && a_sequence && jinja_index(b, &times)) return repeat(run, a, times);
    if (op == JOP_MUL && b_sequence && jinja_index(a, &times)) return repeat(run, b, times);
    unsupported(run, op, a, b);
}

jval jinja_negate(jrun *run, jval v) {
    if (v.type == J_UNDEFINED) jinja_raise_undefined(run, v);
    if (v.type == J_FLOAT) return jinja_float(-v.f);
    int64_t i;
    if (!jinja_index(v, &i))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "bad operand type for unary -: '%s'", jinja_type_name(v));
    if (i == INT64_MIN) overflow(run, JOP_SUB);
    return jinja_int(-i);
}

jval jinja_positive(jrun *run, jval v) {
    if (v.type == J_UNDEFINED) jinja_raise_undefined(run, v);
    if (v.type == J_FLOAT) return v;
    int64_t i;
    if (!jinja_index(v, &i))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "bad operand type for unary +: '%s'", jinja_type_name(v));
    return jinja_int(i);
}

bool jinja_compare(jrun *run, jcompare op, jval a, jval b) {
    switch (op) {
    case JCMP_EQ: return jinja_equal(run, a, b);
    case JCMP_NE: return !jinja_equal(run, a, b);
    case JCMP_IN: return jinja_contains(run, b, a);
    case JCMP_NOTIN: return !jinja_contains(run, b, a);
    default: return jinja_less(run, a, b, op);
    }
}

/* ---- slices ---- */

static bool slice_part(jrun *run, jval v, int64_t *out) {
    if (v.type == J_NONE || v.type == J_MISSING) return false;
    if (!jinja_index(v, out))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "slice indices must be integers or None or have an __index__ method");
    return true;
}

static int64_t clamp_index(int64_t i, int64_t length, int64_t low, int64_t high) {
    if (i < 0) i += length;
    return i < low ? low : i > high ? high : i;
}

jval jinja_slice(jrun *run, jval v, jval start_value, jval stop_value, jval step_value) {
    if (v.type == J_UNDEFINED) jinja_raise_undefined(run, v);
    if (v.type != J_STR && v.type != J_LIST && v.type != J_TUPLE && v.type != J_RANGE)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'%s' object cannot be sliced", jinja_type_name(v));
    size_t size = 0;
    jinja_length(run, v, &size);
    int64_t length = (int64_t)size, step = 1, start, stop;
    slice_part(run, step_value, &step);
    if (!step) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "slice step cannot be zero");
    if (step < -INT64_MAX) step = -INT64_MAX;
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
    start = slice_part(run, start_value, &start) ? clamp_index(start, length, low, high) : step < 0 ? high : low;
    stop = slice_part(run, stop_value, &stop) ? clamp_index(stop, length, low, high) : step < 0 ? low : high;
    int64_t count = step > 0 ? (stop > start ? (stop - start - 1) / step + 1 : 0)
                             : (start > stop ? (start - stop - 1) / -step + 1 : 0);
    if (v.type == J_STR && step == 1) {
        if (!count) return jinja_str_pick(run, v.s, v.s->data, 0);
        size_t from = jinja_str_offset(run, v.s, (size_t)start), to = jinja_str_offset(run, v.s, (size_t)stop);
        return jinja_str_pick(run, v.s, v.s->data + from, to - from);
    }
    if (v.type == J_RANGE) { /* a slice of a range is a range; its bounds may lie one step outside of 64 bits */
        jrange *r = jinja_alloc(&run->trap, sizeof *r);
        __int128 first = v.range->start + (__int128)start * v.range->step;
        __int128 last = v.range->start + (__int128)stop * v.range->step, stride = (__int128)v.range->step * step;
        if (first != (int64_t)first || last != (int64_t)last || stride != (int64_t)stride)
            jinja_raise(&run->trap, WEFT_ERR_LIMIT, "a range does not fit into 64-bit integers");
        *r = (jrange){.start = (int64_t)first, .stop = (int64_t)last, .step = (int64_t)stride, .count = count};
        return (jval){.type = J_RANGE, .range = r};
    }
    jinja_pay(run, (uint64_t)count);
    if (v.type == J_STR) { /* every step-th character, by way of a list of them */
        jlist *chars = jinja_to_list(run, v);
        jbuilder b;
        jinja_build_init(&b);
        for (int64_t n = 0; n < count; n++) {
            const jstr *c = chars->items[start + n * step].s;
            jinja_build(run, &b, c->data, c->size);
        }
        jval out = jinja_build_end(run, &b);
        out.s->markup = v.s->markup;
        return out;
    }
    jval out = jinja_list_new(run, (size_t)count);
    out.type = v.type;
    for (int64_t n = 0; n < count; n++) out.list->items[n] = v.list->items[start + n * step];
    out.list->count = (size_t)count;
    return out;
}
