/* A list of merges added in groups makes the same table as one merge after the other: ordinary parts, equal pairs,
 * parts too long for a group, letters outside the byte-level alphabet, and refusals. */
#include "testing.h"
#include "text/merges.h"

enum { MERGES = 3000, TEXT = 200 };

typedef struct pair {
    char left[TEXT], right[TEXT];
} pair;

static weft_vocab vocab;
static pair pairs[MERGES];
static int32_t next_id;

static weft_bytes bytes_of(const char *text) {
    return (weft_bytes){text, strlen(text)};
}

static void add(const char *text) {
    weft_error err;
    CHECK_OK(weft_vocab_add(&vocab, text, strlen(text), next_id++, &err), err);
}

/* A part: one of the texts so far, or a new one of random letters. */
static void draw(char out[TEXT], uint64_t *random, int made) {
    static const char *const letters[] = {"a", "b", "c", "\xC4\xA0", "\xC3\xA9", "x", "\xE4\xB8\xAD"};
    *random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
    uint32_t r = (uint32_t)(*random >> 33);
    if (made > 0 && r % 4) {
        const pair *p = &pairs[(r >> 3) % (unsigned)made];
        snprintf(out, TEXT, "%s", (r >> 2) % 2 ? p->left : p->right);
        return;
    }
    int count = 1 + (int)((r >> 8) % (r % 64 == 0 ? 40 : 6));
    out[0] = 0;
    for (int i = 0; i < count; i++) {
        *random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
        uint32_t which = (uint32_t)(*random >> 40);
        strcat(out, letters[which % (which % 50 == 0 ? 7 : 6)]);
    }
}

static void make_pairs(void) {
    uint64_t random = 5;
    weft_vocab_init(&vocab);
    for (int i = 0; i < MERGES; i++) {
        char joined[2 * TEXT];
        draw(pairs[i].left, &random, i);
        draw(pairs[i].right, &random, i);
        snprintf(joined, sizeof joined, "%.199s%.199s", pairs[i].left, pairs[i].right);
        add(pairs[i].left);
        add(pairs[i].right);
        add(joined);
    }
}

static const weft_merge *find(const weft_bpe *bpe, uint32_t left, uint32_t right) {
    for (size_t i = 0; i < bpe->slot_count; i++)
        if (bpe->slots[i].left == left && bpe->slots[i].right == right) return &bpe->slots[i];
    return NULL;
}

static void check_equal(void) {
    weft_error err;
    weft_bpe one, grouped;
    weft_bpe_init(&one);
    weft_bpe_init(&grouped);
    weft_merge_list list;
    weft_merge_list_init(&list, &grouped, &vocab);
    for (uint32_t i = 0; i < MERGES; i++) {
        CHECK_OK(weft_bpe_add_merge(&one, &vocab, bytes_of(pairs[i].left), bytes_of(pairs[i].right), i, &err), err);
        CHECK_OK(weft_merge_list_add(&list, bytes_of(pairs[i].left), bytes_of(pairs[i].right), i, &err), err);
    }
    CHECK_OK(weft_merge_list_finish(&list, &err), err);
    CHECK_INT(grouped.count, one.count);
    CHECK(one.count > 1000 && one.count < MERGES); /* some pairs came twice */
    for (size_t i = 0; i < one.slot_count; i++) {
        const weft_merge *m = &one.slots[i];
        if (m->left == UINT32_MAX) continue;
        const weft_merge *same = find(&grouped, m->left, m->right);
        CHECK(same && same->rank == m->rank && same->id == m->id);
    }
    weft_bpe_free(&one);
    weft_bpe_free(&grouped);
}

/* A bad merge is refused by its own name, when its group is done at the latest. */
static void check_refusals(const char *left, const char *right, const char *part) {
    weft_error err = {0};
    weft_bpe bpe;
    weft_bpe_init(&bpe);
    weft_merge_list list;
    weft_merge_list_init(&list, &bpe, &vocab);
    weft_status status = WEFT_OK;
    for (uint32_t i = 0; i < 10 && status == WEFT_OK; i++)
        status = weft_merge_list_add(&list, bytes_of(pairs[i].left), bytes_of(pairs[i].right), i, &err);
    if (status == WEFT_OK) status = weft_merge_list_add(&list, bytes_of(left), bytes_of(right), 10, &err);
    if (status == WEFT_OK) status = weft_merge_list_finish(&list, &err);
    CHECK_INT(status, WEFT_ERR_FORMAT);
    CHECK_MSG(strstr(err.message, part) && strstr(err.message, "merge 10"), "%s", err.message);
    weft_bpe_free(&bpe);
}

int main(void) {
    make_pairs();
    check_equal();
    check_refusals("nothere", "a", "nothere");
    check_refusals("a", "", "vocabulary");
    check_refusals("\xE4\xB8\xAD\xE4\xB8\xAD\xE4\xB8\xAD", "zz", "zz");
    weft_vocab_free(&vocab);
    return testing_summary();
}
