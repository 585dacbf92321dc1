/* Python's sorted(): a stable merge sort by "<" alone; reverse keeps the order of equal items. */
#include <string.h>

#include "text/jinja_internal.h"

typedef struct entry {
    jval key, item;
} entry;

static bool goes_first(jrun *run, const entry *right, const entry *left, bool reverse) {
    return reverse ? jinja_less(run, left->key, right->key, JCMP_LT) : jinja_less(run, right->key, left->key, JCMP_LT);
}

void jinja_sort(jrun *run, jval *keys, jval *items, size_t count, bool reverse) {
    if (!count) return;
    entry *from = jinja_alloc(&run->trap, count * sizeof *from), *to = jinja_alloc(&run->trap, count * sizeof *to);
    for (size_t i = 0; i < count; i++) from[i] = (entry){keys[i], items[i]};
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = middle + width < count ? middle + width : count;
            size_t left = start, right = middle;
            for (size_t out = start; out < end; out++) {
                bool take_right =
                    right < end && (left == middle || goes_first(run, &from[right], &from[left], reverse));
                to[out] = from[take_right ? right++ : left++];
            }
        }
        entry *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = from[i].key;
        items[i] = from[i].item;
    }
}
