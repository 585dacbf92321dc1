/* What a decoder that was taken over would do, for the stand-ins of tests/worker (misbehave.c, misbehave_pdf.c). */
#ifndef WEFT_TESTS_WORKER_DEEDS_H
#define WEFT_TESTS_WORKER_DEEDS_H

#include "base/status.h"

/* Does `deed`, a name and perhaps a process id behind a blank. Returns WEFT_OK when it succeeded, which nothing but
 * "thread" should; else FORMAT with "deed: strerror". Many deeds end the process or never return. An unknown one is
 * INTERNAL. */
weft_status deeds_do(const char *deed, weft_error *err);

#endif
