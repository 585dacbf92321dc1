/* BPE merging against its definition, on random tables of merges in which one token may come about in several ways, and
 * NFC's ordering of marks against a plain stable sort. */
#include "testing.h"
#include "text/bpe.h"
#include "text/unicode.h"

enum { LETTERS = 3, TOKENS_MAX = 120, MERGES = 200, WORD_MAX_BYTES = 600, TOKEN_BYTES_MAX = 12 };

typedef struct table {
    weft_vocab vocab;
    weft_bpe bpe;
    struct {
        int32_t left, right, id;
    } merges[MERGES]; /* by rank; left -1: given again later */
    char tokens[TOKENS_MAX][TOKEN_BYTES_MAX + 1];
    int token_count;
} table;

static int find_token(const table *t, const char *text) {
    for (int i = 0; i < t->token_count; i++)
        if (strcmp(t->tokens[i], text) == 0) return i;
    return -1;
}

/* Joins random tokens; every pair becomes a merge, and many pairs give the same token. */
static void make_table(table *t, uint64_t *seed) {
    weft_error err = {0};
    t->token_count = 0;
    weft_vocab_init(&t->vocab);
    weft_bpe_init(&t->bpe);
    for (int i = 0; i < LETTERS; i++) snprintf(t->tokens[t->token_count++], TOKEN_BYTES_MAX, "%c", 'a' + i);
    for (int i = 0; i < MERGES;) {
        int left = (int)(testing_random(seed) % (uint64_t)t->token_count);
        int right = (int)(testing_random(seed) % (uint64_t)t->token_count);
        char joined[2 * TOKEN_BYTES_MAX + 1];
        snprintf(joined, sizeof joined, "%s%s", t->tokens[left], t->tokens[right]);
        int id = find_token(t, joined);
        if (strlen(joined) > TOKEN_BYTES_MAX || (id < 0 && t->token_count == TOKENS_MAX)) {
            left = (int)(testing_random(seed) % LETTERS); /* something that always fits */
            right = (int)(testing_random(seed) % LETTERS);
            snprintf(joined, sizeof joined, "%s%s", t->tokens[left], t->tokens[right]);
            id = find_token(t, joined);
            if (id < 0 && t->token_count == TOKENS_MAX) continue;
        }
        if (id < 0) {
            id = t->token_count++;
            memcpy(t->tokens[id], joined, strlen(joined) + 1);
        }
        for (int k = 0; k < i; k++)
            if (t->merges[k].left == left && t->merges[k].right == right) t->merges[k].left = -1;
        t->merges[i].left = left;
        t->merges[i].right = right;
        t->merges[i++].id = id;
    }
    for (int i = 0; i < t->token_count; i++)
        CHECK_OK(weft_vocab_add(&t->vocab, t->tokens[i], strlen(t->tokens[i]), i, &err), err);
    weft_bpe_set_bytes(&t->bpe, &t->vocab);
    for (int i = 0; i < MERGES; i++) {
        if (t->merges[i].left < 0) continue;
        const char *left = t->tokens[t->merges[i].left], *right = t->tokens[t->merges[i].right];
        CHECK_OK(weft_bpe_add_merge(&t->bpe, &t->vocab, (weft_bytes){left, strlen(left)},
                                    (weft_bytes){right, strlen(right)}, (uint32_t)i, &err),
                 err);
    }
}

static int rank_of(const table *t, int32_t left, int32_t right) {
    for (int i = 0; i < MERGES; i++)
        if (t->merges[i].left == left && t->merges[i].right == right) return i;
    return MERGES;
}

/* The definition: again and again the lowest rank, of those the leftmost. */
static size_t encode_plainly(const table *t, const char *word, size_t size, int32_t *ids) {
    size_t count = size;
    for (size_t i = 0; i < size; i++) ids[i] = word[i] - 'a';
    for (;;) {
        size_t best = 0;
        int best_rank = MERGES;
        for (size_t i = 0; i + 1 < count; i++) {
            int rank = rank_of(t, ids[i], ids[i + 1]);
            if (rank < best_rank) best_rank = rank, best = i;
        }
        if (best_rank == MERGES) return count;
        ids[best] = t->merges[best_rank].id;
        memmove(ids + best + 1, ids + best + 2, (count - best - 2) * sizeof *ids);
        count--;
    }
}

static void test_merging(void) {
    static table t;
    uint64_t seed = 12345;
    weft_error err = {0};
    for (int round = 0; round < 16; round++) {
        make_table(&t, &seed);
        weft_bpe_scratch *scratch = weft_bpe_scratch_new();
        for (int k = 0; k < 12; k++) {
            char word[WORD_MAX_BYTES];
            int32_t want[WORD_MAX_BYTES];
            size_t size = 1 + testing_random(&seed) % (k < 4 ? 60 : WORD_MAX_BYTES);
            for (size_t i = 0; i < size; i++) word[i] = (char)('a' + testing_random(&seed) % LETTERS);
            weft_ids got = {0};
            CHECK_OK(weft_bpe_encode(&t.bpe, scratch, word, size, &got, &err), err);
            size_t count = encode_plainly(&t, word, size, want);
            CHECK_INT(got.count, count);
            CHECK_MSG(got.count == count && memcmp(got.data, want, count * sizeof *want) == 0, "%.*s", (int)size, word);
            weft_ids_free(&got);
        }
        weft_bpe_scratch_free(scratch);
        weft_bpe_free(&t.bpe);
        weft_vocab_free(&t.vocab);
    }
}

/* Marks of five classes that compose with nothing here, in canonical order. */
static void test_mark_order(void) {
    static const char *const marks[] = {"\u0334", "\u0321", "\u0316", "\u030D", "\u0345", "\u0317", "\u0335"};
    static const int order[] = {0, 1, 2, 3, 4, 2, 0}; /* rank of each one's combining class: 1 202 220 230 240 220 1 */
    uint64_t seed = 77;
    weft_error err = {0};
    for (int round = 0; round < 300; round++) {
        weft_buffer text, want, got;
        weft_buffer_init(&text, 1 << 16, "text");
        weft_buffer_init(&want, 1 << 16, "text");
        weft_buffer_init(&got, 1 << 16, "text");
        int chosen[64], count = (int)(testing_random(&seed) % 64);
        CHECK_OK(weft_buffer_puts(&text, "#", &err), err);
        CHECK_OK(weft_buffer_puts(&want, "#", &err), err);
        for (int i = 0; i < count; i++) {
            chosen[i] = (int)(testing_random(&seed) % 7);
            CHECK_OK(weft_buffer_puts(&text, marks[chosen[i]], &err), err);
        }
        for (int class = 0; class < 5; class ++)
            for (int i = 0; i < count; i++)
                if (order[chosen[i]] == class) CHECK_OK(weft_buffer_puts(&want, marks[chosen[i]], &err), err);
        CHECK_OK(weft_nfc(text.data, text.size, &got, &err), err);
        CHECK_STR(got.data, want.data);
        weft_buffer_free(&text);
        weft_buffer_free(&want);
        weft_buffer_free(&got);
    }
}

int main(void) {
    test_merging();
    test_mark_order();
    return testing_summary();
}
