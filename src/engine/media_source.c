/* From the URL of a media part to its bytes: see media_source.h. */
#include "engine/media_source.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/buffer.h"

static int base64_digit(unsigned char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62; /* RFC 4648, both alphabets */
    if (c == '/' || c == '_') return 63;
    return -1;
}

static weft_status decode_base64(const char *text, void **data, size_t *size, weft_error *err) {
    size_t length = strlen(text);
    if (length / 4 > WEFT_MEDIA_BYTES_MAX / 3)
        return weft_fail(err, WEFT_ERR_LIMIT, "the data: URL is over the limit of %d MiB", WEFT_MEDIA_BYTES_MAX >> 20);
    unsigned char *out = malloc(length / 4 * 3 + 4);
    if (!out) return weft_fail(err, WEFT_ERR_MEMORY, "data: URL: no memory");
    size_t n = 0;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\r' || c == '\n' || c == ' ') continue;
        if (c == '=') break;
        int digit = base64_digit(c);
        if (digit < 0) {
            free(out);
            return weft_fail(err, WEFT_ERR_INVALID, "the data: URL has a character at offset %zu that is not base64", i);
        }
        bits = bits << 6 | (unsigned)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (unsigned char)(bits >> held);
        }
    }
    *data = out;
    *size = n;
    return WEFT_OK;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f') return (c | 32) - 'a' + 10;
    return -1;
}

/* Percent-decodes the path of a file: URL; NULL when it is malformed. */
static char *decode_path(const char *path) {
    char *out = malloc(strlen(path) + 1);
    size_t n = 0;
    for (const char *p = path; out && *p; p++) {
        if (*p == '%') {
            int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
            if (low < 0 || (high == 0 && low == 0)) {
                free(out);
                return NULL;
            }
            out[n++] = (char)(high << 4 | low);
            p += 2;
        } else {
            out[n++] = *p;
        }
    }
    if (out) out[n] = 0;
    return out;
}

/* Both sides are resolved, so that neither ".." nor a symbolic link leads out of a root. */
static bool inside_roots(const char *resolved, const char *const *roots) {
    for (; roots && *roots; roots++) {
        char root[PATH_MAX];
        if (!realpath(*roots, root)) continue;
        size_t length = strlen(root);
        if (strcmp(root, "/") == 0) return true;
        if (strncmp(resolved, root, length) == 0 && (resolved[length] == '/' || resolved[length] == 0)) return true;
    }
    return false;
}

static weft_status read_file_url(const char *url, const weft_media_policy *policy, void **data, size_t *size, weft_error *err) {
    if (!policy->roots || !*policy->roots)
        return weft_fail(err, WEFT_ERR_INVALID, "file: URLs are not allowed here: start weft with --media-root FOLDER to allow a folder");
    const char *path = url + strlen("file://");
    if (strncmp(path, "localhost/", 10) == 0) path += 9;
    if (*path != '/') return weft_fail(err, WEFT_ERR_INVALID, "%.200s: a file: URL needs an absolute path (file:///…)", url);
    char *decoded = decode_path(path);
    if (!decoded) return weft_fail(err, WEFT_ERR_INVALID, "%.200s: malformed percent-encoding", url);
    char resolved[PATH_MAX];
    weft_buffer buffer;
    weft_status status;
    struct stat info;
    if (!realpath(decoded, resolved) || !inside_roots(resolved, policy->roots) || stat(resolved, &info) != 0 || !S_ISREG(info.st_mode)) {
        /* one message for all, so that a client cannot probe which files exist outside the roots; a pipe would be waited
         * for and is no picture */
        status = weft_fail(err, WEFT_ERR_INVALID, "%.200s: no such file in the allowed folders (--media-root)", url);
    } else {
        status = weft_read_file(resolved, WEFT_MEDIA_BYTES_MAX, &buffer, err);
        if (status == WEFT_OK) {
            *size = buffer.size;
            *data = weft_buffer_take(&buffer);
        }
    }
    free(decoded);
    return status;
}

weft_status weft_media_fetch(const char *url, const weft_media_policy *policy, void **data, size_t *size, weft_error *err) {
    *data = NULL;
    *size = 0;
    if (strncasecmp(url, "data:", 5) == 0) {
        const char *comma = strchr(url, ',');
        if (!comma) return weft_fail(err, WEFT_ERR_INVALID, "the data: URL has no comma before its data");
        if (comma - url < 7 || strncasecmp(comma - 7, ";base64", 7) != 0)
            return weft_fail(err, WEFT_ERR_INVALID, "the data: URL must be base64 (data:image/png;base64,…)");
        return decode_base64(comma + 1, data, size, err);
    }
    if (strncasecmp(url, "file://", 7) == 0) return read_file_url(url, policy, data, size, err);
    if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "weft does not fetch pictures from the network: send the bytes as a data: URL or upload the file");
    if (policy->resolve) return policy->resolve(policy->resolve_context, url, data, size, err);
    return weft_fail(err, WEFT_ERR_INVALID, "%.100s: not a data: or file: URL", url);
}
