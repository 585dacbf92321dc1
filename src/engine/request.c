/* The two ends of a request: see request.h and weft.h. */
#include "engine/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

weft_status weft_request_create(const weft_request_options *options, weft_request **out, weft_error *err) {
    weft_request *request = calloc(1, sizeof *request);
    if (!request) return weft_fail(err, WEFT_ERR_MEMORY, "request: no memory");
    atomic_init(&request->holders, 2);
    request->notify = options->notify;
    request->notify_context = options->notify_context;
    pthread_mutex_init(&request->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&request->ready, &attributes);
    pthread_condattr_destroy(&attributes);
    weft_buffer_init(&request->current, WEFT_ANSWER_BYTES_MAX, "the answer");
    *out = request;
    return WEFT_OK;
}

void weft_request_release(weft_request *request) {
    if (atomic_fetch_sub(&request->holders, 1) != 1) return;
    for (size_t i = 0; i < request->segment_capacity; i++) weft_buffer_free(&request->segments[i].text);
    free(request->segments);
    weft_buffer_free(&request->current);
    free(request->ids);
    pthread_cond_destroy(&request->ready);
    pthread_mutex_destroy(&request->mutex);
    free(request);
}

/* Wakes a polling caller, tells the one who asked to be told, and unlocks. notify runs under the mutex, so that after
 * weft_request_free has returned it is never called again. */
static void publish(weft_request *request) {
    pthread_cond_broadcast(&request->ready);
    if (request->notify) request->notify(request->notify_context);
    pthread_mutex_unlock(&request->mutex);
}

void weft_request_emit_progress(weft_request *request, const weft_progress *progress) {
    pthread_mutex_lock(&request->mutex);
    request->progress = *progress;
    request->has_progress = true;
    publish(request);
}

static weft_segment *tail_segment(weft_request *request, weft_event_kind kind, weft_error *err) {
    if (request->segment_read == request->segment_count) request->segment_read = request->segment_count = 0;
    if (request->segment_count > 0 && kind != WEFT_EVENT_TOOL_CALL) {
        weft_segment *last = &request->segments[request->segment_count - 1];
        if (last->kind == kind) return last;
    }
    if (request->segment_count == request->segment_capacity) {
        size_t capacity = request->segment_capacity ? 2 * request->segment_capacity : 4;
        weft_segment *grown = realloc(request->segments, capacity * sizeof *grown);
        if (!grown) {
            weft_fail(err, WEFT_ERR_MEMORY, "answer: no memory");
            return NULL;
        }
        request->segments = grown;
        for (; request->segment_capacity < capacity; request->segment_capacity++)
            weft_buffer_init(&grown[request->segment_capacity].text, WEFT_ANSWER_BYTES_MAX, "the answer");
    }
    weft_segment *segment = &request->segments[request->segment_count++];
    segment->kind = kind;
    weft_buffer_clear(&segment->text);
    return segment;
}

weft_status weft_request_emit_text(weft_request *request, weft_event_kind kind, const char *text, size_t size, weft_error *err) {
    if (size == 0) return WEFT_OK;
    pthread_mutex_lock(&request->mutex);
    weft_segment *segment = tail_segment(request, kind, err);
    weft_status status = segment ? weft_buffer_append(&segment->text, text, size, err) : WEFT_ERR_MEMORY;
    publish(request);
    return status;
}

weft_status weft_request_add_id(weft_request *request, int32_t id, weft_error *err) {
    pthread_mutex_lock(&request->mutex);
    weft_status status = WEFT_OK;
    if (request->id_count == request->id_capacity) {
        size_t capacity = request->id_capacity ? 2 * request->id_capacity : 256;
        int32_t *grown = realloc(request->ids, capacity * sizeof *grown);
        if (grown) {
            request->ids = grown;
            request->id_capacity = capacity;
        } else {
            status = weft_fail(err, WEFT_ERR_MEMORY, "answer: no memory");
        }
    }
    if (status == WEFT_OK) request->ids[request->id_count++] = id;
    pthread_mutex_unlock(&request->mutex);
    return status;
}

static void finish(weft_request *request, const weft_event *final) {
    pthread_mutex_lock(&request->mutex);
    request->final = *final;
    request->finished = true;
    publish(request);
}

void weft_request_emit_done(weft_request *request, const char *finish_reason, const weft_usage *usage) {
    finish(request, &(weft_event){.kind = WEFT_EVENT_DONE, .finish_reason = finish_reason, .usage = *usage});
}

void weft_request_emit_error(weft_request *request, const weft_error *error) {
    finish(request, &(weft_event){.kind = WEFT_EVENT_ERROR, .error = *error});
}

/* ---- the caller's side ----------------------------------------------------------------------------------------- */

static bool take_event(weft_request *request, weft_event *event) {
    if (request->has_progress) {
        request->has_progress = false;
        *event = (weft_event){.kind = WEFT_EVENT_PROGRESS, .progress = request->progress};
        return true;
    }
    if (request->segment_read < request->segment_count) {
        weft_segment *segment = &request->segments[request->segment_read++];
        weft_buffer read = segment->text; /* the two change places, so that a stream of events allocates nothing */
        segment->text = request->current;
        request->current = read;
        *event = (weft_event){.kind = segment->kind, .text = request->current.data, .text_size = request->current.size};
        /* a segment that has been read takes no more text: the next piece opens a new one */
        if (request->segment_read == request->segment_count) request->segment_read = request->segment_count = 0;
        return true;
    }
    if (request->finished) {
        *event = request->final;
        return true;
    }
    return false;
}

void weft_request_poll(weft_request *request, int timeout_ms, weft_event *event) {
    *event = (weft_event){.kind = WEFT_EVENT_NONE};
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ms > 0) {
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += timeout_ms % 1000 * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000L;
        }
    }
    pthread_mutex_lock(&request->mutex);
    int waited = 0;
    while (!take_event(request, event) && timeout_ms != 0 && waited != ETIMEDOUT)
        waited = timeout_ms < 0 ? pthread_cond_wait(&request->ready, &request->mutex)
                                : pthread_cond_timedwait(&request->ready, &request->mutex, &until);
    pthread_mutex_unlock(&request->mutex);
}

void weft_request_cancel(weft_request *request) { atomic_store(&request->cancelled, true); }

const int32_t *weft_request_ids(const weft_request *request, size_t *count) {
    *count = request->id_count;
    return request->ids;
}

void weft_request_free(weft_request *request) {
    if (!request) return;
    pthread_mutex_lock(&request->mutex);
    request->notify = NULL; /* the caller is gone: nobody to tell */
    pthread_mutex_unlock(&request->mutex);
    weft_request_cancel(request);
    weft_request_release(request);
}
