/* Bytes behind a URL: see fetch.h. */
#include "net/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

enum { CONNECT_SECONDS = 15, SLOW_BYTES = 1024, SLOW_SECONDS = 20 };

typedef struct transfer {
    const weft_fetch_options *options;
    int file;
    uint64_t size;
    bool too_large, cancelled, refused;
    int write_error;
    char address[64]; /* that was refused */
} transfer;

static void start_library(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

/* ---- what libcurl asks ----------------------------------------------------------------------------------------- */

/* The one place where it is decided who is connected to: the address is final here. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    transfer *t = context;
    const struct sockaddr *to = &address->addr;
    bool allowed = purpose == CURLSOCKTYPE_IPCXN && weft_address_is_public(to);
    for (int i = 0; i < t->options->allowed_count && !allowed; i++) allowed = weft_network_holds(&t->options->allowed[i], to);
    if (!allowed) {
        t->refused = true;
        weft_address_text(to, t->address, sizeof t->address);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take_bytes(char *data, size_t one, size_t count, void *context) {
    transfer *t = context;
    size_t size = one * count;
    if (size > t->options->bytes_max - t->size) {
        t->too_large = true;
        return 0;
    }
    for (size_t at = 0; at < size;) {
        ssize_t n = write(t->file, data + at, size - at);
        if (n < 0 && errno != EINTR) {
            t->write_error = errno;
            return 0;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    t->size += size;
    return size;
}

static int look_up(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
    (void)now, (void)up_total, (void)up_now;
    transfer *t = context;
    if (total > 0 && (uint64_t)total > t->options->bytes_max) t->too_large = true;
    t->cancelled = t->options->cancelled && t->options->cancelled(t->options->context);
    return t->too_large || t->cancelled;
}

/* ---- one hop --------------------------------------------------------------------------------------------------- */

/* What the URL says, before anything is asked of the network. */
static weft_status check_url(CURLU *parsed, const char *url, weft_error *err) {
    char *scheme = NULL, *user = NULL, *host = NULL;
    weft_status status = WEFT_OK;
    if (strlen(url) > WEFT_FETCH_URL_MAX)
        status = weft_fail(err, WEFT_ERR_INVALID, "the URL is over the limit of %d bytes", WEFT_FETCH_URL_MAX);
    else if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        status = weft_fail(err, WEFT_ERR_INVALID, "%.200s: malformed URL", url);
    if (status == WEFT_OK) {
        curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
        curl_url_get(parsed, CURLUPART_USER, &user, 0);
        curl_url_get(parsed, CURLUPART_HOST, &host, 0);
        if (!scheme || (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0))
            status = weft_fail(err, WEFT_ERR_INVALID, "%.200s: only http: and https: URLs are fetched", url);
        else if (user)
            status = weft_fail(err, WEFT_ERR_INVALID, "a URL with a user name is refused: what stands before '@' is often a trick");
        else if (!host || !*host)
            status = weft_fail(err, WEFT_ERR_INVALID, "%.200s: the URL has no host", url);
    }
    curl_free(scheme);
    curl_free(user);
    curl_free(host);
    return status;
}

static weft_status explain(const transfer *t, CURLcode code, const char *detail, weft_error *err) {
    const weft_fetch_options *o = t->options;
    if (t->cancelled) return weft_fail(err, WEFT_ERR_CANCELLED, "cancelled");
    if (t->too_large) return weft_fail(err, WEFT_ERR_LIMIT, "the file behind the URL is over the limit of %llu MiB", (unsigned long long)(o->bytes_max >> 20));
    if (t->write_error) return weft_fail(err, WEFT_ERR_MEMORY, "the fetched file cannot be kept: %s", strerror(t->write_error));
    if (t->refused)
        return weft_fail(err, WEFT_ERR_INVALID, "the URL leads to %s, which is not a public address: it is reached only if weft was started with --allow-private-url NETWORK", t->address);
    if (code == CURLE_OPERATION_TIMEDOUT) return weft_fail(err, WEFT_ERR_INVALID, "the URL's server is too slow (limit: %d s in all)", o->seconds_max);
    return weft_fail(err, WEFT_ERR_INVALID, "the URL cannot be fetched: %s", detail[0] ? detail : curl_easy_strerror(code));
}

static void set_options(CURL *curl, CURLU *url, transfer *t, struct curl_slist *names, double seconds, char *detail) {
    const weft_fetch_options *o = t->options;
    curl_easy_setopt(curl, CURLOPT_CURLU, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)o->bytes_max);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(seconds * 1e3));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "weft");
    curl_easy_setopt(curl, CURLOPT_RESOLVE, names);
}

/* Fetches one URL. A redirect leaves its absolute target in next[]; else next is empty and the bytes are in t->file. */
static weft_status fetch_hop(transfer *t, const char *url, struct curl_slist *names, double seconds, char next[WEFT_FETCH_URL_MAX + 1], weft_error *err) {
    char detail[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLU *parsed = curl_url();
    weft_status status = curl && parsed ? check_url(parsed, url, err) : weft_fail(err, WEFT_ERR_MEMORY, "fetch: no memory");
    next[0] = 0;
    t->size = 0; /* what a redirect's own page held is of no interest */
    if (status == WEFT_OK && (ftruncate(t->file, 0) != 0 || lseek(t->file, 0, SEEK_SET) != 0)) status = weft_fail(err, WEFT_ERR_IO, "fetch: %s", strerror(errno));
    if (status == WEFT_OK) {
        set_options(curl, parsed, t, names, seconds, detail);
        CURLcode code = curl_easy_perform(curl);
        if (code == CURLE_FILESIZE_EXCEEDED) t->too_large = true;
        long answer = 0;
        char *target = NULL;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
        curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &target);
        if (code != CURLE_OK)
            status = explain(t, code, detail, err);
        else if (answer >= 300 && answer < 400 && target && strlen(target) <= WEFT_FETCH_URL_MAX)
            snprintf(next, WEFT_FETCH_URL_MAX + 1, "%s", target);
        else if (answer != 200)
            status = weft_fail(err, WEFT_ERR_INVALID, "the URL's server answers with status %ld", answer);
    }
    curl_url_cleanup(parsed);
    curl_easy_cleanup(curl);
    return status;
}

weft_status weft_fetch(const char *url, const weft_fetch_options *options, int *file, uint64_t *size, weft_error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    *file = -1;
    *size = 0;
    transfer t = {.options = options, .file = memfd_create("fetched", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (t.file < 0) return weft_fail(err, WEFT_ERR_MEMORY, "fetch: %s", strerror(errno));
    struct curl_slist *names = NULL;
    for (int i = 0; options->fixed_names && options->fixed_names[i]; i++) names = curl_slist_append(names, options->fixed_names[i]);
    char here[WEFT_FETCH_URL_MAX + 1], next[WEFT_FETCH_URL_MAX + 1];
    double end = weft_now_ms() + options->seconds_max * 1e3;
    weft_status status = fetch_hop(&t, url, names, options->seconds_max, next, err);
    for (int hops = 0; status == WEFT_OK && next[0]; hops++) {
        double left = (end - weft_now_ms()) / 1e3;
        memcpy(here, next, sizeof here);
        if (hops == WEFT_FETCH_REDIRECTS_MAX)
            status = weft_fail(err, WEFT_ERR_INVALID, "the URL redirects more than %d times", WEFT_FETCH_REDIRECTS_MAX);
        else
            status = left > 0.001 ? fetch_hop(&t, here, names, left, next, err) : explain(&t, CURLE_OPERATION_TIMEDOUT, "", err);
        if (status == WEFT_ERR_INVALID) weft_error_prefix(err, "after %d redirect%s", hops + 1, hops ? "s" : "");
    }
    curl_slist_free_all(names);
    if (status != WEFT_OK) {
        close(t.file);
        return status;
    }
    fcntl(t.file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW); /* whoever reads it cannot change it */
    *file = t.file;
    *size = t.size;
    return WEFT_OK;
}
