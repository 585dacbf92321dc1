/* The sandbox of worker programs: see sandbox.h.
 *
 * In this order: descriptors closed, namespaces (user, mount, network, process, IPC, host name), an empty read-only root,
 * no privileges, resource limits, and last a seccomp allow-list, under which a process can compute, ask for memory
 * that is not executable, read what it was handed and answer. Opening files by name is refused with an error, since
 * libraries probe; what only an attacker would call (sockets, new programs, signals to others) ends the process.
 *
 * On systems without these (macOS, the BSDs) a worker still is a process of its own with resource limits, so that a
 * crash or a bomb stays one failed request, but a decoder that was taken over is not confined. */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/media.h"
#include "media/protocol.h"

#ifdef __SANITIZE_ADDRESS__ /* its shadow needs terabytes of address space; it reports through files and signals */
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif

static bool limit(int what, rlim_t value) {
    struct rlimit both = {value, value};
    return setrlimit(what, &both) == 0;
}

static bool set_limits(int64_t memory_max, int64_t cpu_seconds_max, bool threads) {
    bool done = limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NOFILE, 32);
    if (memory_max > 0 && !UNDER_SANITIZER) done = limit(RLIMIT_AS, (rlim_t)memory_max) && done;
    if (cpu_seconds_max > 0) done = limit(RLIMIT_CPU, (rlim_t)cpu_seconds_max) && done;
#ifdef RLIMIT_NPROC
    if (!UNDER_SANITIZER && !threads) done = limit(RLIMIT_NPROC, 0) && done;
#else
    (void)threads;
#endif
    return done;
}

#ifdef __linux__
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void close_descriptors(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, WEFT_WIRE_FD + 1, ~0U, 0) == 0) return;
#endif
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = WEFT_WIRE_FD + 1; fd < (most > 0 && most < 65536 ? most : 65536); fd++) close(fd);
}

/* ---- namespaces ------------------------------------------------------------------------------------------------- */

/* An empty, read-only file system as root; the old one is out of reach. Needs the new mount namespace. */
static bool empty_root(void) {
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return false;
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    static const char *const places[] = {"/proc", "/tmp", "/dev", "/var"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (mount("none", places[i], "tmpfs", flags, "size=4k,mode=555") == 0)
            return chdir(places[i]) == 0 && chroot(".") == 0 && chdir("/") == 0;
    return false;
}

/* The process namespace begins with the next child: the parent stays behind, waits and passes its end on. */
static unsigned enter_process_namespace(void) {
    if (unshare(CLONE_NEWPID) != 0) return 0;
    int alive[2];
    if (pipe(alive) != 0) return 0;
    pid_t child = fork();
    if (child < 0) _exit(WEFT_SANDBOX_EXIT);
    if (child > 0) {
        int how = 0;
        close(WEFT_WIRE_FD);
        close(alive[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        while (waitpid(child, &how, 0) < 0 && errno == EINTR) {}
        _exit(WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how));
    }
    close(alive[1]);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    /* a parent that died before the line above sends no signal, but has let go of the pipe */
    fcntl(alive[0], F_SETFL, O_NONBLOCK);
    char byte;
    if (read(alive[0], &byte, 1) == 0) _exit(WEFT_SANDBOX_EXIT);
    close(alive[0]);
    return WEFT_GUARD_PROCESSES;
}

static unsigned enter_namespaces(void) {
    unsigned guards = 0;
    if (unshare(CLONE_NEWUSER) == 0) guards |= WEFT_GUARD_USERS;
    if (unshare(CLONE_NEWNS) == 0 && empty_root()) guards |= WEFT_GUARD_MOUNTS;
    if (unshare(CLONE_NEWNET) == 0) guards |= WEFT_GUARD_NETWORK;
    (void)!unshare(CLONE_NEWIPC);
    (void)!unshare(CLONE_NEWUTS);
    return guards | enter_process_namespace();
}

/* ---- privileges ------------------------------------------------------------------------------------------------- */

static bool drop_privileges(void) {
    for (int capability = 0; capability < 64; capability++) (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    bool dropped = syscall(SYS_capset, &header, none) == 0;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && dropped;
}

/* ---- system calls ----------------------------------------------------------------------------------------------- */

static bool allow_calls(scmp_filter_ctx filter, bool threads) {
    static const int always[] = {
        SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(close),
        SCMP_SYS(fstat), SCMP_SYS(fstat64), SCMP_SYS(newfstatat), SCMP_SYS(poll), SCMP_SYS(ppoll),
        SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
        SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(restart_syscall),
        SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(gettimeofday), SCMP_SYS(time),
        SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(nanosleep), SCMP_SYS(getrandom),
        SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrusage),
        SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
        SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
    };
    static const struct {
        int call, error;
    } refused[] = { /* asked by libraries that can do without */
        {SCMP_SYS(open), EACCES},      {SCMP_SYS(openat), EACCES}, {SCMP_SYS(access), EACCES},       {SCMP_SYS(faccessat), EACCES},
        {SCMP_SYS(faccessat2), EACCES}, {SCMP_SYS(stat), EACCES},  {SCMP_SYS(lstat), EACCES},        {SCMP_SYS(statx), ENOSYS},
        {SCMP_SYS(readlink), EACCES},  {SCMP_SYS(readlinkat), EACCES}, {SCMP_SYS(getcwd), EACCES},   {SCMP_SYS(ioctl), ENOTTY},
        {SCMP_SYS(prctl), EPERM},      {SCMP_SYS(sysinfo), EPERM}, {SCMP_SYS(uname), EPERM},         {SCMP_SYS(getrlimit), EPERM},
        {SCMP_SYS(prlimit64), EPERM},  {SCMP_SYS(clone3), ENOSYS},
        {SCMP_SYS(sched_getparam), EPERM}, {SCMP_SYS(sched_getscheduler), EPERM}, {SCMP_SYS(fcntl), EPERM},
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, always[i], 0);
        ok = ok && (code == 0 || code == -EDOM); /* EDOM: no such call on this machine */
    }
    /* a new process is refused; where threads may be, everything but a thread */
    ok = ok && (threads ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0))
                        : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 0)) == 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!UNDER_SANITIZER || refused[i].call == SCMP_SYS(clone3))
            ok = seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)refused[i].error), refused[i].call, 0) == 0 && ok;
        else
            ok = seccomp_rule_add(filter, SCMP_ACT_ALLOW, refused[i].call, 0) == 0 && ok;
    const scmp_datum_t thread = CLONE_VM | CLONE_THREAD; /* clone3, whose flags cannot be seen here, is refused: glibc then takes clone */
    if (threads) ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread)) == 0;
    /* memory never becomes executable; records go over one socket; a signal reaches nobody else (abort) */
    const struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0), own_socket = SCMP_A0(SCMP_CMP_EQ, WEFT_WIRE_FD, 0),
                              myself = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
    ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, data) == 0;
    (void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap2), 1, data);
    ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, data) == 0;
    ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), 1, own_socket) == 0;
    ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 1, own_socket) == 0;
    return ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, myself) == 0;
}

static bool filter_calls(bool threads) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool done = filter && allow_calls(filter, threads) && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return done;
}

unsigned weft_sandbox_enter(int64_t memory_max, int64_t cpu_seconds_max, bool threads) {
    close_descriptors();
    unsigned guards = enter_namespaces();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* again: new credentials forget it */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (drop_privileges()) guards |= WEFT_GUARD_PRIVILEGES;
    if (set_limits(memory_max, cpu_seconds_max, threads)) guards |= WEFT_GUARD_LIMITS;
    clearenv();
    if (!(guards & WEFT_GUARD_LIMITS) || !filter_calls(threads)) _exit(WEFT_SANDBOX_EXIT);
    return guards | WEFT_GUARD_CALLS;
}

#else /* not Linux: a process of its own, with limits, and no more */

unsigned weft_sandbox_enter(int64_t memory_max, int64_t cpu_seconds_max, bool threads) {
    for (int fd = WEFT_WIRE_FD + 1; fd < 4096; fd++) close(fd);
    return set_limits(memory_max, cpu_seconds_max, threads) ? WEFT_GUARD_LIMITS : 0;
}

#endif
