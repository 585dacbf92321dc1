/* Status codes and error messages.
 *
 * Every fallible function of weft returns a weft_status and, on failure, leaves in the caller's weft_error one sentence
 * that says what went wrong, where, and what to do about it. Nothing below the faces prints or exits.
 *
 * A weft_error is plain memory that the caller owns (usually on the stack); it never allocates, so out-of-memory can be
 * reported too. A NULL weft_error is allowed everywhere: the message is then dropped.
 */
#ifndef WEFT_BASE_STATUS_H
#define WEFT_BASE_STATUS_H

#include "weft_status.h" /* weft_status and weft_error are part of the public header's vocabulary */

/* Fills *err (when not NULL) with `status` and a printf-style message, and returns `status`, so that a failing function
 * ends in one line:  return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' ends past the file", path, name);
 * Messages longer than the buffer are cut at a whole UTF-8 character. */
weft_status weft_fail(weft_error *err, weft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message that *err already holds. Used by outer layers to say where ("image 2: ..."). */
void weft_error_prefix(weft_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forwards a failure unchanged. */
#define WEFT_TRY(expr)                                                                                                 \
    do {                                                                                                               \
        weft_status weft_try_status_ = (expr);                                                                         \
        if (weft_try_status_ != WEFT_OK) return weft_try_status_;                                                      \
    } while (0)

#endif
