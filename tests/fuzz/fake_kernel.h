/* A kernel's socket, files and shared memory inside a fuzz target: the linker puts these functions in the place of the
 * C library's
 * (-Wl,--wrap, see CMakeLists.txt). A run costs no system call, and the other end can do at will what a socket pair
 * seldom shows: single bytes, interrupted calls, descriptors in odd places, files that lie about their size.
 *
 * One thread, one connection at a time. Calls with other descriptors and mappings go on to the real functions
 * (libFuzzer's own). A mapping is a block of malloc of just the asked size, so that AddressSanitizer sees a byte too
 * far. Aborts the target when the code under test closes or unmaps what it does not have, leaves something open or
 * sends what is no record of the protocol. */
#ifndef WEFT_FUZZ_FAKE_KERNEL_H
#define WEFT_FUZZ_FAKE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum {
    FAKE_FIRST = 5000,           /* descriptors: from here */
    FAKE_DESCRIPTORS_MAX = 64,   /* open at once; then making one fails */
    FAKE_STREAM_MAX = 192 << 10, /* bytes that the other end can send */
    FAKE_MARKS_MAX = 64,
    FAKE_MAP_MAX = 128 << 10, /* larger mappings fail */
};

/* Where the stream does not simply go on: nothing has come yet, a signal interrupts, the next read ends after `number`
 * bytes, a file of `number` bytes comes along with the next byte. */
typedef enum fake_event { FAKE_NOTHING_YET, FAKE_INTERRUPT, FAKE_SHORT, FAKE_FILE, FAKE_PASSED } fake_event;

/* How writing goes: bits. */
enum { FAKE_SHORT_WRITES = 1, FAKE_INTERRUPTED_WRITES = 2, FAKE_FULL = 4, FAKE_NEVER_READ = 8 };

void fake_begin(unsigned writing); /* an empty stream, nothing open */
void fake_end(void);               /* aborts if anything is open or mapped still */

/* The other end sends; beyond the maxima nothing is added. */
void fake_send(const void *bytes, size_t size);
void fake_mark(fake_event event, int64_t number);

/* A descriptor of the connection. What is left of the stream comes out of it. */
int fake_socket(void);
/* A descriptor of a regular file that is read only and begins with `bytes`; 0 behind them. */
int fake_file(int64_t size, const void *bytes, size_t count);

#endif
