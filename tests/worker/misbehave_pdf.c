/* weft-pdf with a Poppler that was taken over: the real program and all its libraries, but opening a document does what
 * the document says
 * ("%PDF-", then a deed). The linker puts these functions in the place of Poppler's (-Wl,--wrap, see tests.cmake). */
#include <glib.h>
#include <poppler.h>
#include <string.h>

#include "media/protocol.h"
#include "worker/deeds.h"

PopplerDocument *__real_poppler_document_new_from_bytes(GBytes *bytes, const char *password, GError **error);
PopplerDocument *__wrap_poppler_document_new_from_bytes(GBytes *bytes, const char *password, GError **error);

PopplerDocument *__wrap_poppler_document_new_from_bytes(GBytes *bytes, const char *password, GError **error) {
    gsize size;
    const char *data = g_bytes_get_data(bytes, &size);
    char deed[64] = "";
    weft_error err = {0};
    if (size < 5 || size - 5 >= sizeof deed) return __real_poppler_document_new_from_bytes(bytes, password, error);
    memcpy(deed, data + 5, size - 5);
    if (deeds_do(deed, &err) == WEFT_OK) weft_fail(&err, WEFT_ERR_INTERNAL, "%s: done", deed);
    weft_wire told = {.type = WEFT_WIRE_FAILED, .extra = (uint32_t)strlen(err.message), .n = {err.status}};
    weft_wire_send(WEFT_WIRE_FD, &told, err.message, -1, NULL);
    return NULL; /* the session has its answer and ends the worker */
}
