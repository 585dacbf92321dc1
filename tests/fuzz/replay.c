/* Runs a fuzz target without libFuzzer: over its seeds, then over RUNS changes of them, the same ones every time.
 * usage: replay_<target> SEEDS RUNS; a line of SEEDS is an input in hex digits, # begins a comment. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEEDS_MAX = 4096, INPUT_MAX = 2048 };

typedef struct seed {
    uint8_t bytes[INPUT_MAX];
    size_t size;
} seed;

static uint64_t state = 88172645463325252u;

static uint32_t next_random(void) { /* xorshift64 (Marsaglia 2003) */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* False: not hex digits, or too many. */
static int read_seed(const char *line, seed *out) {
    out->size = 0;
    for (unsigned value; line[0] && line[0] != '\n'; line += 2) {
        if (out->size == INPUT_MAX || sscanf(line, "%2x", &value) != 1) return 0;
        out->bytes[out->size++] = (uint8_t)value;
    }
    return 1;
}

static void change(seed *s) {
    for (uint32_t n = 1 + next_random() % 4; n && s->size; n--) {
        size_t at = next_random() % s->size;
        switch (next_random() % 4) {
        case 0: s->bytes[at] = (uint8_t)next_random(); break;
        case 1: s->bytes[at] ^= (uint8_t)(1u << next_random() % 8); break;
        case 2:
            memmove(s->bytes + at, s->bytes + at + 1, s->size - at - 1);
            s->size--;
            break;
        case 3:
            if (s->size == INPUT_MAX) break;
            memmove(s->bytes + at + 1, s->bytes + at, s->size - at);
            s->size++;
        }
    }
}

int main(int argc, char **argv) {
    static seed seeds[SEEDS_MAX];
    static char line[2 * INPUT_MAX + 2];
    size_t count = 0;
    FILE *file = argc == 3 ? fopen(argv[1], "r") : NULL;
    if (!file) return fprintf(stderr, "usage: replay SEEDS RUNS\n"), 2;
    while (count < SEEDS_MAX && fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n') continue;
        if (!read_seed(line, &seeds[count])) return fprintf(stderr, "%s: not hex digits: %.60s\n", argv[1], line), 2;
        LLVMFuzzerTestOneInput(seeds[count].bytes, seeds[count].size);
        count++;
    }
    fclose(file);
    long runs = strtol(argv[2], NULL, 10);
    if (count == 0 || runs < 0) return fprintf(stderr, "%s: no seeds, or no number of runs\n", argv[1]), 2;
    for (long i = 0; i < runs; i++) {
        seed changed = seeds[next_random() % count];
        change(&changed);
        LLVMFuzzerTestOneInput(changed.bytes, changed.size);
    }
    printf("%zu seeds, %ld changes of them\n", count, runs);
    return 0;
}
