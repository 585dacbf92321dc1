/* Packs a checkpoint's matrices: see packing.h.
 *
 * Owns one mapping, anonymous or of a cache file, that holds the panels of all matrices, one after the other,
 * 64-aligned. Refuses nothing that the checkpoint accepted: a matrix without a packed form keeps its own. */
#include "weights/packing.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/packed.h"
#include "weights/cache.h"
#include "weights/checkpoint_internal.h"

typedef struct packed_matrix {
    weft_matrix *matrix; /* in the copied tables */
    bool round;          /* may be rounded */
    size_t offset;
} packed_matrix;

struct weft_packing {
    const weft_checkpoint *ck;
    weft_text_weights text;
    weft_vision_weights vision;
    weft_matrix *experts; /* copies of all layers' expert tables, in layer order */
    packed_matrix *list;
    size_t count, capacity;
    char *panels; /* NULL: nothing is packed */
    size_t bytes;
    weft_cache_file file; /* holds the panels when its payload is not NULL */
    bool cached;          /* made by an earlier start */
    pthread_t committer;  /* syncs a new file */
    bool committing;
    weft_error note;
};

/* ---- copies of the tables ---- */

static weft_status list_matrix(weft_packing *p, weft_matrix *m, bool round, weft_error *err) {
    weft_type type = weft_packed_type(m, round);
    if (type == WEFT_TYPE_COUNT) {
        m->tiles = weft_tiles_allowed(m);
        return WEFT_OK;
    }
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 512;
        packed_matrix *grown = realloc(p->list, capacity * sizeof *grown);
        if (!grown) return weft_fail(err, WEFT_ERR_MEMORY, "packing: no memory");
        p->list = grown;
        p->capacity = capacity;
    }
    m->panel_type = type;
    m->runs = type != m->type;
    p->list[p->count++] = (packed_matrix){m, round, p->bytes};
    p->bytes += weft_packed_bytes(m, type);
    return WEFT_OK;
}

static weft_status list_all(weft_packing *p, weft_matrix *const *matrices, int count, bool round, weft_error *err) {
    for (int i = 0; i < count; i++) WEFT_TRY(list_matrix(p, matrices[i], round, err));
    return WEFT_OK;
}

/* Which products get their activations in two terms. The served path differs from the exact one by rounded activations,
 * which other programs round alike, and by keys and values of 8 bits, which they keep in 16. What the latter add is
 * taken off here where it costs least: keys, values and attention's output hold 16 % of a layer's matrices and a third
 * of what rounding adds, and the output matrix sees a row per sequence. docs/performance.md has the figures. Matrices
 * with blocks of 256 stay as they are: other programs round activations in groups of 256 for them and err more. */
static void refine_text(weft_packing *p, weft_text_layer *layers) {
    for (int64_t i = 0; i < p->ck->config.text.layers; i++) {
        layers[i].k.fine = weft_type_block_values(layers[i].k.panel_type) == 32;
        layers[i].v.fine = weft_type_block_values(layers[i].v.panel_type) == 32;
        layers[i].o.fine = weft_type_block_values(layers[i].o.panel_type) == 32;
    }
    p->text.output.fine = true;
}

static weft_status list_text(weft_packing *p, weft_error *err) {
    const weft_text_config *t = &p->ck->config.text;
    size_t experts = (size_t)(t->experts > 0 ? t->experts : 0);
    weft_text_layer *layers = malloc((size_t)t->layers * sizeof *layers);
    p->text = p->ck->text;
    p->text.layers = layers;
    p->experts = experts ? malloc((size_t)t->layers * 3 * experts * sizeof *p->experts) : NULL;
    if (!layers || (experts && !p->experts)) return weft_fail(err, WEFT_ERR_MEMORY, "packing: no memory");
    memcpy(layers, p->ck->text.layers, (size_t)t->layers * sizeof *layers);
    for (int64_t i = 0; i < t->layers; i++) {
        weft_text_layer *l = &layers[i];
        WEFT_TRY(list_all(p, (weft_matrix *[]){&l->q, &l->k, &l->v, &l->o}, 4, false, err));
        if (!l->moe) {
            WEFT_TRY(list_all(p, (weft_matrix *[]){&l->gate, &l->up, &l->down}, 3, false, err));
            continue;
        }
        weft_matrix *own = p->experts + (size_t)i * 3 * experts;
        weft_matrix **tables[3] = {&l->expert_gate, &l->expert_up, &l->expert_down};
        for (int j = 0; j < 3; j++, own += experts) {
            memcpy(own, *tables[j], experts * sizeof *own);
            *tables[j] = own;
            for (size_t e = 0; e < experts; e++) WEFT_TRY(list_matrix(p, own + e, false, err));
        }
    }
    WEFT_TRY(list_matrix(p, &p->text.output, false, err));
    refine_text(p, layers);
    return WEFT_OK;
}

static weft_status list_merger(weft_packing *p, weft_vision_merger *m, weft_error *err) {
    return list_all(p, (weft_matrix *[]){&m->fc1, &m->fc2}, 2, true, err);
}

static weft_status list_vision(weft_packing *p, weft_error *err) {
    const weft_vision_config *v = &p->ck->config.vision;
    weft_vision_layer *layers = malloc((size_t)v->layers * sizeof *layers);
    p->vision = p->ck->vision;
    p->vision.layers = layers;
    if (!layers) return weft_fail(err, WEFT_ERR_MEMORY, "packing: no memory");
    memcpy(layers, p->ck->vision.layers, (size_t)v->layers * sizeof *layers);
    WEFT_TRY(list_matrix(p, &p->vision.patch_embed, true, err));
    for (int64_t i = 0; i < v->layers; i++) {
        weft_vision_layer *l = &layers[i];
        WEFT_TRY(list_all(p, (weft_matrix *[]){&l->qkv, &l->proj, &l->fc1, &l->fc2}, 4, true, err));
    }
    for (int i = 0; i < v->deepstack_count; i++) WEFT_TRY(list_merger(p, &p->vision.deepstack[i], err));
    return list_merger(p, &p->vision.merger, err);
}

/* ---- packing ---- */

typedef struct pack_job {
    const weft_kernels *kernels;
    const weft_matrix *matrix;
} pack_job;

static void pack_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const pack_job *job = context;
    const weft_matrix *m = job->matrix;
    weft_pack_panels(job->kernels, (void *)m->panels, m, m->panel_type, begin, end);
}

/* True when the bytes are a part of a mapped file; owned copies are on the heap. */
static bool is_mapped(const weft_checkpoint *ck, const uint8_t *data, size_t bytes) {
    const weft_tensor_table *table;
    for (int i = 0; (table = weft_checkpoint_table(ck, i)); i++)
        for (int64_t j = 0; j < table->count; j++) {
            const weft_tensor *t = &table->tensors[j];
            uintptr_t at = (uintptr_t)data, from = (uintptr_t)t->data;
            if (at >= from && at - from <= t->bytes && bytes <= t->bytes - (at - from)) return true;
        }
    return false;
}

/* Gives the whole pages of a file's mapping back to the page cache; whoever reads them again gets them from there. */
static void drop_pages(const void *data, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)data + page - 1) / page * page, to = ((uintptr_t)data + bytes) / page * page;
    if (from < to) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* ---- the memory of the panels ---- */

/* What a cache file is found by: the layout, the list of matrices, and size, time of change and first bytes of each of
 * the model's files. 0: a file cannot be read. */
static uint64_t cache_key(const weft_packing *p) {
    enum { FIRST_BYTES = 64 << 10 };
    uint64_t hash = WEFT_HASH_START, bytes;
    uint32_t layout = WEFT_PACKED_LAYOUT;
    const char *path;
    uint8_t *first = malloc(FIRST_BYTES);
    if (!first) return 0;
    hash = weft_hash(hash, &layout, sizeof layout);
    for (size_t i = 0; i < p->count; i++) {
        const weft_matrix *m = p->list[i].matrix;
        int64_t words[5] = {m->type, m->panel_type, m->rows, m->cols, (int64_t)p->list[i].offset};
        hash = weft_hash(hash, words, sizeof words);
    }
    for (int i = 0; (path = weft_checkpoint_file(p->ck, i, &bytes)); i++) {
        struct stat info;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 && fstat(fd, &info) == 0 ? pread(fd, first, FIRST_BYTES, 0) : -1;
        if (fd >= 0) close(fd);
        if (n < 0) {
            free(first);
            return 0;
        }
        int64_t words[3] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
        hash = weft_hash(weft_hash(hash, words, sizeof words), first, (size_t)n);
    }
    free(first);
    return hash ? hash : 1;
}

/* Finds the panels in the cache, or memory for them. */
static weft_status find_memory(weft_packing *p, const char *folder, weft_error *err) {
    uint64_t key = folder && p->bytes >= WEFT_CACHE_LEAST_BYTES ? cache_key(p) : 0;
    if (key) {
        p->cached = weft_cache_open(folder, p->ck->config.name, key, p->bytes, &p->file);
        if (p->cached || weft_cache_begin(folder, p->ck->config.name, key, p->bytes, &p->file, &p->note) == WEFT_OK) {
            p->panels = p->file.payload;
            return WEFT_OK;
        }
    }
    void *memory = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return weft_fail(err, WEFT_ERR_MEMORY, "packing: no memory for %zu bytes of weights", p->bytes);
    madvise(memory, p->bytes, MADV_HUGEPAGE);
    p->panels = memory;
    return WEFT_OK;
}

static void *commit_main(void *argument) {
    weft_packing *p = argument;
    weft_cache_commit(&p->file, NULL); /* without it the next start packs again; nothing else is lost */
    return NULL;
}

static void pack_matrix(const weft_packing *p, const weft_compute *compute, weft_matrix *m) {
    pack_job job = {weft_compute_kernels(compute), m};
    weft_parallel_for(weft_compute_pool(compute), weft_panel_count(m->rows), 4, pack_body, &job);
    drop_pages(m->panels, p->file.payload ? weft_packed_bytes(m, m->panel_type) : 0);
    size_t bytes = (size_t)m->rows * weft_type_row_bytes(m->type, m->cols);
    if (is_mapped(p->ck, m->data, bytes)) drop_pages(m->data, bytes);
}

static weft_status pack_all(weft_packing *p, const weft_compute *compute, const char *folder, weft_error *err) {
    if (!p->bytes) return WEFT_OK;
    WEFT_TRY(find_memory(p, folder, err));
    for (size_t i = 0; i < p->count; i++) {
        weft_matrix *m = p->list[i].matrix;
        m->panels = p->panels + p->list[i].offset;
        if (!p->cached) pack_matrix(p, compute, m);
    }
    if (p->file.payload && !p->cached) p->committing = pthread_create(&p->committer, NULL, commit_main, p) == 0;
    return WEFT_OK;
}

weft_status weft_packing_create(const weft_checkpoint *ck, const weft_compute *compute, const char *cache_folder,
                                weft_packing **out, weft_error *err) {
    *out = NULL;
    weft_packing *p = calloc(1, sizeof *p);
    if (!p) return weft_fail(err, WEFT_ERR_MEMORY, "packing: no memory");
    p->ck = ck;
    weft_status status = list_text(p, err);
    if (status == WEFT_OK && ck->config.vision.present) status = list_vision(p, err);
    if (status == WEFT_OK && weft_compute_kernels(compute)->packs) status = pack_all(p, compute, cache_folder, err);
    if (status != WEFT_OK) {
        weft_packing_destroy(p);
        return status;
    }
    *out = p;
    return WEFT_OK;
}

void weft_packing_destroy(weft_packing *p) {
    if (!p) return;
    if (p->committing) pthread_join(p->committer, NULL);
    if (p->file.payload)
        weft_cache_close(&p->file);
    else if (p->panels)
        munmap(p->panels, p->bytes);
    free(p->text.layers);
    if (p->ck->config.vision.present) free(p->vision.layers);
    free(p->experts);
    free(p->list);
    free(p);
}

const weft_text_weights *weft_packing_text(const weft_packing *p) {
    return &p->text;
}

const weft_vision_weights *weft_packing_vision(const weft_packing *p) {
    return p->ck->config.vision.present ? &p->vision : NULL;
}

uint64_t weft_packing_bytes(const weft_packing *p) {
    return p->panels ? p->bytes : 0;
}

const char *weft_packing_note(const weft_packing *p) {
    return p->note.message;
}

bool weft_packing_cached(const weft_packing *p) {
    return p->cached;
}
