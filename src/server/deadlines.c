/* Deadlines for what clients send: see server_internal.h.
 *
 * The idle timeout of libmicrohttpd starts again with every byte, so that a client that sends one byte a minute could hold
 * a connection for ever. Here a request's headers have a fixed time, and its body that time plus what its bytes take at a
 * slow but honest rate. One thread looks once a second; what is late is shut down, and the connection's own thread sees the
 * end of the stream and cleans up. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/server_internal.h"

enum { LOOK_MS = 1000, BODY_BYTES_PER_SECOND = 16 << 10 };

typedef struct deadline {
    struct deadline *next, *previous;
    int socket;
    double at_ms; /* 0: none, the server's turn */
} deadline;

struct weft_deadlines {
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    pthread_t thread;
    bool started, stopping;
    double seconds;
    deadline *first;
};

static void *watch(void *context) {
    weft_deadlines *all = context;
    pthread_mutex_lock(&all->mutex);
    while (!all->stopping) {
        double now = weft_now_ms();
        /* an entry lives until its connection has been closed, under this mutex: the socket is still that connection's */
        for (deadline *d = all->first; d; d = d->next)
            if (d->at_ms > 0 && now > d->at_ms) {
                shutdown(d->socket, SHUT_RDWR);
                d->at_ms = 0;
            }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_MS / 1000;
        pthread_cond_timedwait(&all->stop, &all->mutex, &until);
    }
    pthread_mutex_unlock(&all->mutex);
    return NULL;
}

weft_status weft_deadlines_start(int seconds, weft_deadlines **out, weft_error *err) {
    weft_deadlines *all = calloc(1, sizeof *all);
    if (!all) return weft_fail(err, WEFT_ERR_MEMORY, "server: no memory");
    pthread_mutex_init(&all->mutex, NULL);
    pthread_cond_init(&all->stop, NULL);
    all->seconds = seconds;
    *out = all;
    all->started = pthread_create(&all->thread, NULL, watch, all) == 0;
    return all->started ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "server: cannot start a thread");
}

void weft_deadlines_stop(weft_deadlines *all) {
    if (!all) return;
    if (all->started) {
        pthread_mutex_lock(&all->mutex);
        all->stopping = true;
        pthread_cond_signal(&all->stop);
        pthread_mutex_unlock(&all->mutex);
        pthread_join(all->thread, NULL);
    }
    pthread_cond_destroy(&all->stop);
    pthread_mutex_destroy(&all->mutex);
    free(all);
}

void weft_deadlines_connection(void *context, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode code) {
    weft_deadlines *all = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        deadline *d = info ? calloc(1, sizeof *d) : NULL;
        *state = d;
        if (!d) return;
        d->socket = info->connect_fd;
        d->at_ms = weft_now_ms() + all->seconds * 1e3;
        pthread_mutex_lock(&all->mutex);
        d->next = all->first;
        if (d->next) d->next->previous = d;
        all->first = d;
        pthread_mutex_unlock(&all->mutex);
    } else if (*state) {
        deadline *d = *state;
        pthread_mutex_lock(&all->mutex);
        if (d->next) d->next->previous = d->previous;
        *(d->previous ? &d->previous->next : &all->first) = d->next;
        pthread_mutex_unlock(&all->mutex);
        free(d);
        *state = NULL;
    }
}

void weft_deadlines_enter(weft_deadlines *all, struct MHD_Connection *connection, weft_deadline_phase phase, uint64_t bytes) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    deadline *d = info ? info->socket_context : NULL;
    if (!d) return;
    pthread_mutex_lock(&all->mutex);
    switch (phase) {
    case WEFT_DEADLINE_IDLE: d->at_ms = weft_now_ms() + (all->seconds + WEFT_HTTP_IDLE_SECONDS) * 1e3; break;
    case WEFT_DEADLINE_BODY: d->at_ms = weft_now_ms() + all->seconds * 1e3; break;
    case WEFT_DEADLINE_BYTES:
        if (d->at_ms > 0) d->at_ms += (double)bytes / BODY_BYTES_PER_SECOND * 1e3;
        break;
    case WEFT_DEADLINE_NONE: d->at_ms = 0; break;
    }
    pthread_mutex_unlock(&all->mutex);
}
