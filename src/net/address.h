/* Which network addresses a request may make weft connect to. */
#ifndef WEFT_NET_ADDRESS_H
#define WEFT_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/status.h"

/* True for an address that the whole internet can reach. False for loopback, private, link-local, carrier-grade NAT,
 * multicast, unique-local, documentation and other special ones (IANA's special-purpose registries), also when they are
 * written inside an IPv6 address (mapped, NAT64); and for everything that is not IP. */
bool weft_address_is_public(const struct sockaddr *address);

/* A network: "192.168.1.0/24", "fd00::/8", or one address. */
typedef struct weft_network {
    int family; /* AF_INET or AF_INET6 */
    unsigned char bytes[16];
    int bits;
} weft_network;

weft_status weft_network_parse(const char *text, weft_network *network, weft_error *err);
/* Mapped IPv6 addresses are compared as the IPv4 address that they hold. */
bool weft_network_holds(const weft_network *network, const struct sockaddr *address);

/* "192.0.2.1" for messages. */
void weft_address_text(const struct sockaddr *address, char *text, size_t size);

#endif
