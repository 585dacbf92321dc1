/* weft-random-model: GGUF pairs of the published shapes with random weights, in seconds.
 *
 * For speed, memory and loading, not for meaning. Keys and tensor names are those of published files, so that other
 * programs load them too.
 *
 *   weft-random-model SHAPE OUT_DIR [--type Q4_K_M] [--vision F16] [--layers N] [--vision-layers N] [--experts N]
 *                     [--tokenizer tokenizer.json] [--pure] [--seed N]
 *
 * Writes OUT_DIR/SHAPE-TYPE.gguf and OUT_DIR/mmproj-SHAPE-TYPE.gguf; refuses when the disk has not the room. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "blocks.h"
#include "shapes.h"
#include "vocabulary.h"

static const char usage[] =
    "usage: weft-random-model SHAPE OUT_DIR [--type Q4_K_M] [--vision F16] [--layers N] [--vision-layers N] [--experts "
    "N]\n"
    "                         [--tokenizer tokenizer.json] [--pure] [--seed N]\n"
    "SHAPE: %s. --type: F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K Q4_K_M Q5_K_M;\n"
    "--pure: the output matrix too. Without --tokenizer a synthetic vocabulary of the published size.\n";

typedef struct arguments {
    const char *shape, *out, *type, *vision, *tokenizer;
    long long layers, vision_layers, experts, seed;
    bool pure;
} arguments;

static bool parse(int argc, char **argv, arguments *a) {
    *a = (arguments){.type = "Q4_K_M", .vision = "F16", .seed = 1};
    const struct {
        const char *name;
        const char **text;
        long long *number;
    } options[] = {{"--type", &a->type, NULL},
                   {"--vision", &a->vision, NULL},
                   {"--tokenizer", &a->tokenizer, NULL},
                   {"--layers", NULL, &a->layers},
                   {"--experts", NULL, &a->experts},
                   {"--seed", NULL, &a->seed},
                   {"--vision-layers", NULL, &a->vision_layers}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--pure") == 0) {
            a->pure = true;
        } else if (argv[i][0] != '-') {
            if (a->out) return false;
            *(a->shape ? &a->out : &a->shape) = argv[i];
        } else {
            size_t o = 0;
            while (o < sizeof options / sizeof *options && strcmp(options[o].name, argv[i]) != 0) o++;
            if (o == sizeof options / sizeof *options || ++i == argc) return false;
            char *end = "";
            if (options[o].text)
                *options[o].text = argv[i];
            else if ((*options[o].number = strtoll(argv[i], &end, 10)) < 1 || *end)
                return false;
        }
    }
    return a->out != NULL;
}

/* Fewer layers or experts than published, never more: the tables of keys have that many places. */
static weft_status reduce(model_shape *s, const arguments *a, weft_error *err) {
    if (a->layers > s->layers || a->vision_layers > s->vision_layers ||
        (a->experts && (a->experts > s->experts || a->experts < s->experts_used)))
        return weft_fail(
            err, WEFT_ERR_INVALID,
            "%s has %lld layers, %lld in the vision tower, %lld experts (%lld used): less is possible, more is not",
            s->name, (long long)s->layers, (long long)s->vision_layers, (long long)s->experts,
            (long long)s->experts_used);
    if (a->layers) s->layers = a->layers;
    if (a->experts) s->experts = a->experts;
    if (a->vision_layers) {
        if (a->vision_layers < 4)
            return weft_fail(err, WEFT_ERR_INVALID, "the vision tower needs 4 layers: three of them are tapped");
        s->vision_layers = a->vision_layers;
        for (int t = 0; t < 3; t++) s->taps[t] = (t + 1) * s->vision_layers / 4;
    }
    return WEFT_OK;
}

static weft_status check_room(const char *folder, uint64_t bytes, weft_error *err) {
    struct statvfs disk;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return weft_fail(err, WEFT_ERR_IO, "%s: cannot create: %s", folder, strerror(errno));
    if (statvfs(folder, &disk) != 0) return weft_fail(err, WEFT_ERR_IO, "%s: %s", folder, strerror(errno));
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (bytes > room || room - bytes < (256u << 20))
        return weft_fail(err, WEFT_ERR_LIMIT,
                         "%s: the pair needs %.1f GB, the disk has %.1f GB left: use --layers or another type", folder,
                         (double)bytes * 1e-9, (double)room * 1e-9);
    return WEFT_OK;
}

static weft_status run(const arguments *a, gguf_writer *text, gguf_writer *vision, block_source *blocks,
                       weft_error *err) {
    const model_shape *published = shape_find(a->shape);
    type_policy type, vision_type;
    if (!published) return weft_fail(err, WEFT_ERR_INVALID, "shape '%s' is not known: %s", a->shape, shape_names());
    if (!policy_parse(a->type, a->pure, &type))
        return weft_fail(err, WEFT_ERR_INVALID, "type '%s' is not known", a->type);
    if (!policy_parse(a->vision, true, &vision_type) || vision_type.mix)
        return weft_fail(err, WEFT_ERR_INVALID, "vision type '%s' is not known", a->vision);
    model_shape shape = *published;
    WEFT_TRY(reduce(&shape, a, err));
    shape_add_text(text, &shape, &type);
    shape_add_vision(vision, &shape, &vision_type);
    WEFT_TRY(check_room(a->out, gguf_data_bytes(text) + gguf_data_bytes(vision), err));
    WEFT_TRY(vocabulary_add(text, a->tokenizer, shape.vocab, (uint64_t)a->seed, err));
    char path[4096];
    for (int i = 0; i < 2; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s%s-%s.gguf", a->out, i ? "mmproj-" : "", a->shape, a->type) >=
            sizeof path)
            return weft_fail(err, WEFT_ERR_INVALID, "the folder's name is too long");
        WEFT_TRY(gguf_write(i ? vision : text, path, blocks_fill, blocks, err));
        printf("%s\n", path);
    }
    return WEFT_OK;
}

int main(int argc, char **argv) {
    arguments a;
    if (!parse(argc, argv, &a)) {
        fprintf(stderr, usage, shape_names());
        return 2;
    }
    weft_error err;
    weft_status status;
    gguf_writer *text = gguf_create(), *vision = gguf_create();
    block_source *blocks = blocks_create((uint64_t)a.seed);
    if (text && vision && blocks)
        status = run(&a, text, vision, blocks, &err);
    else
        status = weft_fail(&err, WEFT_ERR_MEMORY, "no memory");
    gguf_free(text);
    gguf_free(vision);
    blocks_free(blocks);
    if (status != WEFT_OK) fprintf(stderr, "weft-random-model: error: %s\n", err.message);
    return status == WEFT_OK ? 0 : 1;
}
