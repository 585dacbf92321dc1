/* Fetching from hosts of our own on loopback: bytes, limits, redirects, and every way around the refusal of private
 * addresses that we know. 127.0.0.2 plays the host that may be reached, 127.0.0.1 and ::1 those that may not. */
#include "net/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing.h"

enum { ANSWER_MAX = 65536, PATH_MAX_ = 4096 };

typedef struct host {
    int listener, port;
    atomic_int connections;
    pthread_t thread;
} host;

static int other_port; /* of the host that must not be reached */

static void reply(int client, const char *head, const char *body) {
    char text[ANSWER_MAX];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nConnection: close\r\n\r\n%s", head, body);
    if (write(client, text, (size_t)n) < 0) perror("write");
}

/* "/redirect?TARGET" redirects there; the rest are what their names say. */
static void serve_one(int client) {
    char request[PATH_MAX_] = "", path[PATH_MAX_] = "", head[PATH_MAX_ + 64];
    ssize_t n = read(client, request, sizeof request - 1);
    if (n > 0) sscanf(request, "GET %4000s", path);
    if (strcmp(path, "/hello") == 0) {
        reply(client, "200 OK\r\nContent-Length: 5", "hello");
    } else if (strncmp(path, "/redirect?", 10) == 0) {
        snprintf(head, sizeof head, "302 Found\r\nLocation: %s", path + 10);
        reply(client, head, "a page that says where to go");
    } else if (strcmp(path, "/loop") == 0) {
        reply(client, "301 Moved\r\nLocation: /loop", "");
    } else if (strcmp(path, "/announced") == 0) {
        reply(client, "200 OK\r\nContent-Length: 99999999", "");
    } else if (strcmp(path, "/gzip") == 0) {
        reply(client, "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5", "hello");
    } else if (strcmp(path, "/endless") == 0) {
        reply(client, "200 OK", "");
        char zeros[4096] = {0};
        while (send(client, zeros, sizeof zeros, MSG_NOSIGNAL) > 0) {}
    } else if (strcmp(path, "/silent") == 0) {
        char byte;
        while (read(client, &byte, 1) > 0) {} /* until the other side gives up */
    } else {
        reply(client, "404 Not Found\r\nContent-Length: 2", "no");
    }
}

static void *serve(void *context) {
    host *h = context;
    for (int client; (client = accept(h->listener, NULL, NULL)) >= 0;) {
        atomic_fetch_add(&h->connections, 1);
        serve_one(client);
        close(client);
    }
    return NULL;
}

static bool start(host *h, const char *address) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    inet_pton(AF_INET, address, &at.sin_addr);
    h->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(h->listener, (struct sockaddr *)&at, size) != 0 || listen(h->listener, 16) != 0) return false;
    getsockname(h->listener, (struct sockaddr *)&at, &size);
    h->port = ntohs(at.sin_port);
    return pthread_create(&h->thread, NULL, serve, h) == 0;
}

static void stop(host *h) {
    shutdown(h->listener, SHUT_RDWR);
    pthread_join(h->thread, NULL);
    close(h->listener);
}

static weft_network friendly;
static const weft_fetch_options standard = {.bytes_max = 1 << 20, .seconds_max = 10, .allowed = &friendly, .allowed_count = 1};
static weft_error err;

static weft_status fetch(const char *url, const weft_fetch_options *options, char *text, size_t size) {
    int file;
    uint64_t bytes;
    text[0] = 0;
    weft_status status = weft_fetch(url, options, &file, &bytes, &err);
    if (status != WEFT_OK) return status;
    ssize_t n = pread(file, text, size - 1, 0);
    text[n > 0 ? n : 0] = 0;
    CHECK_INT(n, (long long)bytes);
    close(file);
    return WEFT_OK;
}

static void check_refused(const char *url, const char *words) {
    char text[64];
    CHECK_MSG(fetch(url, &standard, text, sizeof text) == WEFT_ERR_INVALID && strstr(err.message, words), "%s: %s", url, err.message);
}

static void test_bytes(int port) {
    char url[PATH_MAX_], text[64];
    snprintf(url, sizeof url, "http://127.0.0.2:%d/hello", port);
    CHECK_OK(fetch(url, &standard, text, sizeof text), err);
    CHECK_STR(text, "hello");
    snprintf(url, sizeof url, "http://127.0.0.2:%d/redirect?/redirect?http://127.0.0.2:%d/hello", port, port);
    CHECK_OK(fetch(url, &standard, text, sizeof text), err);
    CHECK_STR(text, "hello"); /* not what the redirecting pages held */
    snprintf(url, sizeof url, "http://127.0.0.2:%d/gzip", port);
    CHECK_OK(fetch(url, &standard, text, sizeof text), err);
    CHECK_STR(text, "hello"); /* nothing is unpacked */
    snprintf(url, sizeof url, "http://127.0.0.2:%d/absent", port);
    check_refused(url, "404");
    snprintf(url, sizeof url, "http://127.0.0.2:%d/loop", port);
    check_refused(url, "redirects more than 5 times");
}

static void test_limits(int port) {
    char url[PATH_MAX_], text[64];
    static const char *const large[] = {"announced", "endless"};
    for (int i = 0; i < 2; i++) {
        snprintf(url, sizeof url, "http://127.0.0.2:%d/%s", port, large[i]);
        CHECK_MSG(fetch(url, &standard, text, sizeof text) == WEFT_ERR_LIMIT && strstr(err.message, "1 MiB"), "%s", err.message);
    }
    weft_fetch_options brief = standard;
    brief.seconds_max = 1;
    snprintf(url, sizeof url, "http://127.0.0.2:%d/redirect?/silent", port);
    CHECK_MSG(fetch(url, &brief, text, sizeof text) == WEFT_ERR_INVALID && strstr(err.message, "too slow"), "%s", err.message);
}

static bool at_once(void *context) {
    (*(int *)context)++;
    return true;
}

static void test_cancellation(int port) {
    char url[PATH_MAX_], text[64];
    int asked = 0;
    weft_fetch_options options = standard;
    options.cancelled = at_once;
    options.context = &asked;
    snprintf(url, sizeof url, "http://127.0.0.2:%d/silent", port);
    CHECK_INT(fetch(url, &options, text, sizeof text), WEFT_ERR_CANCELLED);
    CHECK(asked > 0);
}

static void test_private_addresses(int port) {
    static const char *const hosts[] = {
        "127.0.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "017700000001", "localhost", "LOCALHOST", "localhost.",
        "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::127.0.0.1]", "127.0.0.1.", "%31%32%37.0.0.1",
    };
    char url[PATH_MAX_];
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        snprintf(url, sizeof url, "http://%s:%d/hello", hosts[i], other_port);
        char text[64];
        weft_status status = fetch(url, &standard, text, sizeof text);
        CHECK_MSG(status == WEFT_ERR_INVALID, "%s was fetched", hosts[i]);
        snprintf(url, sizeof url, "http://127.0.0.2:%d/redirect?http://%s:%d/hello", port, hosts[i], other_port);
        status = fetch(url, &standard, text, sizeof text);
        CHECK_MSG(status == WEFT_ERR_INVALID, "%s was fetched by redirect", hosts[i]);
    }
    check_refused("http://169.254.169.254/latest/meta-data/", "169.254.169.254, which is not a public address");
    check_refused("http://10.1.2.3/", "not a public address");
    check_refused("http://[fe80::1%25lo]/", "not a public address");
    check_refused("http://[fd00::1]/", "not a public address");
    check_refused("http://224.0.0.1/", "not a public address");
}

static void test_urls(int port) {
    char url[PATH_MAX_];
    static const char *const schemes[] = {"file:///etc/passwd", "ftp://127.0.0.2/", "gopher://127.0.0.2/", "dict://127.0.0.2/", "ldap://127.0.0.2/", "javascript:1", "data:,x", "//127.0.0.2/", "/etc/passwd", "", "http://", "http:///hello", "http://127.0.0.2:99999/"};
    char text[64];
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) CHECK_MSG(fetch(schemes[i], &standard, text, sizeof text) == WEFT_ERR_INVALID, "%s", schemes[i]);
    for (size_t i = 0; i < 6; i++) {
        snprintf(url, sizeof url, "http://127.0.0.2:%d/redirect?%s", port, schemes[i]);
        CHECK_MSG(fetch(url, &standard, text, sizeof text) == WEFT_ERR_INVALID, "%s by redirect", schemes[i]);
    }
    snprintf(url, sizeof url, "http://127.0.0.2:%d@127.0.0.1:%d/hello", port, other_port);
    check_refused(url, "user name");
    snprintf(url, sizeof url, "http://127.0.0.1:%d\\@127.0.0.2:%d/hello", other_port, port);
    CHECK_INT(fetch(url, &standard, text, sizeof text), WEFT_ERR_INVALID);
    snprintf(url, sizeof url, "http://127.0.0.2:%d/hello\r\nHost: x", port);
    CHECK_INT(fetch(url, &standard, text, sizeof text), WEFT_ERR_INVALID);
    char *longer = malloc(WEFT_FETCH_URL_MAX + 100);
    snprintf(longer, WEFT_FETCH_URL_MAX + 100, "http://127.0.0.2:%d/", port);
    memset(longer + strlen(longer), 'a', WEFT_FETCH_URL_MAX);
    longer[WEFT_FETCH_URL_MAX + 50] = 0;
    check_refused(longer, "limit");
    free(longer);
}

/* A name whose answers change or mix: only the address that is connected to counts. */
static void test_names(int port) {
    char url[PATH_MAX_], bad[128], mixed[128], good[128], text[64];
    snprintf(url, sizeof url, "http://rebind.example:%d/hello", port);
    snprintf(bad, sizeof bad, "rebind.example:%d:127.0.0.1", port);
    snprintf(good, sizeof good, "rebind.example:%d:127.0.0.2", port);
    snprintf(mixed, sizeof mixed, "rebind.example:%d:127.0.0.1,127.0.0.2", port);
    weft_fetch_options options = standard;
    options.fixed_names = (const char *const[]){bad, NULL};
    CHECK_MSG(fetch(url, &options, text, sizeof text) == WEFT_ERR_INVALID && strstr(err.message, "leads to 127.0.0.1"), "%s", err.message);
    options.fixed_names = (const char *const[]){good, NULL};
    CHECK_OK(fetch(url, &options, text, sizeof text), err);
    options.fixed_names = (const char *const[]){mixed, NULL};
    CHECK_OK(fetch(url, &options, text, sizeof text), err);
    CHECK_STR(text, "hello");
}

int main(void) {
    host good = {0}, bad = {0};
    if (!start(&good, "127.0.0.2") || !start(&bad, "0.0.0.0")) {
        fprintf(stderr, "no loopback hosts can be had here\n");
        return 1;
    }
    other_port = bad.port;
    CHECK_OK(weft_network_parse("127.0.0.2/32", &friendly, &err), err);
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", other_port); /* a proxy would connect for us: it must not be used */
    setenv("http_proxy", proxy, 1);
    setenv("ALL_PROXY", proxy, 1);
    test_bytes(good.port);
    test_limits(good.port);
    test_cancellation(good.port);
    test_private_addresses(good.port);
    test_urls(good.port);
    test_names(good.port);
    CHECK_INT(atomic_load(&bad.connections), 0); /* the host that must not be reached has seen nobody */
    CHECK(atomic_load(&good.connections) > 10);
    stop(&good);
    stop(&bad);
    return testing_summary();
}
