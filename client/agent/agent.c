/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life: constructor, before main -> hello and welcome -> the thread is started -> (fork: the parent
 * has eviction frozen from before the fork until after it; the child begins again, with the same
 * hello) -> exec or exit, which end the thread without a word.
 *
 * A program whose pager does not want it runs on as if we were not there, unless memory of it is
 * missing: a forked child's, where the kernel did not give the pager its userfaultfd. */
#include "client/agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/attrs.h"
#include "client/agent/calls.h"

enum { STACK_BYTES = 32768, TLS_BYTES = 8192, STDERR = 2 };
enum { USER_MODE_ONLY = 1 };
#define DEVICE_NEW_CALL 0xaa00u /* USERFAULTFD_IOC_NEW */

static struct {
    _Atomic(struct agent_ring *) ring; /* NULL: there is no pager, or it does not want us */
    enum agent_how how;
    uint8_t token[AGENT_TOKEN_BYTES];
    struct sockaddr_un address;
    uint64_t id;
    uint64_t own_from, own_to; /* this library in memory */
    _Atomic uint32_t forks, forking; /* forking: 0 nobody, 1 a thread, 2 and others wait */
    sigset_t held;                   /* signals of the thread that forks */
} agent;

FP_PRINTF(1, 2) static void say(const char *format, ...)
{
    char line[256];
    va_list values;
    va_start(values, format);
    int bytes = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (bytes > 0) (void)!write(STDERR, line, bytes < 256 ? (size_t)bytes : 255);
}

/* --- locks of a futex, for threads that have all signals blocked ---------------------------- */

static void lock_take(_Atomic uint32_t *lock)
{
    uint32_t free = 0;
    if (atomic_compare_exchange_strong(lock, &free, 1)) return;
    while (atomic_exchange(lock, 2) != 0) futex_wait(lock, 2, 0);
}

static void lock_drop(_Atomic uint32_t *lock)
{
    if (atomic_exchange(lock, 0) == 2) futex_wake(lock, 1);
}

/* --- asks ----------------------------------------------------------------------------------- */

uint64_t agent_announces_from(void)
{
    const struct agent_ring *ring = atomic_load_explicit(&agent.ring, memory_order_relaxed);
    uint32_t pages = ring == NULL ? 0 : atomic_load_explicit(&ring->announce_pages,
                                                             memory_order_relaxed);
    return pages == 0 ? UINT64_MAX : (uint64_t)pages * AGENT_PAGE_BYTES;
}

void agent_ask(enum agent_ask_kind kind, uint64_t from, uint64_t bytes, uint32_t fork)
{
    struct agent_ring *ring = atomic_load(&agent.ring);
    if (ring == NULL) return;
    struct agent_ask *ask = &ring->ask;
    uint64_t all = UINT64_MAX, before = 0; /* a handler that asks too would wait for itself */
    (void)CALL(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    lock_take(&ask->lock);
    ask->from = from;
    ask->bytes = bytes;
    ask->fork = fork;
    ask->kind = kind;
    uint32_t number = atomic_fetch_add(&ask->asked, 1) + 1, answered;
    atomic_fetch_add(&ring->doorbell, 1);
    if (atomic_load(&ring->asleep) != 0) futex_wake(&ring->doorbell, 1);
    while ((answered = atomic_load(&ask->answered)) != number)
        futex_wait(&ask->answered, answered, 0);
    lock_drop(&ask->lock);
    (void)CALL(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before);
}

/* --- hello ---------------------------------------------------------------------------------- */

static int make_uffd(void)
{
    int flags = O_CLOEXEC | O_NONBLOCK;
    if (agent.how == AGENT_USER_MODE) flags |= USER_MODE_ONLY;
    if (agent.how != AGENT_BY_DEVICE) return (int)syscall(SYS_userfaultfd, flags);
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0) return -1;
    int uffd = ioctl(device, DEVICE_NEW_CALL, flags);
    int error = errno;
    close(device);
    errno = error;
    return uffd;
}

enum { ROOM_BYTES = AGENT_STAGE_BYTES + AGENT_TRASH_BYTES };

/* Where pages go that are about to leave. 0 where there is no room for it. */
static uint64_t map_stage(void)
{
    void *stage = mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stage == MAP_FAILED) return 0;
    bool good = madvise(stage, ROOM_BYTES, MADV_DONTFORK) == 0;
    (void)madvise(stage, ROOM_BYTES, MADV_NOHUGEPAGE); /* as well */
    if (!good) (void)munmap(stage, ROOM_BYTES);
    return good ? (uint64_t)(uintptr_t)stage : 0;
}

static void close_all(int count, const int fds[])
{
    for (int i = 0; i < count; i++) {
        if (fds[i] >= 0) close(fds[i]);
    }
}

/* What the hello brings: all of it, or none and the reason in hello->error. */
static void make_gifts(struct agent_hello *hello, int gifts[AGENT_GIFTS])
{
    for (int i = 0; i < AGENT_GIFTS && hello->error == 0; i++) {
        gifts[i] = make_uffd();
        if (gifts[i] < 0) hello->error = errno;
    }
    if (hello->error == 0) hello->stage_from = map_stage();
    if (hello->error == 0 && hello->stage_from == 0) hello->error = ENOMEM;
    if (hello->error == 0) return;
    close_all(AGENT_GIFTS, gifts);
    for (int i = 0; i < AGENT_GIFTS; i++) gifts[i] = -1;
}

static int call_pager(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int result;
    do result = connect(fd, (struct sockaddr *)&agent.address, sizeof agent.address);
    while (result != 0 && errno == EINTR);
    if (result == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(AGENT_FDS * sizeof(int))];
};

static bool send_hello(int socket, const struct agent_hello *hello, const int gifts[AGENT_GIFTS])
{
    enum { BYTES = AGENT_GIFTS * sizeof(int) };
    union control control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)hello, sizeof *hello};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (gifts[0] >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(BYTES);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(BYTES);
        memcpy(CMSG_DATA(head), gifts, BYTES);
    }
    ssize_t sent;
    do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == sizeof *hello;
}

/* fds are -1 where they did not come. */
static bool take_welcome(int socket, struct agent_welcome *welcome, int fds[AGENT_FDS])
{
    union control control;
    struct iovec part = {welcome, sizeof *welcome};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = CMSG_LEN(AGENT_FDS * sizeof(int))};
    ssize_t got;
    do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    for (int i = 0; i < AGENT_FDS; i++) fds[i] = -1;
    if (got != sizeof *welcome || welcome->magic != AGENT_MAGIC) return false;
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    return true;
}

/* --- the thread ----------------------------------------------------------------------------- */

/* Memory of neither this process's nor a child's own. NULL: there is none. */
static void *map_apart(size_t bytes, int fd)
{
    int flags = MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED) return NULL;
    (void)madvise(memory, bytes, MADV_DONTFORK);
    (void)mlock(memory, bytes); /* as well, where that is allowed */
    return memory;
}

/* The thread's own stack, struct and the little that code of libc may want of a thread. */
static bool start_thread(const struct agent_thread *as)
{
    uint8_t *memory = map_apart(STACK_BYTES + TLS_BYTES, -1);
    if (memory == NULL) return false;
    uint8_t *tls = memory + STACK_BYTES + TLS_BYTES / 2;
    uint64_t self = (uint64_t)(uintptr_t)tls;
    memcpy(tls, &self, sizeof self); /* of x86-64: the thread's pointer to itself */
    struct agent_thread *thread = (void *)(memory + STACK_BYTES - 256);
    *thread = *as;
    uint64_t all = UINT64_MAX, before = 0;
    (void)CALL(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    int tid = clone(agent_thread_main, thread,
                    CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                        CLONE_SETTLS,
                    thread, NULL, tls, NULL);
    (void)CALL(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before);
    if (tid < 0) (void)munmap(memory, STACK_BYTES + TLS_BYTES);
    return tid >= 0;
}

/* What was given and what the welcome brought become a thread. False with errno. */
static bool settle(int socket, uint64_t stage_from, const int gifts[AGENT_GIFTS],
                   const int fds[AGENT_FDS])
{
    struct agent_thread thread = {
        .socket = socket, .bell = fds[AGENT_FD_BELL], .trash = gifts[AGENT_GIFT_TRASH],
        .stage_from = stage_from,
        .uffd = fds[AGENT_FD_UFFD] >= 0 ? fds[AGENT_FD_UFFD] : gifts[AGENT_GIFT_UFFD]};
    if (fds[AGENT_FD_RING] < 0 || thread.bell < 0 || thread.uffd < 0) {
        errno = EPROTO;
        return false;
    }
    thread.ring = map_apart(sizeof *thread.ring, fds[AGENT_FD_RING]);
    if (thread.ring == NULL) return false;
    if (!start_thread(&thread)) {
        int error = errno;
        (void)munmap(thread.ring, sizeof *thread.ring);
        errno = error;
        return false;
    }
    atomic_store(&agent.ring, thread.ring);
    return true;
}

/* Says hello and lives by the answer. `parent` and `fork` are 0 for a program that just began. */
static enum agent_verdict enter(uint64_t parent, uint32_t fork)
{
    struct agent_hello hello = {
        .magic = AGENT_MAGIC, .version = AGENT_VERSION, .pid = getpid(), .parent = parent,
        .fork = fork, .own_from = agent.own_from, .own_to = agent.own_to};
    memcpy(hello.token, agent.token, sizeof hello.token);
    int gifts[AGENT_GIFTS] = {-1, -1}, fds[AGENT_FDS];
    make_gifts(&hello, gifts);
    enum agent_verdict verdict = AGENT_UNWANTED;
    int socket = call_pager(); /* who calls is expected to speak at once */
    if (socket < 0) say("farpage: the pager cannot be reached: %s\n", strerror(errno));
    struct agent_welcome welcome = {0};
    if (socket >= 0 && send_hello(socket, &hello, gifts) && take_welcome(socket, &welcome, fds)) {
        verdict = (enum agent_verdict)welcome.verdict;
        agent.id = welcome.id;
        if (verdict == AGENT_TAKEN && !settle(socket, hello.stage_from, gifts, fds)) {
            say("farpage: the agent cannot start: %s\n", strerror(errno));
            verdict = AGENT_UNWANTED;
        }
        close_all(AGENT_FDS, fds);
    }
    if (verdict != AGENT_TAKEN && hello.stage_from != 0)
        (void)munmap((void *)(uintptr_t)hello.stage_from, ROOM_BYTES);
    close_all(1, &socket);
    close_all(AGENT_GIFTS, gifts);
    return verdict;
}

/* --- fork ----------------------------------------------------------------------------------- */

static void before_fork(void)
{
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    lock_take(&agent.forking);
    agent.held = before;
    agent_ask(AGENT_ASK_FREEZE, 0, 0, atomic_fetch_add(&agent.forks, 1) + 1);
}

static void after_fork_in_parent(void)
{
    sigset_t before = agent.held;
    agent_ask(AGENT_ASK_THAW, 0, 0, 0);
    lock_drop(&agent.forking);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void after_fork_in_child(void)
{
    sigset_t before = agent.held;
    atomic_store(&agent.forking, 0);
    if (atomic_exchange(&agent.ring, NULL) != NULL) { /* not there any more: it is not forked */
        uint32_t fork = atomic_exchange(&agent.forks, 0);
        enum agent_verdict verdict = enter(agent.id, fork);
        if (verdict == AGENT_UNWANTED) {
            (void)kill(getpid(), SIGKILL);
            _exit(137);
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- the beginning -------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False where it is not of our version, or none of it makes sense. */
static bool read_variable(const char *text)
{
    static const char version[] = "1 ";
    _Static_assert(AGENT_VERSION == 1, "the text says so");
    enum { HOW_AT = 2, TOKEN_AT = 4, SOCKET_AT = TOKEN_AT + 2 * AGENT_TOKEN_BYTES + 1 };
    if (strncmp(text, version, 2) != 0 || strnlen(text, SOCKET_AT + 1) <= SOCKET_AT) return false;
    agent.how = (enum agent_how)text[HOW_AT];
    for (int i = 0; i < AGENT_TOKEN_BYTES; i++) {
        int high = digit(text[TOKEN_AT + 2 * i]), low = digit(text[TOKEN_AT + 2 * i + 1]);
        if (high < 0 || low < 0) return false;
        agent.token[i] = (uint8_t)(high * 16 + low);
    }
    agent.address.sun_family = AF_UNIX;
    size_t bytes = strnlen(text + SOCKET_AT, sizeof agent.address.sun_path);
    if (bytes == sizeof agent.address.sun_path) return false;
    memcpy(agent.address.sun_path, text + SOCKET_AT, bytes);
    return true;
}

/* Of every object in memory: is it this library? */
static int find_own(struct dl_phdr_info *object, size_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    uint64_t from = UINT64_MAX, to = 0, here = (uint64_t)(uintptr_t)&agent;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_LOAD) continue;
        uint64_t begins = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
        uint64_t ends = begins + object->dlpi_phdr[i].p_memsz;
        from = begins < from ? begins : from;
        to = ends > to ? ends : to;
    }
    if (here < from || here >= to) return 0;
    agent.own_from = from & ~(uint64_t)(AGENT_PAGE_BYTES - 1);
    agent.own_to = (to + AGENT_PAGE_BYTES - 1) & ~(uint64_t)(AGENT_PAGE_BYTES - 1);
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *variable = getenv(AGENT_VARIABLE);
    if (variable == NULL) return;
    if (!read_variable(variable)) {
        say("farpage: $" AGENT_VARIABLE " is of another version: this program is not paged\n");
        return;
    }
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
        say("farpage: out of memory: this program is not paged\n");
        return;
    }
    (void)dl_iterate_phdr(find_own, NULL);
    (void)enter(0, 0);
}
