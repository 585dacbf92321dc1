/* Compiles the regular expression of a Split for PCRE2. Private to src/text. */
#ifndef WEFT_TEXT_SPLIT_PATTERN_H
#define WEFT_TEXT_SPLIT_PATTERN_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { WEFT_PATTERN_BYTES_MAX = 16384 };

/* `literal` takes the pattern as a plain string. The caller frees *regex with pcre2_code_free. */
weft_status weft_split_pattern_compile(const char *pattern, size_t size, bool literal, pcre2_code **regex,
                                       weft_error *err);

#endif
