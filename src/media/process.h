/* One worker program: started, spoken to, killed. Shared by everything that hands bytes to a sandboxed worker.
 *
 * The server's side of docs/architecture.md "Bytes from outside". A process is started without the server's
 * environment and descriptors; it sandboxes itself (src/worker/sandbox.c) before it reads its first record. */
#ifndef WEFT_MEDIA_PROCESS_H
#define WEFT_MEDIA_PROCESS_H

#include <sys/types.h>

#include "media/media.h"
#include "media/protocol.h"

typedef struct weft_media_process {
    bool running;
    pid_t pid; /* 0: none (see weft_media_process_adopt) */
    int socket;
    unsigned guards; /* of its HELLO */
    bool greeted;    /* HELLO has come */
    weft_wire_reader reader;
} weft_media_process;

/* Finds the worker program `name`: in the folder that the environment variable WEFT_MEDIA names, else beside this program, else
 * in ../libexec/weft of its folder. */
weft_status weft_media_program(const char *name, char *path, size_t room, weft_error *err);

/* Starts it; does not wait for it. `limits`: memory and CPU time. */
weft_status weft_media_process_start(weft_media_process *process, const char *name, const weft_media_limits *limits,
                                     weft_error *err);
/* For tests: speaks to whatever is behind `socket`, which becomes the process's. */
void weft_media_process_adopt(weft_media_process *process, int socket);
void weft_media_session_adopt(weft_media_session *session, int socket); /* as the worker of pictures and of clips */
bool weft_media_process_running(const weft_media_process *process);
/* Kills it with all it has begun, and waits for its end. */
void weft_media_process_stop(weft_media_process *process);

weft_status weft_media_process_send(weft_media_process *process, const weft_wire *wire, int fd, weft_error *err);
/* The next record, waiting up to timeout_ms. *record is NULL when none came; valid until the next call. A FAILED record becomes
 * its error and leaves the process running; a dead or lying process is stopped and its error says what happened. */
weft_status weft_media_process_receive(weft_media_process *process, int timeout_ms, const weft_wire_reader **record,
                                       weft_error *err);

/* Shared memory of a fixed size that neither side can shrink. The caller closes and unmaps. */
weft_status weft_media_share(size_t size, int *fd, const uint8_t **view, weft_error *err);

#endif
