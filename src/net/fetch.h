/* Bytes behind an http: or https: URL that somebody else has written.
 *
 * The danger is not the bytes (a worker decodes them) but where the connection goes: such a URL must not reach what only
 * this machine can reach. So the address is judged where it cannot change any more, on the socket that is about to be
 * connected, for every hop: names, their rebinding, odd spellings of addresses and redirects all end there. Proxies of the
 * environment are not used, because they would connect for us. Sizes, times and redirects are limited; nothing is
 * decompressed; certificates are checked. */
#ifndef WEFT_NET_FETCH_H
#define WEFT_NET_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "net/address.h"

enum { WEFT_FETCH_REDIRECTS_MAX = 5, WEFT_FETCH_URL_MAX = 8192 };

typedef struct weft_fetch_options {
    uint64_t bytes_max;
    int seconds_max; /* for all hops together */
    const weft_network *allowed; /* [allowed_count] networks that may be reached although they are not public */
    int allowed_count;
    bool (*cancelled)(void *context); /* asked about once a second and at every piece; NULL: never */
    void *context;
    const char *const *fixed_names; /* NULL-terminated "HOST:PORT:ADDRESS[,ADDRESS]", instead of asking DNS; NULL: none */
} weft_fetch_options;

/* *file: memory (memfd) that holds the bytes, from its start; the caller's to close. Errors: INVALID (the URL, its address,
 * the server's answer), LIMIT (size), IO (the network), CANCELLED. */
weft_status weft_fetch(const char *url, const weft_fetch_options *options, int *file, uint64_t *size, weft_error *err);

#endif
