/* Status codes and the error message type shared by the public header and the inner layers. */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

typedef enum weft_status {
    WEFT_OK = 0,
    WEFT_ERR_INVALID,     /* the request or an argument is wrong: the caller can mend it (HTTP 400) */
    WEFT_ERR_NOT_FOUND,   /* a file, model or id does not exist (HTTP 404) */
    WEFT_ERR_IO,          /* the operating system refused a read, write or map */
    WEFT_ERR_FORMAT,      /* bytes of a file or a message are not what their format demands */
    WEFT_ERR_UNSUPPORTED, /* well-formed, but of a kind that this build does not handle */
    WEFT_ERR_LIMIT,       /* a named limit was reached (HTTP 413 or 400) */
    WEFT_ERR_CONTEXT,     /* the prompt is longer than the context or the KV budget (HTTP 400, context_length_exceeded) */
    WEFT_ERR_MEMORY,      /* an allocation failed or the memory budget is spent (HTTP 503) */
    WEFT_ERR_BUSY,        /* a bounded queue is full: try again (HTTP 503) */
    WEFT_ERR_CANCELLED,   /* the caller cancelled the work */
    WEFT_ERR_LOCKED,      /* an encrypted document, and no password or not its own (HTTP 400, password_required) */
    WEFT_ERR_INTERNAL,    /* a fault of weft itself */
} weft_status;

enum { WEFT_ERROR_MESSAGE_MAX = 1024 };

typedef struct weft_error {
    weft_status status;
    char message[WEFT_ERROR_MESSAGE_MAX]; /* UTF-8, one sentence, no newline at the end */
} weft_error;

/* "invalid request", "out of memory", ...: a constant string, never NULL. */
const char *weft_status_name(weft_status status);

#endif
