/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Why a list of what is forbidden: a list of what is allowed breaks on another C library, on the
 * next version of libevent or OpenSSL, and does so under load, on a path that no test took. What a
 * server that only accepts, reads, writes and packs can never need is known and stays known. For
 * the same reason a call fails (EPERM) and does not end the program.
 *
 * It works on threads, not on the process, and so comes after all of them are there; threads that
 * start later have it from those that start them. */
#include "server/sandbox.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/attrs.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static const char *const forbidden[] = {
    /* other programs, and other programs' memory */
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "pidfd_getfd", "kcmp",
    /* to anybody else: what listens was opened before */
    "socket", "connect", "bind", "listen",
    /* the view of the file system, and ways around it */
    "mount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig",
    "fspick", "pivot_root", "chroot", "name_to_handle_at", "open_by_handle_at", "mknod", "mknodat",
    /* the kernel */
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf",
    "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "syslog", "acct", "quotactl", "reboot", "swapon", "swapoff", "iopl", "ioperm", "personality",
    /* the machine's clock and name */
    "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname", "setdomainname",
    /* other privileges */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
    "setgroups", "capset", "unshare", "setns", "add_key", "request_key", "keyctl",
};

static const char *const makers_of_executable_memory[] = {"mmap", "mprotect", "pkey_mprotect"};

void sandbox_begin(void)
{
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* an old kernel has none: nothing is lost */
}

/* A name that this machine's kernel does not have cannot be called either. */
static int forbid(scmp_filter_ctx filter, const char *name, int error,
                  const struct scmp_arg_cmp *when)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) return 0;
    return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)error), number,
                                  when != NULL ? 1 : 0, when);
}

/* Threads may start, processes may not. clone3 hides what it is asked in memory: without it the C
 * library falls back to clone. */
static int forbid_processes(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp no_thread = SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    int error = forbid(filter, "clone", EPERM, &no_thread);
    return error != 0 ? error : forbid(filter, "clone3", ENOSYS, NULL);
}

static int forbid_executable_memory(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp executable = SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
    int error = 0;
    for (size_t i = 0; i < FP_COUNT_OF(makers_of_executable_memory) && error == 0; i++)
        error = forbid(filter, makers_of_executable_memory[i], EPERM, &executable);
    return error;
}

static int build(scmp_filter_ctx filter)
{
    int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; i < FP_COUNT_OF(forbidden) && error == 0; i++)
        error = forbid(filter, forbidden[i], EPERM, NULL);
    if (error == 0) error = forbid_processes(filter);
    if (error == 0) error = forbid_executable_memory(filter);
    return error != 0 ? error : seccomp_load(filter);
}

enum fp_status sandbox_enter(char reason[SANDBOX_REASON_BYTES])
{
    if (SANITIZED) {
        snprintf(reason, SANDBOX_REASON_BYTES,
                 "this build has a sanitizer, whose reports start other programs");
        return FP_IO;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int error = filter == NULL ? -ENOMEM : build(filter);
    if (filter != NULL) seccomp_release(filter);
    if (error == 0) return FP_OK;
    snprintf(reason, SANDBOX_REASON_BYTES, "the system refuses it: %s", strerror(-error));
    return FP_IO;
}

/* --- for tests -------------------------------------------------------------------------------- */

#if FARPAGE_DEBUG_HOOKS
/* Each harmless where it is allowed: it fails for another reason, or is undone. */
static long try_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) close(fd);
    return fd;
}

static long try_executable_memory(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) munmap(at, 4096);
    return at != MAP_FAILED ? 0 : -1;
}

static long try_to_make_memory_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return -1;
    long result = mprotect(at, 4096, PROT_READ | PROT_EXEC);
    int error = errno;
    munmap(at, 4096);
    errno = error;
    return result;
}

static long try_execve(void)
{
    return syscall(SYS_execve, "/nowhere/to/be/found", NULL, NULL);
}

static long try_process(void)
{
    return syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0); /* without CLONE_VM: not possible */
}

static long try_ptrace(void)
{
    return syscall(SYS_ptrace, -1, 0, 0, 0);
}

static long try_mount(void)
{
    return syscall(SYS_mount, NULL, NULL, NULL, 0, NULL);
}

static long try_unshare(void)
{
    return syscall(SYS_unshare, 0);
}

static long try_setuid(void)
{
    return syscall(SYS_setresuid, -1, -1, -1);
}

static long try_bpf(void)
{
    return syscall(SYS_bpf, -1, NULL, 0);
}

void sandbox_misbehave(void (*tell)(void *context, const char *what, int error), void *context)
{
    static const struct {
        const char *what;
        long (*run)(void);
    } tries[] = {
        {"execve", try_execve},   {"process", try_process}, {"ptrace", try_ptrace},
        {"socket", try_socket},   {"mount", try_mount},     {"unshare", try_unshare},
        {"setuid", try_setuid},   {"bpf", try_bpf},         {"mmap", try_executable_memory},
        {"mprotect", try_to_make_memory_executable},
    };
    for (size_t i = 0; i < FP_COUNT_OF(tries); i++) {
        errno = 0;
        tell(context, tries[i].what, tries[i].run() < 0 ? errno : 0);
    }
}
#endif
