/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/agent/agent_link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/agent/calls.h"

/* --- opening -------------------------------------------------------------------------------- */

/* Nobody can make it shorter under our hands. */
static int make_ring(struct agent_link *link, int *fd)
{
    *fd = memfd_create("farpage-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0) return errno;
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (ftruncate(*fd, sizeof *link->ring) != 0 || fcntl(*fd, F_ADD_SEALS, seals) != 0)
        return errno;
    void *ring = mmap(NULL, sizeof *link->ring, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (ring == MAP_FAILED) return errno;
    link->ring = ring;
    return 0;
}

static int send_welcome(int socket, const struct agent_welcome *welcome, const int fds[AGENT_FDS])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(AGENT_FDS * sizeof(int))];
    } control = {.bytes = {0}};
    size_t count = fds[AGENT_FD_UFFD] >= 0 ? AGENT_FDS : AGENT_FDS - 1;
    struct iovec part = {(void *)(uintptr_t)welcome, sizeof *welcome};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof *welcome ? 0 : errno;
}

int agent_link_open(struct agent_link *link, struct agent_guest *guest, uint64_t id, int uffd)
{
    int fds[AGENT_FDS] = {-1, -1, uffd};
    *link = (struct agent_link){.socket = -1, .bell = -1};
    int error = make_ring(link, &fds[AGENT_FD_RING]);
    if (error == 0) {
        link->bell = fds[AGENT_FD_BELL] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (link->bell < 0) error = errno;
    }
    struct agent_welcome welcome = {.magic = AGENT_MAGIC, .verdict = AGENT_TAKEN, .id = id};
    if (error == 0) error = send_welcome(guest->socket, &welcome, fds);
    if (fds[AGENT_FD_RING] >= 0) close(fds[AGENT_FD_RING]);
    if (error != 0) {
        agent_link_close(link);
        return error;
    }
    link->socket = guest->socket;
    guest->socket = -1;
    return 0;
}

void agent_link_close(struct agent_link *link)
{
    if (link->ring != NULL) (void)munmap(link->ring, sizeof *link->ring);
    if (link->socket >= 0) close(link->socket);
    if (link->bell >= 0) close(link->bell);
    link->ring = NULL;
    link->socket = link->bell = -1;
}

bool agent_link_begun(const struct agent_link *link)
{
    return atomic_load(&link->ring->begun) != 0;
}

/* --- orders --------------------------------------------------------------------------------- */

struct agent_order *agent_link_order(struct agent_link *link)
{
    if (agent_link_under_way(link) == AGENT_ORDERS) return NULL;
    struct agent_order *order = &link->orders[link->written++ % AGENT_ORDERS];
    *order = (struct agent_order){0};
    return order;
}

void agent_link_give(struct agent_link *link)
{
    struct agent_ring *ring = link->ring;
    if (link->given == link->written) return;
    for (; link->given != link->written; link->given++) {
        uint32_t seat = link->given % AGENT_ORDERS;
        ring->orders[seat] = link->orders[seat];
    }
    atomic_store_explicit(&ring->given, link->given, memory_order_release);
    atomic_fetch_add(&ring->doorbell, 1);
    if (atomic_load(&ring->asleep) != 0) futex_wake(&ring->doorbell, 1);
}

uint32_t agent_link_under_way(const struct agent_link *link)
{
    return link->written - link->done;
}

/* More than was given cannot be done, whatever the ring says. */
static bool has_done(const struct agent_link *link)
{
    uint32_t done = atomic_load_explicit(&link->ring->done, memory_order_acquire);
    return done != link->done && done - link->done <= link->given - link->done;
}

bool agent_link_done(struct agent_link *link, struct agent_order *order)
{
    if (!has_done(link)) return false;
    uint32_t seat = link->done++ % AGENT_ORDERS;
    struct agent_order said = link->ring->orders[seat];
    *order = link->orders[seat];
    order->error = said.error > 0 && said.error < 4096 ? said.error : said.error == 0 ? 0 : EIO;
    uint64_t all = order->pages >= 64 ? UINT64_MAX : (1ull << order->pages) - 1;
    order->done = said.done & all;
    if (order->done != all && order->error == 0) order->error = EIO;
    return true;
}

/* --- waiting -------------------------------------------------------------------------------- */

bool agent_link_listen(struct agent_link *link)
{
    atomic_store(&link->ring->listening, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (!has_done(link)) return true; /* an ask rings by itself, whoever sleeps */
    atomic_store(&link->ring->listening, 0);
    return false;
}

void agent_link_hush(struct agent_link *link)
{
    uint64_t rings;
    (void)!read(link->bell, &rings, sizeof rings);
    atomic_store(&link->ring->listening, 0);
}

bool agent_link_wish(struct agent_link *link, struct agent_wish *wish)
{
    const struct agent_ask *ask = &link->ring->ask;
    uint32_t asked = atomic_load(&ask->asked);
    if (asked == link->wished) return false;
    link->wished = asked;
    *wish = (struct agent_wish){.kind = (enum agent_ask_kind)ask->kind, .fork = ask->fork,
                                .from = ask->from, .bytes = ask->bytes};
    return true;
}

void agent_link_answer(struct agent_link *link)
{
    atomic_store(&link->ring->ask.answered, link->wished);
    futex_wake(&link->ring->ask.answered, INT32_MAX);
}

void agent_link_announce(struct agent_link *link, uint32_t pages)
{
    atomic_store_explicit(&link->ring->announce_pages, pages, memory_order_relaxed);
}
