/* Status codes and error messages: see status.h. Allocates nothing. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *weft_status_name(weft_status status) {
    switch (status) {
    case WEFT_OK: return "ok";
    case WEFT_ERR_INVALID: return "invalid request";
    case WEFT_ERR_NOT_FOUND: return "not found";
    case WEFT_ERR_IO: return "input/output error";
    case WEFT_ERR_FORMAT: return "malformed data";
    case WEFT_ERR_UNSUPPORTED: return "not supported";
    case WEFT_ERR_LIMIT: return "limit reached";
    case WEFT_ERR_CONTEXT: return "context exceeded";
    case WEFT_ERR_MEMORY: return "out of memory";
    case WEFT_ERR_BUSY: return "busy";
    case WEFT_ERR_CANCELLED: return "cancelled";
    case WEFT_ERR_LOCKED: return "password needed";
    case WEFT_ERR_INTERNAL: return "internal error";
    }
    return "unknown status";
}

/* Cuts a message that filled its buffer back to the end of a whole UTF-8 character, and turns control characters
 * (hostile names come out of files) into '?', so that a message is always one printable line. */
static void tidy_message(char *message, size_t capacity) {
    size_t length = strnlen(message, capacity - 1);
    message[length] = 0;
    if (length == capacity - 1) {
        while (length > 0 && ((unsigned char)message[length - 1] & 0xC0) == 0x80) length--;
        if (length > 0 && (unsigned char)message[length - 1] >= 0xC0) length--;
        message[length] = 0;
    }
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)message[i] < 0x20 || message[i] == 0x7F) message[i] = '?';
}

weft_status weft_fail(weft_error *err, weft_status status, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        tidy_message(err->message, sizeof err->message);
    }
    return status;
}

void weft_error_prefix(weft_error *err, const char *format, ...) {
    if (!err) return;
    char joined[WEFT_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    int prefix = vsnprintf(joined, sizeof joined, format, args);
    va_end(args);
    if (prefix < 0 || (size_t)prefix >= sizeof joined) return;
    size_t used = (size_t)prefix, room = sizeof joined - 1;
    for (const char *c = ": "; *c && used < room; c++) joined[used++] = *c;
    for (const char *c = err->message; *c && used < room; c++) joined[used++] = *c;
    joined[used] = 0;
    memcpy(err->message, joined, used + 1);
    tidy_message(err->message, sizeof err->message);
}
