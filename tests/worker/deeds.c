/* See deeds.h. Harmless where it succeeds: the processes to hurt are named by the test, files go to the root of the
 * file system. */
#include "worker/deeds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "media/protocol.h"

extern char **environ;

static bool can_connect(int family) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(family, SOCK_STREAM, 0);
    /* refused, too, means that there is a network */
    return fd >= 0 && (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == ECONNREFUSED);
}

/* Bytes of an output without end. */
static bool can_fill(void) {
    static const char much[1 << 16];
    int fd = memfd_create("much", 0);
    return fd >= 0 && write(fd, much, sizeof much) == sizeof much;
}

static bool can_take_memory(void) {
    volatile char *much = malloc((size_t)8 << 30);
    if (much) much[0] = 1;
    return much != NULL;
}

/* A descriptor of the server's, other than the socket. */
static bool finds_descriptor(void) {
    struct stat info;
    for (int fd = WEFT_WIRE_FD + 1; fd < 4096; fd++)
        if (fstat(fd, &info) == 0) return true;
    return false;
}

static void *idle(void *nothing) {
    return nothing;
}

static bool can_thread(void) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, idle, NULL);
    return errno == 0 && pthread_join(thread, NULL) == 0;
}

static bool can_read_memory(pid_t victim) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)&environ, 1};
    return process_vm_readv(victim, &here, 1, &there, 1, 0) == 1;
}

static bool can_execute_data(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool can_make_data_executable(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

/* True: `name` is a deed; *succeeded is how it went, with errno. */
static bool perform(const char *name, pid_t victim, bool *succeeded) {
    bool *ok = succeeded;
#define DEED(text, expression) else if (strcmp(name, text) == 0) *ok = (expression)
    if (strcmp(name, "open") == 0) *ok = open("/etc/passwd", O_RDONLY) >= 0;
    DEED("create", open("/weft-was-here", O_CREAT | O_WRONLY, 0600) >= 0);
    DEED("openat2", syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", "", 0) >= 0);
    DEED("fork", fork() >= 0);
    DEED("vfork", syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) >= 0);
    DEED("thread", can_thread());
    DEED("exec", execl("/bin/sh", "sh", "-c", "true", (char *)NULL) == 0);
    DEED("internet", can_connect(AF_INET));
    DEED("local socket", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    DEED("kill", kill(victim, SIGKILL) == 0);
    DEED("ptrace", ptrace(PTRACE_ATTACH, victim, NULL, NULL) == 0);
    DEED("spy", can_read_memory(victim));
    DEED("mount", syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL) == 0);
    DEED("namespace", syscall(SYS_unshare, 0x10000000) == 0);
    DEED("root", syscall(SYS_chroot, "/") == 0);
    DEED("user", syscall(SYS_setuid, 0) == 0);
    DEED("limits", syscall(SYS_setrlimit, 0, NULL) == 0);
    DEED("uring", syscall(SYS_io_uring_setup, 1, NULL) >= 0);
    DEED("descriptors", finds_descriptor());
    DEED("environment", environ && environ[0] != NULL);
    DEED("code", can_execute_data());
    DEED("turn to code", can_make_data_executable());
    DEED("memory", can_take_memory());
    DEED("output", can_fill());
#undef DEED
    else return false;
    return true;
}

weft_status deeds_do(const char *deed, weft_error *err) {
    char name[32] = "";
    const char *number = strrchr(deed, ' ');
    bool named = number && number[1] >= '0' && number[1] <= '9'; /* a process */
    size_t length = named ? (size_t)(number - deed) : strlen(deed);
    if (length >= sizeof name) length = sizeof name - 1;
    memcpy(name, deed, length);
    if (strcmp(name, "crash") == 0) __builtin_trap();
    if (strcmp(name, "abort") == 0) abort();
    if (strcmp(name, "exit") == 0) _exit(7);
    if (strcmp(name, "hang") == 0)
        for (;;) usleep(100000);
    if (strcmp(name, "spin") == 0)
        for (volatile unsigned i = 0;;) i = i + 1;
    bool succeeded = false;
    errno = 0;
    if (!perform(name, named ? (pid_t)strtol(number + 1, NULL, 10) : getpid(), &succeeded))
        return weft_fail(err, WEFT_ERR_INTERNAL, "an unknown deed");
    return succeeded ? WEFT_OK : weft_fail(err, WEFT_ERR_FORMAT, "%s: %s", name, strerror(errno));
}
