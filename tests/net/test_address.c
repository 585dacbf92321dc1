/* Which addresses are public: the special-purpose registries' edges, and IPv4 hidden in IPv6. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "testing.h"

typedef union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} any_address;

static any_address address_of(const char *text) {
    any_address a = {0};
    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
        a.v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1)
        a.v6.sin6_family = AF_INET6;
    return a;
}

int main(void) {
    static const char *const refused[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.0.0",
        "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0",
        "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1",
        "2001::1", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1",
        "fdff:ffff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1",
    };
    static const char *const allowed[] = {
        "1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0",
        "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0",
        "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:200::1", "2001:db7::1", "2001:db9::1", "2606:4700::1", "2a00::1", "3ffe::1", "3fff:1000::1",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        any_address a = address_of(refused[i]);
        CHECK_MSG(a.any.sa_family != AF_UNSPEC && !weft_address_is_public(&a.any), "%s", refused[i]);
    }
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        any_address a = address_of(allowed[i]);
        CHECK_MSG(weft_address_is_public(&a.any), "%s", allowed[i]);
    }
    any_address other = {.any.sa_family = AF_UNIX};
    CHECK(!weft_address_is_public(&other.any));

    static const struct {
        const char *network, *address;
        bool holds;
    } networks[] = {
        {"192.168.1.0/24", "192.168.1.255", true},  {"192.168.1.0/24", "192.168.2.0", false}, {"192.168.1.0/24", "::ffff:192.168.1.7", true},
        {"10.0.0.0/9", "10.127.0.1", true},         {"10.0.0.0/9", "10.128.0.1", false},      {"0.0.0.0/0", "127.0.0.1", true},
        {"0.0.0.0/0", "::1", false},                {"127.0.0.1", "127.0.0.1", true},         {"127.0.0.1", "127.0.0.2", false},
        {"fd00::/8", "fd12::1", true},              {"fd00::/8", "fe80::1", false},           {"::1", "::1", true},
        {"::/0", "::ffff:127.0.0.1", false},
    };
    weft_error err;
    weft_network network;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        any_address a = address_of(networks[i].address);
        CHECK_OK(weft_network_parse(networks[i].network, &network, &err), err);
        CHECK_MSG(weft_network_holds(&network, &a.any) == networks[i].holds, "%s in %s", networks[i].address, networks[i].network);
    }
    static const char *const malformed[] = {"", "localhost", "127.0.0.1/33", "127.0.0.1/-1", "127.0.0.1/", "127.0.0.1/8x", "::1/129", "1.2.3", "127.0.0.1:80", "0x7f000001"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) CHECK_MSG(weft_network_parse(malformed[i], &network, &err) == WEFT_ERR_INVALID, "'%s'", malformed[i]);
    return testing_summary();
}
