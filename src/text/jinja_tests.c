/* The tests behind `is`: each takes its subject as self and returns a bool. */
#include <string.h>

#include "text/jinja_internal.h"

#define TEST(name) static jval name(jrun *run, jval self, jval *a, const jargs *raw)
#define UNUSED     (void)run, (void)self, (void)a, (void)raw

TEST(test_defined) {
    UNUSED;
    return jinja_bool(self.type != J_UNDEFINED);
}
TEST(test_undefined) {
    UNUSED;
    return jinja_bool(self.type == J_UNDEFINED);
}
TEST(test_none) {
    UNUSED;
    return jinja_bool(self.type == J_NONE);
}
TEST(test_boolean) {
    UNUSED;
    return jinja_bool(self.type == J_BOOL);
}
TEST(test_true) {
    UNUSED;
    return jinja_bool(self.type == J_BOOL && self.b);
}
TEST(test_false) {
    UNUSED;
    return jinja_bool(self.type == J_BOOL && !self.b);
}
TEST(test_integer) {
    UNUSED;
    return jinja_bool(self.type == J_INT);
}
TEST(test_float) {
    UNUSED;
    return jinja_bool(self.type == J_FLOAT);
}
TEST(test_number) {
    UNUSED;
    return jinja_bool(jinja_is_number(self));
}
TEST(test_string) {
    UNUSED;
    return jinja_bool(self.type == J_STR);
}
TEST(test_mapping) {
    UNUSED;
    return jinja_bool(self.type == J_DICT);
}
TEST(test_sequence) { /* has len() and [] */
    UNUSED;
    return jinja_bool(self.type == J_STR || self.type == J_LIST || self.type == J_TUPLE || self.type == J_DICT ||
                      self.type == J_RANGE || self.type == J_UNDEFINED);
}
TEST(test_iterable) {
    UNUSED;
    return jinja_bool(self.type == J_LOOP || jinja_try_iter(run, self) != NULL);
}
TEST(test_callable) {
    UNUSED;
    return jinja_bool(self.type == J_MACRO || self.type == J_BUILTIN || self.type == J_METHOD || self.type == J_LOOP ||
                      self.type == J_JOINER || self.type == J_UNDEFINED);
}
TEST(test_escaped) {
    UNUSED;
    return jinja_bool(self.type == J_STR && self.s->markup);
}
TEST(test_lower) {
    UNUSED;
    return jinja_bool(jinja_str_all_cased(jinja_to_str(run, self).s, false));
}
TEST(test_upper) {
    UNUSED;
    return jinja_bool(jinja_str_all_cased(jinja_to_str(run, self).s, true));
}
TEST(test_odd) {
    UNUSED;
    return jinja_bool(jinja_equal(run, jinja_binary(run, JOP_MOD, self, jinja_int(2)), jinja_int(1)));
}
TEST(test_even) {
    UNUSED;
    return jinja_bool(jinja_equal(run, jinja_binary(run, JOP_MOD, self, jinja_int(2)), jinja_int(0)));
}
TEST(test_divisibleby) {
    UNUSED;
    return jinja_bool(jinja_equal(run, jinja_binary(run, JOP_MOD, self, a[0]), jinja_int(0)));
}
TEST(test_sameas) {
    UNUSED;
    return jinja_bool(jinja_same(self, a[0]));
}
TEST(test_in) {
    UNUSED;
    return jinja_bool(jinja_contains(run, a[0], self));
}
TEST(test_eq) {
    UNUSED;
    return jinja_bool(jinja_equal(run, self, a[0]));
}
TEST(test_ne) {
    UNUSED;
    return jinja_bool(!jinja_equal(run, self, a[0]));
}
TEST(test_lt) {
    UNUSED;
    return jinja_bool(jinja_less(run, self, a[0], JCMP_LT));
}
TEST(test_le) {
    UNUSED;
    return jinja_bool(jinja_less(run, self, a[0], JCMP_LE));
}
TEST(test_gt) {
    UNUSED;
    return jinja_bool(jinja_less(run, self, a[0], JCMP_GT));
}
TEST(test_ge) {
    UNUSED;
    return jinja_bool(jinja_less(run, self, a[0], JCMP_GE));
}
static bool known(jrun *run, jval name, const jbuiltin *(*find)(const char *, size_t)) {
    if (!jinja_hashable(run, name)) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unhashable type: '%s'", jinja_type_name(name));
    return name.type == J_STR && find(name.s->data, name.s->size);
}
TEST(test_filter) {
    UNUSED;
    return jinja_bool(known(run, self, jinja_find_filter));
}
TEST(test_test) {
    UNUSED;
    return jinja_bool(known(run, self, jinja_find_test));
}

static const jbuiltin tests[] = {
    {"defined", "", test_defined},
    {"undefined", "", test_undefined},
    {"none", "", test_none},
    {"string", "", test_string},
    {"mapping", "", test_mapping},
    {"iterable", "", test_iterable},
    {"sequence", "", test_sequence},
    {"number", "", test_number},
    {"boolean", "", test_boolean},
    {"true", "", test_true},
    {"false", "", test_false},
    {"integer", "", test_integer},
    {"float", "", test_float},
    {"callable", "", test_callable},
    {"escaped", "", test_escaped},
    {"lower", "", test_lower},
    {"upper", "", test_upper},
    {"odd", "", test_odd},
    {"even", "", test_even},
    {"divisibleby", "num", test_divisibleby},
    {"sameas", "other", test_sameas},
    {"in", "seq", test_in},
    {"==", "/b", test_eq},
    {"eq", "/b", test_eq},
    {"equalto", "/b", test_eq},
    {"!=", "/b", test_ne},
    {"ne", "/b", test_ne},
    {"<", "/b", test_lt},
    {"lt", "/b", test_lt},
    {"lessthan", "/b", test_lt},
    {"<=", "/b", test_le},
    {"le", "/b", test_le},
    {">", "/b", test_gt},
    {"gt", "/b", test_gt},
    {"greaterthan", "/b", test_gt},
    {">=", "/b", test_ge},
    {"ge", "/b", test_ge},
    {"filter", "", test_filter},
    {"test", "", test_test},
    {0},
};

const jbuiltin *jinja_find_test(const char *name, size_t size) {
    return jinja_find_in(tests, name, size);
}
