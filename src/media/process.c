/* Worker programs: see process.h.
 *
 * Owns the process id and one end of a socket. Everything that arrives is hostile: lengths are checked by protocol.c,
 * numbers by the caller, messages are reduced to printable ASCII here. */
#include "media/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { END_WAIT_MS = 2000 }; /* from the end of its socket to its exit status */

/* ---- where the program is --------------------------------------------------------------------------------------- */

static bool try_program(char *path, size_t room, const char *folder, const char *rest, const char *name) {
    int length = snprintf(path, room, "%s%s/%s", folder, rest, name);
    return length > 0 && (size_t)length < room && access(path, X_OK) == 0;
}

weft_status weft_media_program(const char *name, char *path, size_t room, weft_error *err) {
    const char *stated = getenv("WEFT_MEDIA");
    if (stated && *stated) {
        if (try_program(path, room, stated, "", name)) return WEFT_OK;
        return weft_fail(err, WEFT_ERR_NOT_FOUND, "%s is not in the folder %.200s that WEFT_MEDIA names", name, stated);
    }
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length > 0) {
        self[length] = 0;
        char *slash = strrchr(self, '/');
        if (slash) *slash = 0;
        if (try_program(path, room, self, "", name) || try_program(path, room, self, "/../libexec/weft", name)) return WEFT_OK;
    }
    return weft_fail(err, WEFT_ERR_NOT_FOUND, "the program %s, which decodes media, is missing: install it beside weft or name its folder in WEFT_MEDIA",
                     name);
}

/* ---- starting and stopping -------------------------------------------------------------------------------------- */

static weft_status spawn(weft_media_process *process, const char *path, const char *name, int theirs, const weft_media_limits *limits,
                         weft_error *err) {
    char memory[64], cpu[64], library_path[PATH_MAX];
    snprintf(memory, sizeof memory, "--memory=%lld", (long long)limits->memory_max);
    snprintf(cpu, sizeof cpu, "--cpu=%lld", (long long)limits->cpu_seconds_max);
    char *arguments[] = {(char *)name, memory, cpu, NULL};
    char *environment[4] = {"LC_ALL=C", "TZ=UTC0", NULL, NULL};
    const char *libraries = getenv("LD_LIBRARY_PATH"); /* the loader's, before the program's first line */
    if (libraries && snprintf(library_path, sizeof library_path, "LD_LIBRARY_PATH=%s", libraries) < (int)sizeof library_path)
        environment[2] = library_path;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, theirs, WEFT_WIRE_FD);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
#ifndef __SANITIZE_ADDRESS__ /* whose findings go to the error output */
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
#endif
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int code = posix_spawn(&process->pid, path, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (code == 0) return WEFT_OK;
    process->pid = 0;
    return weft_fail(err, WEFT_ERR_IO, "%s: cannot start: %s", path, strerror(code));
}

weft_status weft_media_process_start(weft_media_process *process, const char *name, const weft_media_limits *limits,
                                     weft_error *err) {
    char path[PATH_MAX];
    int ends[2];
    process->pid = 0;
    process->running = false;
    process->guards = 0;
    process->greeted = false;
    weft_wire_reader_init(&process->reader);
    WEFT_TRY(weft_media_program(name, path, sizeof path, err));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return weft_fail(err, WEFT_ERR_IO, "media: no socket for a worker: %s", strerror(errno));
    for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    weft_status status = spawn(process, path, name, ends[1], limits, err);
    close(ends[1]);
    process->running = status == WEFT_OK;
    if (status == WEFT_OK)
        process->socket = ends[0];
    else
        close(ends[0]);
    return status;
}

void weft_media_process_adopt(weft_media_process *process, int socket) {
    process->pid = 0;
    process->running = true;
    process->greeted = false;
    process->guards = 0;
    process->socket = socket;
    fcntl(socket, F_SETFL, O_NONBLOCK);
    weft_wire_reader_init(&process->reader);
}

bool weft_media_process_running(const weft_media_process *process) { return process->running; }

void weft_media_process_stop(weft_media_process *process) {
    if (!process->running) return;
    if (process->pid > 0) kill(process->pid, SIGKILL);
    close(process->socket);
    while (process->pid > 0 && waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {}
    weft_wire_reader_next(&process->reader);
    process->pid = 0;
    process->running = false;
}

/* ---- how it ended ----------------------------------------------------------------------------------------------- */

static weft_status explain_end(int how, weft_error *err) {
    int signal = WIFSIGNALED(how) ? WTERMSIG(how) : WIFEXITED(how) && WEXITSTATUS(how) > 128 ? WEXITSTATUS(how) - 128 : 0;
    switch (signal) {
    case 0: break;
    case SIGSYS:
        return weft_fail(err, WEFT_ERR_FORMAT, "the decoder was stopped by its sandbox: it tried something that decoding does not need");
    case SIGXCPU: return weft_fail(err, WEFT_ERR_LIMIT, "the decoder used up its processor time");
    case SIGKILL:
        return weft_fail(err, WEFT_ERR_LIMIT, "the decoder was killed: its processor time or the machine's memory was used up");
    default:
        return weft_fail(err, WEFT_ERR_FORMAT, "the decoder crashed on this file (signal %d); nothing else is harmed", signal);
    }
    int code = WIFEXITED(how) ? WEXITSTATUS(how) : 0;
    if (code == 127) return weft_fail(err, WEFT_ERR_INTERNAL, "the decoder cannot start: a shared library is missing");
    return weft_fail(err, WEFT_ERR_INTERNAL, "the decoder ended (exit status %d)", code);
}

/* Its socket has closed: waits for the exit status, a little. */
static weft_status end_of(weft_media_process *process, weft_error *err) {
    double deadline = weft_now_ms() + END_WAIT_MS;
    int how = 0;
    pid_t got = 0;
    while (process->pid > 0 && (got = waitpid(process->pid, &how, WNOHANG)) == 0 && weft_now_ms() < deadline) poll(NULL, 0, 1);
    if (got <= 0) {
        weft_media_process_stop(process);
        return weft_fail(err, WEFT_ERR_INTERNAL, "the decoder hung up");
    }
    close(process->socket);
    process->pid = 0;
    process->running = false;
    weft_wire_reader_next(&process->reader);
    return explain_end(how, err);
}

/* ---- records ---------------------------------------------------------------------------------------------------- */

weft_status weft_media_process_send(weft_media_process *process, const weft_wire *wire, int fd, weft_error *err) {
    weft_error cause;
    if (weft_wire_send(process->socket, wire, NULL, fd, &cause) == WEFT_OK) return WEFT_OK;
    return end_of(process, err);
}

static weft_status failure_of(const weft_wire_reader *record, weft_error *err) {
    char text[512];
    size_t length = record->wire.extra < sizeof text - 1 ? record->wire.extra : sizeof text - 1;
    for (size_t i = 0; i < length; i++) text[i] = record->bytes[i] >= 0x20 && record->bytes[i] < 0x7F ? record->bytes[i] : '?';
    text[length] = 0;
    int64_t status = record->wire.n[0];
    if (status < WEFT_ERR_INVALID || status > WEFT_ERR_INTERNAL) status = WEFT_ERR_FORMAT;
    return weft_fail(err, (weft_status)status, "%s", text[0] ? text : "the decoder gives no reason");
}

weft_status weft_media_process_receive(weft_media_process *process, int timeout_ms, const weft_wire_reader **record,
                                       weft_error *err) {
    double deadline = weft_now_ms() + timeout_ms;
    weft_wire_reader *reader = &process->reader;
    *record = NULL;
    for (;;) {
        bool complete = false;
        weft_error cause;
        if (reader->got >= sizeof reader->wire && reader->got == sizeof reader->wire + reader->wire.extra)
            weft_wire_reader_next(reader);
        weft_status status = weft_wire_receive(process->socket, reader, false, &complete, &cause);
        if (status == WEFT_ERR_IO) return end_of(process, err);
        if (status != WEFT_OK) {
            weft_media_process_stop(process);
            return weft_fail(err, WEFT_ERR_FORMAT, "the decoder broke its protocol: %s", cause.message);
        }
        if (complete && !process->greeted) {
            if (reader->wire.type != WEFT_WIRE_HELLO || reader->wire.n[0] != WEFT_WIRE_VERSION) {
                weft_media_process_stop(process);
                return weft_fail(err, WEFT_ERR_INTERNAL, "the media worker is of another version than weft: install both together");
            }
            process->greeted = true;
            process->guards = (unsigned)reader->wire.n[1];
            continue;
        }
        if (complete && reader->wire.type == WEFT_WIRE_FAILED) return failure_of(reader, err);
        if (complete) {
            *record = reader;
            return WEFT_OK;
        }
        double left = timeout_ms < 0 ? 1000 : deadline - weft_now_ms();
        if (timeout_ms == 0 || left < 0) return WEFT_OK;
        struct pollfd wait = {.fd = process->socket, .events = POLLIN};
        if (poll(&wait, 1, (int)left + 1) < 0 && errno != EINTR) return weft_fail(err, WEFT_ERR_IO, "media: poll: %s", strerror(errno));
    }
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

#ifdef MFD_ALLOW_SEALING
static int anonymous_file(void) { return memfd_create("weft-media", MFD_CLOEXEC | MFD_ALLOW_SEALING); }
static bool seal(int fd, bool writable) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (writable ? 0 : F_SEAL_WRITE)) == 0;
}
#else /* systems without memfd: a file without a name, which a hostile worker could shrink */
static int anonymous_file(void) {
    char path[] = "/tmp/weft-media-XXXXXX";
    int fd = mkstemp(path);
    if (fd >= 0) unlink(path);
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}
static bool seal(int fd, bool writable) { return (void)fd, (void)writable, true; }
#endif

weft_status weft_media_share(size_t size, int *fd, const uint8_t **view, weft_error *err) {
    *view = NULL;
    *fd = anonymous_file();
    if (*fd >= 0 && ftruncate(*fd, (off_t)size) == 0 && seal(*fd, true)) {
        void *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, *fd, 0);
        if (memory != MAP_FAILED) {
            *view = memory;
            return WEFT_OK;
        }
    }
    weft_fail(err, WEFT_ERR_MEMORY, "media: no shared memory of %zu bytes: %s", size, strerror(errno));
    if (*fd >= 0) close(*fd);
    *fd = -1;
    return WEFT_ERR_MEMORY;
}

weft_status weft_media_memory(const void *bytes, size_t size, const char *what, int *out, weft_error *err) {
    int fd = anonymous_file();
    size_t done = 0;
    while (fd >= 0 && done < size) {
        ssize_t written = write(fd, (const char *)bytes + done, size - done);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        done += (size_t)written;
    }
    if (fd >= 0 && done == size && seal(fd, false)) {
        *out = fd;
        return WEFT_OK;
    }
    weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory for %zu bytes: %s", what, size, strerror(errno));
    if (fd >= 0) close(fd);
    *out = -1;
    return WEFT_ERR_MEMORY;
}
