/* Workers that were taken over: what each tries is stopped, and the answer tells by what.
 *
 * The stand-ins are the real programs around hostile deeds (misbehave.c, misbehave_pdf.c), in the folder that
 * WEFT_MISBEHAVE names; in WEFT_UNFILTERED the same without the filter of system calls, so that what stands behind it
 * is seen. All is done four times: as this user; where the kernel refuses namespaces; as a user without rights, where
 * this one is root; without the filter. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/document.h"
#include "media/media.h"
#include "testing.h"

#ifdef __SANITIZE_ADDRESS__ /* may open files and map terabytes, and has signals of its own */
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

typedef enum program { PICTURES, HEIF, PDF, PROGRAMS } program;
static const char *const names[PROGRAMS] = {"weft-media", "weft-media-heif", "weft-pdf"};
static const struct {
    const char *bytes;
    size_t size;
} magic[PROGRAMS] = {{"\xFF\xD8\xFF", 3},
                     {"\0\0\0\x0C"
                      "ftypheic",
                      12},
                     {"%PDF-", 5}};

static bool have[PROGRAMS]; /* was built */
static pid_t victim;        /* a process of this test to be hurt */

static int file_with(program program, const char *deed) {
    char bytes[96];
    int fd = -1;
    weft_error err;
    memcpy(bytes, magic[program].bytes, magic[program].size);
    size_t size = magic[program].size + (size_t)snprintf(bytes + magic[program].size, 64, "%s", deed);
    CHECK_OK(weft_media_memory(bytes, size, "test", &fd, &err), err);
    return fd;
}

/* Lets a fresh worker do one deed. *guards: what protected it (pictures only). */
static weft_status perform(program program, const char *deed, const weft_media_limits *limits, unsigned *guards,
                           weft_error *err) {
    int fd = file_with(program, deed);
    weft_status status;
    if (program == PDF) {
        weft_document *document = NULL;
        status = weft_document_open(fd, NULL, limits, &document, NULL, err);
        weft_document_close(document);
    } else {
        weft_media_session *session;
        weft_image image;
        status = weft_media_session_create(limits, &session, err);
        if (status == WEFT_OK) status = weft_media_read_image(session, fd, &image, err);
        if (guards) *guards = weft_media_guards(session);
        weft_media_session_free(session);
    }
    close(fd);
    return status;
}

/* ---- what is tried ---------------------------------------------------------------------------------------------- */

static const char killed[] =
    "stopped by its sandbox: it tried something that decoding does not need"; /* by the filter */

static const struct {
    const char *deed;
    const char *filtered;   /* the answer of a whole sandbox */
    const char *unfiltered; /* without the filter, in namespaces; NULL: nothing else would stop it */
} table[] = {
    {"open", "open: Permission denied", "open: No such file"},         /* filter; empty root */
    {"create", "create: Permission denied", "create: Read-only file"}, /* filter; the root's mount */
    {"openat2", killed, NULL},
    {"fork", "fork: Operation not permitted", NULL}, /* filter; RLIMIT_NPROC, but not for root */
    {"vfork", "vfork: Operation not permitted", NULL},
    {"exec", killed, "exec: No such file"},                   /* filter; empty root */
    {"internet", killed, "internet: Network is unreachable"}, /* filter; network namespace */
    {"local socket", killed, NULL},
    {"kill", killed, "kill: No such process"}, /* filter; process namespace */
    {"ptrace", killed, "ptrace: No such process"},
    {"spy", killed, "spy: No such process"},
    {"mount", killed, "mount: Operation not permitted"},         /* filter; no capabilities */
    {"namespace", killed, "namespace: Operation not permitted"}, /* filter; a changed root */
    {"root", killed, "root: Operation not permitted"},
    {"user", killed, "user: "}, /* no user 0 in the namespace */
    {"limits", killed, NULL},
    {"uring", killed, NULL},
    {"code", killed, NULL},
    {"turn to code", killed, NULL},
    {"output", killed, "output: File too large"},                                   /* filter; RLIMIT_FSIZE */
    {"memory", "memory: Cannot allocate memory", "memory: Cannot allocate memory"}, /* RLIMIT_AS */
    {"descriptors", "descriptors: Bad file descriptor", "descriptors: Bad file descriptor"},
    {"environment", "environment: Success", "environment: Success"}, /* there is none */
    {"crash", "crashed on this file", "crashed on this file"},
    {"abort", "crashed on this file", "crashed on this file"},
    {"exit", "ended (exit status 7)", "ended (exit status 7)"},
};

static bool only_without_sanitizer(const char *deed) {
    static const char *const deeds[] = {"memory", "crash", "abort", "openat2", "output", "limits", "fork", "vfork"};
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
        if (strcmp(deed, deeds[i]) == 0) return true;
    return false;
}

static void attack_all(const char *where, bool filtered) {
    for (int p = 0; p < PROGRAMS; p++) {
        if (!have[p]) continue;
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            const char *want = filtered ? table[i].filtered : table[i].unfiltered;
            char deed[64];
            weft_error err = {0};
            if (!want || (SANITIZED && only_without_sanitizer(table[i].deed))) continue;
            snprintf(deed, sizeof deed, "%s %d", table[i].deed, (int)victim);
            weft_status status = perform(p, deed, NULL, NULL, &err);
            size_t length = SANITIZED && strchr(want, ':') ? (size_t)(strchr(want, ':') - want) : strlen(want);
            bool told = false;
            for (const char *at = err.message; !told && strlen(at) >= length; at++)
                told = strncmp(at, want, length) == 0;
            CHECK_MSG(status != WEFT_OK && told, "%s, %s: %s: status %d: %s", names[p], where, table[i].deed, status,
                      err.message);
        }
    }
    CHECK_MSG(kill(victim, 0) == 0 || errno == EPERM, "%s: the victim is gone", where);
    CHECK_MSG(access("/weft-was-here", F_OK) != 0, "%s: a file was made", where);
}

/* Threads are what one program may have and the others not. */
static void threads(void) {
    weft_error err = {0};
    if (SANITIZED) return;
    CHECK(perform(PICTURES, "thread", NULL, NULL, &err) == WEFT_ERR_FORMAT &&
          strstr(err.message, "thread: Operation not permitted"));
    CHECK_OK(perform(HEIF, "thread", NULL, NULL, &err), err);
    if (have[PDF])
        CHECK(perform(PDF, "thread", NULL, NULL, &err) == WEFT_ERR_FORMAT &&
              strstr(err.message, "thread: Operation not permitted"));
}

/* Time: of the processor by RLIMIT_CPU, of the clock by the session. */
static void times(void) {
    weft_error err = {0};
    weft_media_limits spin = weft_media_default_limits, hang = weft_media_default_limits;
    spin.cpu_seconds_max = 1;
    hang.seconds_max = 2;
    for (int p = 0; p < PROGRAMS; p++) {
        if (!have[p]) continue;
        CHECK_INT(perform(p, "spin", &spin, NULL, &err), WEFT_ERR_LIMIT);
        CHECK_MSG(strstr(err.message, "processor time"), "%s: %s", names[p], err.message);
        CHECK_INT(perform(p, "hang", &hang, NULL, &err), WEFT_ERR_LIMIT);
        CHECK_MSG(strstr(err.message, "took over 2 seconds"), "%s: %s", names[p], err.message);
    }
}

/* Records that the session did not ask for, or with numbers that cannot be. */
static void lies(void) {
    static const char *const table[][2] = {
        {"huge size", "broke its protocol"},      {"negative size", "broke its protocol"},
        {"no such record", "broke its protocol"}, {"long record", "broke its protocol"},
        {"early done", "broke its protocol"},     {"frames", "broke its protocol"},
        {"flood", "broke its protocol"},          {"message", "???[31ma message"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        weft_error err = {0};
        CHECK_INT(perform(PICTURES, table[i][0], NULL, NULL, &err), WEFT_ERR_FORMAT);
        CHECK_MSG(strstr(err.message, table[i][1]), "%s: %s", table[i][0], err.message);
    }
}

/* After each of them the same session goes on, with the same worker or a fresh one. */
static void recovery(void) {
    static const char *const deeds[] = {"open", "exec", "exit", "huge size", "flood"};
    weft_media_session *session;
    weft_error err;
    weft_image image;
    CHECK_OK(weft_media_session_create(NULL, &session, &err), err);
    for (size_t i = 0; i < 2 * sizeof deeds / sizeof *deeds; i++) {
        int fd = file_with(PICTURES, i % 2 ? "paint" : deeds[i / 2]);
        weft_status status = weft_media_read_image(session, fd, &image, &err);
        CHECK_MSG((status == WEFT_OK) == (i % 2), "%zu: %s", i, err.message);
        if (status == WEFT_OK) CHECK(image.width == 4 && image.height == 2 && image.rgb[0] == 0x5A);
        close(fd);
    }
    weft_media_session_free(session);
}

/* A server that is killed takes its workers along: orphans come to this process, which waits until none is left. */
static void orphans(program program) {
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    fflush(NULL);
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t server = fork();
    if (server == 0) { /* killed while its worker hangs */
        weft_error err;
        perform(program, "hang", NULL, NULL, &err);
        _exit(1);
    }
    usleep(1500000); /* a worker that is not up yet finds a closed socket: also an end */
    kill(server, SIGKILL);
    int ended = 0, others = 0;
    double deadline = weft_now_ms() + 20000;
    for (pid_t got = 0; weft_now_ms() < deadline;) {
        got = waitpid(-1, NULL, WNOHANG);
        if (got < 0) break;
        ended += got > 0;
        others += got > 0 && got != server;
        if (got == 0) usleep(10000);
    }
    CHECK_MSG(waitpid(-1, NULL, WNOHANG) == -1, "%s: %d ended, others live on", names[program], ended);
    CHECK_MSG(others >= 1, "%s", names[program]);
    close(ready[0]);
    close(ready[1]);
}

/* ---- where it is tried ------------------------------------------------------------------------------------------ */

enum { NAMESPACES = WEFT_GUARD_USERS | WEFT_GUARD_MOUNTS | WEFT_GUARD_NETWORK | WEFT_GUARD_PROCESSES };
enum { ALWAYS = WEFT_GUARD_PRIVILEGES | WEFT_GUARD_LIMITS | WEFT_GUARD_CALLS };

static bool kernel_gives_namespaces(void) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) == 0 ? 0 : 1);
    int how = 1;
    waitpid(child, &how, 0);
    return how == 0;
}

static void forbid_namespaces(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    CHECK(filter && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) == 0 &&
          seccomp_load(filter) == 0);
    seccomp_release(filter);
    CHECK(!kernel_gives_namespaces());
}

static bool become_nobody(void) {
    return setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0 &&
           access(getenv("WEFT_MEDIA"), X_OK) == 0;
}

static void whole(void) {
    unsigned guards = 0;
    weft_error err;
    CHECK_OK(perform(PICTURES, "paint", NULL, &guards, &err), err);
    bool given = kernel_gives_namespaces();
    CHECK_MSG((guards & (ALWAYS | (given ? NAMESPACES : 0))) == (unsigned)(ALWAYS | (given ? NAMESPACES : 0)),
              "guards %u", guards);
    printf("namespaces %s: guards %u\n", given ? "given" : "refused by the kernel", guards);
    attack_all("whole", true);
    threads();
    times();
    lies();
    recovery();
}

static void without_namespaces(void) {
    unsigned guards = 0;
    weft_error err;
    if (SANITIZED) return; /* its filter lets files be opened */
    forbid_namespaces();
    CHECK_OK(perform(PICTURES, "paint", NULL, &guards, &err), err);
    CHECK_INT(guards, ALWAYS);
    attack_all("without namespaces", true);
    orphans(PICTURES);
    if (have[PDF]) orphans(PDF);
}

static void as_nobody(void) {
    if (getuid() != 0 || !become_nobody()) {
        printf("as another user: not tried (not root, or the programs are out of its reach)\n");
        return;
    }
    unsigned guards = 0;
    weft_error err;
    CHECK_OK(perform(PICTURES, "paint", NULL, &guards, &err), err);
    CHECK_MSG((guards & ALWAYS) == ALWAYS, "guards %u", guards);
    printf("as user %d: guards %u\n", (int)getuid(), guards);
    attack_all("as nobody", true);
}

static void without_filter(void) {
    if (!kernel_gives_namespaces()) {
        printf("without a filter: not tried, the kernel gives no namespaces\n");
        return;
    }
    setenv("WEFT_MEDIA", getenv("WEFT_UNFILTERED"), 1);
    attack_all("without the filter", false);
}

/* In a process of its own: what it gives up it does not get back. */
static void apart(void (*test)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        testing_passed = testing_failed = 0;
        test();
        int code = testing_summary();
        fflush(NULL);
        _exit(code);
    }
    int how = 1;
    CHECK(waitpid(child, &how, 0) == child && how == 0);
}

int main(void) {
    const char *folder = getenv("WEFT_MISBEHAVE");
    CHECK(folder && getenv("WEFT_UNFILTERED"));
    if (testing_failed) return testing_summary();
    setenv("WEFT_MEDIA", folder, 1);
    for (int p = 0; p < PROGRAMS; p++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[p]);
        have[p] = access(path, X_OK) == 0;
        if (!have[p]) printf("%s: not built here\n", names[p]);
    }
    CHECK(have[PICTURES] && have[HEIF]);
    int leak = dup(1); /* a descriptor that the workers must not have */
    fcntl(leak, F_SETFD, 0);
    victim = fork();
    if (victim == 0)
        for (;;) pause();
    apart(whole);
    apart(without_namespaces);
    apart(as_nobody);
    apart(without_filter);
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    orphans(PICTURES);
    if (have[PDF]) orphans(PDF);
    return testing_summary();
}
