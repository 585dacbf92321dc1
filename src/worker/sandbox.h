/* A process gives up everything but its memory, one socket and the descriptors that come through it. */
#ifndef WEFT_WORKER_SANDBOX_H
#define WEFT_WORKER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/* Call once, single-threaded, with every library loaded and warmed up, before the first byte of input is read. Keeps the
 * descriptors 0 to WEFT_WIRE_FD. Where the kernel gives a process namespace, the call returns in a child; the parent
 * waits and ends as the child ends (128 + signal).
 *
 * `threads`: the process may start threads (never processes), for libraries that cannot do without.
 * memory_max: bytes of address space, cpu_seconds_max: of processor time; 0: no limit.
 * Returns bits of weft_media_guard (media/media.h): what took hold. A kernel that refuses namespaces leaves the rest; without a
 * seccomp filter or limits on a system that has them the process exits instead. */
unsigned weft_sandbox_enter(int64_t memory_max, int64_t cpu_seconds_max, bool threads);

enum { WEFT_SANDBOX_EXIT = 71 }; /* exit status of a process that could not protect itself */

#endif
