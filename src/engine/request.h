/* The two ends of a request: the caller's handle, and what the engine's thread writes into it.
 *
 * A weft_request is shared by the caller and the engine and freed when both have let go. Its mutex guards the pending
 * events; text that the caller has not read yet is merged, so that memory is bounded by the answer. */
#ifndef WEFT_ENGINE_REQUEST_H
#define WEFT_ENGINE_REQUEST_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "weft.h"

enum { WEFT_ANSWER_BYTES_MAX = 64 << 20 };

typedef struct weft_segment { /* a run of text of one kind that waits to be read */
    weft_event_kind kind;
    weft_buffer text;
} weft_segment;

struct weft_request {
    atomic_int holders; /* caller and engine */
    atomic_bool cancelled;
    void (*notify)(void *context);
    void *notify_context;

    pthread_mutex_t mutex;
    pthread_cond_t ready;
    bool has_progress, finished, final_read;
    weft_progress progress;
    weft_segment *segments; /* [segment_capacity], each with a buffer to be reused; those from segment_read to segment_count wait */
    size_t segment_count, segment_capacity, segment_read;
    weft_event final;       /* DONE or ERROR */
    weft_buffer current;    /* text of the event that was polled last */
    int32_t *ids;           /* generated so far */
    size_t id_count, id_capacity;
};

weft_status weft_request_create(const weft_request_options *options, weft_request **request, weft_error *err);
void weft_request_release(weft_request *request); /* lets go of one hold */

/* The engine's side. */
void weft_request_emit_progress(weft_request *request, const weft_progress *progress);
weft_status weft_request_emit_text(weft_request *request, weft_event_kind kind, const char *text, size_t size, weft_error *err);
weft_status weft_request_add_id(weft_request *request, int32_t id, weft_error *err);
void weft_request_emit_done(weft_request *request, const char *finish_reason, const weft_usage *usage);
void weft_request_emit_error(weft_request *request, const weft_error *error);

#endif
