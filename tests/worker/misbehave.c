/* A worker that was taken over: after the sandbox is up it does what the "picture" says. Built for tests only, under the name of
 * the real program, in a folder of its own (WEFT_MEDIA of test_session.c and test_media.py points there).
 *
 * What the sandbox refuses with an error is reported as one; a deed that succeeds returns a picture, which no test expects. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "media/protocol.h"
#include "worker/serve.h"

static weft_status outcome(bool succeeded, const char *what, weft_error *err) {
    return succeeded ? WEFT_OK : weft_fail(err, WEFT_ERR_FORMAT, "%s: %s", what, strerror(errno));
}

/* A record that the session did not ask for in this form. */
static void lie(uint32_t type, uint32_t extra, int64_t a, int64_t b) {
    weft_wire wire = {.type = type, .extra = extra, .n = {a, b, a, b}};
    (void)!write(WEFT_WIRE_FD, &wire, sizeof wire);
}

static weft_status attack(const char *deed, weft_error *err) {
    if (strcmp(deed, "open") == 0) return outcome(open("/etc/passwd", O_RDONLY) >= 0, "open", err);
    if (strcmp(deed, "create") == 0) return outcome(open("/tmp/weft-was-here", O_CREAT | O_WRONLY, 0600) >= 0, "create", err);
    if (strcmp(deed, "fork") == 0) return outcome(fork() >= 0, "fork", err);
    if (strcmp(deed, "socket") == 0) return outcome(socket(AF_INET, SOCK_STREAM, 0) >= 0, "socket", err);
    if (strcmp(deed, "exec") == 0) return outcome(execl("/bin/sh", "sh", "-c", "true", NULL) == 0, "exec", err);
    if (strcmp(deed, "kill") == 0) return outcome(kill(-1, SIGKILL) == 0, "kill", err);
    if (strcmp(deed, "ptrace") == 0) return outcome(ptrace(PTRACE_ATTACH, 1, NULL, NULL) == 0, "ptrace", err);
    if (strcmp(deed, "mount") == 0) return outcome(syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL) == 0, "mount", err);
    if (strcmp(deed, "namespace") == 0) return outcome(syscall(SYS_unshare, 0x10000000) == 0, "unshare", err);
    if (strcmp(deed, "code") == 0)
        return outcome(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED, "code", err);
    if (strcmp(deed, "memory") == 0) {
        volatile char *much = malloc((size_t)8 << 30);
        return outcome(much != NULL && (much[0] = 1), "memory", err);
    }
    return weft_fail(err, WEFT_ERR_INTERNAL, "an unknown deed");
}

static weft_status misbehave(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe, weft_image *image, weft_error *err) {
    char deed[32] = "";
    (void)limits, (void)probe;
    if (size > 3 && size - 3 < sizeof deed) memcpy(deed, bytes + 3, size - 3); /* behind the magic of a JPEG */
    if (strcmp(deed, "crash") == 0) __builtin_trap();
    if (strcmp(deed, "abort") == 0) abort();
    if (strcmp(deed, "exit") == 0) _exit(7);
    if (strcmp(deed, "hang") == 0) for (;;) usleep(100000);
    if (strcmp(deed, "spin") == 0) for (volatile int i = 0;;) i = i + 1;
    if (strcmp(deed, "huge size") == 0) lie(WEFT_WIRE_SIZE, 0, 1 << 20, 1 << 20);
    if (strcmp(deed, "negative size") == 0) lie(WEFT_WIRE_SIZE, 0, -1, 5);
    if (strcmp(deed, "no such record") == 0) lie(0x12345678, 0, 1, 1);
    if (strcmp(deed, "long record") == 0) lie(WEFT_WIRE_SIZE, 1u << 31, 1, 1);
    if (strcmp(deed, "early done") == 0) lie(WEFT_WIRE_DONE, 0, 0, 0);
    if (strcmp(deed, "frames") == 0) lie(WEFT_WIRE_PLAN, 0, 1 << 30, 0);
    if (strcmp(deed, "message") == 0) return weft_fail(err, WEFT_ERR_FORMAT, "\xFF\xFE\x1B[31m%s", "a message");
    if (strcmp(deed, "paint") != 0) return attack(deed, err);
    *image = (weft_image){.width = 4, .height = 2, .full_width = 4, .full_height = 2, .rgb = malloc(24)};
    if (image->rgb) memset(image->rgb, 0x5A, 24);
    return WEFT_OK;
}

int main(int argc, char **argv) {
    static const weft_worker_program program = {.image = misbehave};
    return weft_worker_serve(argc, argv, &program);
}
