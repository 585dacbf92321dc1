/* The interpreter's public face: compile and render. Owns the arenas; see jinja_internal.h for the memory and fault
 * policy. Refuses: text that is not UTF-8, sources over WEFT_JINJA_SOURCE_MAX. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "text/jinja_internal.h"

static weft_status compile(jinja_trap *trap, const char *source, size_t size, weft_jinja *jinja) {
    if (setjmp(trap->jump)) return trap->status;
    jinja_parse(trap, jinja_tokenize(trap, source, size), jinja);
    jinja_resolve_frames(trap, jinja);
    return WEFT_OK;
}

weft_status weft_jinja_compile(const char *source, size_t size, const char *name, weft_jinja **out, weft_error *err) {
    *out = NULL;
    if (size > WEFT_JINJA_SOURCE_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %zu bytes, the limit for a template is %d", name, size,
                         WEFT_JINJA_SOURCE_MAX);
    if (!jinja_utf8_valid(source, size)) return weft_fail(err, WEFT_ERR_FORMAT, "%s: the template is not UTF-8", name);
    weft_jinja *jinja = calloc(1, sizeof *jinja);
    jinja_trap *trap = calloc(1, sizeof *trap);
    weft_status status = WEFT_OK;
    if (jinja) jinja->name = strdup(name);
    if (!jinja || !trap || !jinja->name) {
        status = weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory for a template", name);
    } else {
        *trap = (jinja_trap){.err = err, .name = jinja->name, .line = 1, .column = 1};
        trap->arena.max = JINJA_COMPILE_MEMORY_MAX;
        status = compile(trap, source, size, jinja);
        jinja->arena = trap->arena; /* tokens stay behind with the tree: they hold its texts */
    }
    free(trap);
    if (status != WEFT_OK) {
        weft_jinja_free(jinja);
        return status;
    }
    *out = jinja;
    return WEFT_OK;
}

void weft_jinja_free(weft_jinja *jinja) {
    if (!jinja) return;
    jinja_arena_free(&jinja->arena);
    free(jinja->name);
    free(jinja);
}

/* The variables: the caller's first, then builtins of the same name. */
static void bind_globals(jrun *run, const json_t *context) {
    const weft_jinja *jinja = run->jinja;
    run->globals = jinja_alloc(&run->trap, (jinja->symbol_count + 1) * sizeof *run->globals);
    for (uint32_t i = 0; i < jinja->symbol_count; i++) {
        const jstr *name = jinja->symbols[i];
        const json_t *json = context ? json_object_getn(context, name->data, name->size) : NULL;
        if (json) {
            run->globals[i] = jinja_from_json(run, json);
            continue;
        }
        const jbuiltin *builtin = jinja_find_global(name->data, name->size);
        if (builtin) run->globals[i] = (jval){.type = J_BUILTIN, .builtin = builtin};
    }
    for (uint32_t i = 0; jinja->hidden && i < jinja->hidden->count; i++)
        run->globals[jinja->hidden->symbols[i]] = (jval){0};
}

static weft_status render(jrun *run, const json_t *context) {
    if (setjmp(run->trap.jump)) return run->trap.status;
    bind_globals(run, context);
    jinja_exec(run, NULL, &run->jinja->body);
    return WEFT_OK;
}

weft_status jinja_render_limited(const weft_jinja *jinja, const json_t *context, const jinja_limits *limits,
                                 weft_buffer *out, weft_error *err) {
    jrun *run = calloc(1, sizeof *run);
    if (!run) return weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory to render", jinja->name);
    run->trap.err = err;
    run->trap.name = jinja->name;
    run->trap.line = run->trap.column = 1;
    run->trap.arena.max = limits->memory;
    run->steps_max = limits->steps;
    run->jinja = jinja;
    run->out = out;
    if (getrandom(&run->seed, sizeof run->seed, GRND_NONBLOCK) != sizeof run->seed)
        run->seed = (uint64_t)(uintptr_t)run * 0x9E3779B97F4A7C15ull; /* early boot: the address will do */
    size_t before = out->size;
    weft_status status = render(run, context);
    if (status != WEFT_OK && out->data) { /* leave no half rendering behind */
        out->size = before;
        out->data[before] = 0;
    }
    jinja_arena_free(&run->trap.arena);
    free(run);
    return status;
}

weft_status weft_jinja_render(const weft_jinja *jinja, const json_t *context, weft_buffer *out, weft_error *err) {
    static const jinja_limits limits = {.memory = WEFT_JINJA_MEMORY_MAX, .steps = WEFT_JINJA_STEPS_MAX};
    return jinja_render_limited(jinja, context, &limits, out, err);
}
