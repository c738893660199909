/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/agent/agent_door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static int make_folder(struct agent_door *door)
{
    const char *parents[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    int error = ENOENT;
    for (size_t i = 0; i < FP_COUNT_OF(parents); i++) {
        if (parents[i] == NULL || parents[i][0] != '/') continue;
        int bytes = snprintf(door->folder, sizeof door->folder, "%s/farpage-run-XXXXXX",
                             parents[i]);
        if (bytes < 0 || (size_t)bytes >= sizeof door->folder) continue;
        if (mkdtemp(door->folder) != NULL) return 0;
        error = errno;
    }
    return error;
}

/* A program that becomes another user still finds it: the token lets in, not the mode. */
static int listen_at(struct agent_door *door)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(door->path, sizeof door->path, "%s/agents", door->folder);
    memcpy(address.sun_path, door->path, strlen(door->path) + 1);
    door->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = door->fd >= 0 &&
                bind(door->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                chmod(door->path, 0666) == 0 && chmod(door->folder, 0711) == 0 &&
                listen(door->fd, BACKLOG) == 0;
    return good ? 0 : errno;
}

int agent_door_open(struct agent_door *door, enum agent_how how)
{
    *door = (struct agent_door){.fd = -1, .how = how};
    if (getrandom(door->token, sizeof door->token, 0) != sizeof door->token) return EIO;
    int error = make_folder(door);
    if (error != 0) return error;
    error = listen_at(door);
    if (error != 0) agent_door_close(door);
    return error;
}

void agent_door_close(struct agent_door *door)
{
    if (door->fd >= 0) close(door->fd);
    door->fd = -1;
    (void)unlink(door->path);
    (void)rmdir(door->folder);
}

void agent_door_variable(const struct agent_door *door, char text[AGENT_VARIABLE_BYTES])
{
    char token[2 * AGENT_TOKEN_BYTES + 1];
    for (size_t i = 0; i < AGENT_TOKEN_BYTES; i++)
        snprintf(token + 2 * i, 3, "%02x", door->token[i]);
    snprintf(text, AGENT_VARIABLE_BYTES, "%d %c %s %s", AGENT_VERSION, (char)door->how, token,
             door->path);
}

/* --- who knocks ----------------------------------------------------------------------------- */

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(AGENT_GIFTS * sizeof(int))];
};

int agent_door_answer(struct agent_door *door)
{
    return accept4(door->fd, NULL, NULL, SOCK_CLOEXEC);
}

/* No more descriptors fit than those wanted; the kernel closes what does not. */
static ssize_t take_hello(struct agent_guest *guest)
{
    union control control;
    struct iovec part = {&guest->hello, sizeof guest->hello};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = CMSG_LEN(AGENT_GIFTS * sizeof(int))};
    ssize_t got = recvmsg(guest->socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const struct cmsghdr *head = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(guest->gifts, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    return got;
}

static bool same_token(const uint8_t *a, const uint8_t *b)
{
    uint8_t different = 0;
    for (size_t i = 0; i < AGENT_TOKEN_BYTES; i++) different |= a[i] ^ b[i];
    return different == 0;
}

void agent_guest_forget(struct agent_guest *guest)
{
    if (guest->socket >= 0) close(guest->socket);
    for (int i = 0; i < AGENT_GIFTS; i++) {
        if (guest->gifts[i] >= 0) close(guest->gifts[i]);
        guest->gifts[i] = -1;
    }
    guest->socket = -1;
}

bool agent_door_hear(const struct agent_door *door, int socket, struct agent_guest *guest)
{
    *guest = (struct agent_guest){.socket = socket, .gifts = {-1, -1}};
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    bool known = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
                 take_hello(guest) == sizeof guest->hello &&
                 guest->hello.magic == AGENT_MAGIC && guest->hello.version == AGENT_VERSION &&
                 same_token(guest->hello.token, door->token) &&
                 (guest->gifts[0] < 0) == (guest->gifts[AGENT_GIFTS - 1] < 0);
    if (known) guest->pid = peer.pid;
    if (!known) agent_guest_forget(guest);
    return known;
}

void agent_guest_refuse(struct agent_guest *guest, enum agent_verdict verdict)
{
    struct agent_welcome welcome = {.magic = AGENT_MAGIC, .verdict = verdict};
    (void)!send(guest->socket, &welcome, sizeof welcome, MSG_NOSIGNAL | MSG_DONTWAIT);
    agent_guest_forget(guest);
}
