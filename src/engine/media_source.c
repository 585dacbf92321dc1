/* From the URL of a media part to its bytes: see media_source.h. */
#include "engine/media_source.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/fetch.h"

enum { URL_SECONDS_MAX = 120 };

/* ---- what may be named ----------------------------------------------------------------------------------------- */

weft_status weft_media_sources_init(weft_media_sources *sources, const weft_engine_options *options, weft_error *err) {
    *sources = (weft_media_sources){.allow_urls = options->allow_urls,
                                    .url_bytes_max = options->url_bytes_max ? options->url_bytes_max : WEFT_MEDIA_BYTES_MAX,
                                    .url_seconds_max = options->url_seconds_max > 0 ? options->url_seconds_max : URL_SECONDS_MAX};
    size_t count = 0;
    while (options->media_roots && options->media_roots[count]) count++;
    sources->roots = calloc(count + 1, sizeof *sources->roots);
    bool failed = !sources->roots;
    for (size_t i = 0; i < count && !failed; i++) failed = !(sources->roots[i] = strdup(options->media_roots[i]));
    weft_status status = failed ? weft_fail(err, WEFT_ERR_MEMORY, "engine: no memory") : WEFT_OK;
    for (const char *const *n = options->private_networks; status == WEFT_OK && n && *n; n++) {
        if (sources->network_count == WEFT_MEDIA_NETWORKS_MAX)
            status = weft_fail(err, WEFT_ERR_INVALID, "more than %d private networks", WEFT_MEDIA_NETWORKS_MAX);
        else
            status = weft_network_parse(*n, &sources->networks[sources->network_count++], err);
    }
    if (status != WEFT_OK) weft_media_sources_free(sources);
    return status;
}

void weft_media_sources_free(weft_media_sources *sources) {
    for (size_t i = 0; sources->roots && sources->roots[i]; i++) free(sources->roots[i]);
    free(sources->roots);
    *sources = (weft_media_sources){0};
}

/* ---- data: ----------------------------------------------------------------------------------------------------- */

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

/* ---- files ----------------------------------------------------------------------------------------------------- */

static weft_status reserve(const weft_media_policy *policy, uint64_t bytes, weft_error *err) {
    const weft_request_options *request = policy->request;
    return request->reserve ? request->reserve(request->reserve_context, bytes, err) : WEFT_OK;
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
static bool inside_roots(const char *resolved, char *const *roots) {
    for (; *roots; roots++) {
        char root[PATH_MAX];
        if (!realpath(*roots, root)) continue;
        size_t length = strlen(root);
        if (strcmp(root, "/") == 0) return true;
        if (strncmp(resolved, root, length) == 0 && (resolved[length] == '/' || resolved[length] == 0)) return true;
    }
    return false;
}

/* Opens a regular file inside the roots; -1 otherwise. What counts is where the file lies that has been opened: a link that
 * is exchanged between two looks changes nothing. Nothing outside the roots and nothing that is no file is ever opened
 * on purpose, and a pipe put there in between is not waited for. */
static int open_inside(const char *path, char *const *roots) {
    char resolved[PATH_MAX], opened[PATH_MAX], link[64];
    struct stat info;
    if (!realpath(path, resolved) || !inside_roots(resolved, roots) || stat(resolved, &info) != 0 || !S_ISREG(info.st_mode)) return -1;
    int file = open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    if (file < 0) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, opened, sizeof opened - 1);
    if (n >= 0) opened[n] = 0;
    bool known = n < 0 || inside_roots(opened, roots); /* without /proc the check above has to do */
    if (known && fstat(file, &info) == 0 && S_ISREG(info.st_mode)) return file;
    close(file);
    return -1;
}

static weft_status open_file_url(const char *url, const weft_media_policy *policy, int *file, weft_error *err) {
    char **roots = policy->sources->roots;
    if (!*roots)
        return weft_fail(err, WEFT_ERR_INVALID, "file: URLs are not allowed here: start weft with --media-root FOLDER to allow a folder");
    const char *path = url + strlen("file://");
    if (strncmp(path, "localhost/", 10) == 0) path += 9;
    if (*path != '/') return weft_fail(err, WEFT_ERR_INVALID, "%.200s: a file: URL needs an absolute path (file:///…)", url);
    char *decoded = decode_path(path);
    if (!decoded) return weft_fail(err, WEFT_ERR_INVALID, "%.200s: malformed percent-encoding", url);
    *file = open_inside(decoded, roots);
    free(decoded);
    if (*file < 0) /* one message for all, so that a client cannot probe which files exist outside the roots */
        return weft_fail(err, WEFT_ERR_INVALID, "%.200s: no such file in the allowed folders (--media-root)", url);
    return WEFT_OK;
}

/* ---- http: and https: ------------------------------------------------------------------------------------------ */

static weft_status open_web_url(const char *url, const weft_media_policy *policy, int *file, weft_error *err) {
    const weft_media_sources *sources = policy->sources;
    if (!sources->allow_urls)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "http: and https: URLs are not fetched here: start weft with --allow-url, or send the bytes as a data: URL or as an uploaded file");
    weft_fetch_options options = {
        .bytes_max = sources->url_bytes_max < WEFT_MEDIA_BYTES_MAX ? sources->url_bytes_max : WEFT_MEDIA_BYTES_MAX,
        .seconds_max = sources->url_seconds_max,
        .allowed = sources->networks,
        .allowed_count = sources->network_count,
        .cancelled = policy->request->cancelled,
        .context = policy->request->cancelled_context,
    };
    uint64_t bytes;
    WEFT_TRY(weft_fetch(url, &options, file, &bytes, err));
    weft_status status = reserve(policy, bytes, err);
    if (status != WEFT_OK) close(*file);
    return status;
}

weft_status weft_media_fetch(const char *url, const weft_media_policy *policy, weft_media_bytes *bytes, weft_error *err) {
    *bytes = (weft_media_bytes){0};
    if (strncasecmp(url, "data:", 5) == 0) {
        const char *comma = strchr(url, ',');
        if (!comma) return weft_fail(err, WEFT_ERR_INVALID, "the data: URL has no comma before its data");
        if (comma - url < 7 || strncasecmp(comma - 7, ";base64", 7) != 0)
            return weft_fail(err, WEFT_ERR_INVALID, "the data: URL must be base64 (data:image/png;base64,…)");
        return decode_base64(comma + 1, &bytes->data, &bytes->size, err);
    }
    int file = -1;
    const weft_request_options *request = policy->request;
    if (strncasecmp(url, "file://", 7) == 0)
        WEFT_TRY(open_file_url(url, policy, &file, err));
    else if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0)
        WEFT_TRY(open_web_url(url, policy, &file, err));
    else if (request->resolve)
        WEFT_TRY(request->resolve(request->resolve_context, url, &file, err));
    else
        return weft_fail(err, WEFT_ERR_INVALID, "%.100s: not a data:, file: or http: URL", url);
    bytes->file = file + 1;
    return WEFT_OK;
}
