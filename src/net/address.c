/* Which network addresses a request may make weft connect to: see address.h. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_prefix(const unsigned char *address, const unsigned char *prefix, int bits) {
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(address, prefix, (size_t)whole) != 0) return false;
    return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

/* The four bytes of an IPv4 address, written as such or mapped into IPv6; else NULL. */
static const unsigned char *ipv4_of(const struct sockaddr *address) {
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address->sa_family == AF_INET) return (const unsigned char *)&((const struct sockaddr_in *)address)->sin_addr;
    if (address->sa_family != AF_INET6) return NULL;
    const unsigned char *bytes = ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr;
    return has_prefix(bytes, mapped, 96) ? bytes + 12 : NULL;
}

static bool ipv4_is_public(const unsigned char *address) {
    static const struct {
        unsigned char prefix[4];
        int bits;
    } special[] = {
        {{0}, 8},              /* this network: 0.0.0.0 connects to this machine */
        {{10}, 8},             /* private */
        {{100, 64}, 10},       /* carrier-grade NAT */
        {{127}, 8},            /* loopback */
        {{169, 254}, 16},      /* link-local; clouds keep their secrets there */
        {{172, 16}, 12},       /* private */
        {{192, 0, 0}, 24},     /* protocol assignments */
        {{192, 0, 2}, 24},     /* documentation */
        {{192, 88, 99}, 24},   /* 6to4 relays */
        {{192, 168}, 16},      /* private */
        {{198, 18}, 15},       /* benchmarks */
        {{198, 51, 100}, 24},  /* documentation */
        {{203, 0, 113}, 24},   /* documentation */
        {{224}, 3},            /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (has_prefix(address, special[i].prefix, special[i].bits)) return false;
    return true;
}

static bool ipv6_is_public(const unsigned char *address) {
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b}, global[1] = {0x20};
    static const struct {
        unsigned char prefix[4];
        int bits;
    } special[] = {
        {{0x20, 0x01, 0x00}, 23},       /* protocol assignments, Teredo among them */
        {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
        {{0x20, 0x02}, 16},             /* 6to4: hides an IPv4 address */
        {{0x3f, 0xff, 0x00}, 20},       /* documentation */
    };
    if (has_prefix(address, nat64, 96)) return ipv4_is_public(address + 12);
    if (!has_prefix(address, global, 3)) return false; /* all that is global unicast lies in 2000::/3 */
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (has_prefix(address, special[i].prefix, special[i].bits)) return false;
    return true;
}

bool weft_address_is_public(const struct sockaddr *address) {
    const unsigned char *ipv4 = ipv4_of(address);
    if (ipv4) return ipv4_is_public(ipv4);
    return address->sa_family == AF_INET6 && ipv6_is_public(((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr);
}

weft_status weft_network_parse(const char *text, weft_network *network, weft_error *err) {
    char address[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    *network = (weft_network){0};
    if (size < sizeof address) {
        memcpy(address, text, size);
        address[size] = 0;
        network->family = inet_pton(AF_INET, address, network->bytes) == 1 ? AF_INET : inet_pton(AF_INET6, address, network->bytes) == 1 ? AF_INET6 : 0;
    }
    int max = network->family == AF_INET ? 32 : 128;
    char *end = "";
    long bits = slash ? strtol(slash + 1, &end, 10) : max;
    if (!network->family || *end || (slash && (slash[1] < '0' || slash[1] > '9')) || bits < 0 || bits > max)
        return weft_fail(err, WEFT_ERR_INVALID, "'%.100s' is no network: write it as 192.168.1.0/24, fd00::/8 or one address", text);
    network->bits = (int)bits;
    return WEFT_OK;
}

bool weft_network_holds(const weft_network *network, const struct sockaddr *address) {
    const unsigned char *ipv4 = ipv4_of(address);
    if (network->family == AF_INET) return ipv4 && has_prefix(ipv4, network->bytes, network->bits);
    return !ipv4 && address->sa_family == AF_INET6 && has_prefix(((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr, network->bytes, network->bits);
}

void weft_address_text(const struct sockaddr *address, char *text, size_t size) {
    const void *bytes = address->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                                                       : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
    bool ip = address->sa_family == AF_INET || address->sa_family == AF_INET6;
    if (!ip || !inet_ntop(address->sa_family, bytes, text, (socklen_t)size)) snprintf(text, size, "no IP address");
}
