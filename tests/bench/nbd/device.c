/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/nbd/device.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/child.h"
#include "tests/bench/target.h"

enum { TRIES = 500, WORDS = 20, WORD_BYTES = 320 };

static const char *const names[DEVICE_KINDS] = {"farpaged lz4", "nbdkit malloc", "nbdkit sparse",
                                                "nbdkit zstd"};
static const char *const allocators[DEVICE_KINDS] = {"", "malloc", "sparse", "zstd"};

const char *device_name(enum device_kind kind)
{
    return names[kind];
}

/* A port that was free a moment ago; 0. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &size) == 0;
    if (fd >= 0) close(fd);
    return good ? ntohs(address.sin_port) : 0;
}

static bool answers(const char *address)
{
    int fd = target_connect(address);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

struct command {
    char words[WORDS][WORD_BYTES];
    char *argv[WORDS + 1];
    int count;
};

static FP_PRINTF(2, 3) void add(struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command->words[command->count], WORD_BYTES, format, arguments);
    va_end(arguments);
    command->argv[command->count] = command->words[command->count];
    command->count++;
}

static void farpaged_command(const struct options *options, const char *address,
                             uint64_t size_bytes, struct device *device, struct command *command)
{
    add(command, "%s", options->farpaged);
    add(command, "--set");
    add(command, "listeners=[{address: \"%s\"}, {address: \"%s\", protocol: nbd}]",
        device->text_address, address);
    add(command, "--set");
    add(command, "exports=[{name: disk, size: %" PRIu64 "B, recreate: always}]", size_bytes);
    add(command, "--set");
    add(command, "storage.memory_limit=%" PRIu64 "B", options->memory);
    add(command, "--set");
    add(command, "storage.overcommit=100.0");
    add(command, "--set");
    add(command, "server.threads=%" PRIu64, options->threads);
    add(command, "--set");
    add(command, "log.level=error");
    if (options->set == NULL) return;
    add(command, "--set");
    add(command, "%s", options->set);
}

static void nbdkit_command(const char *address, uint64_t size_bytes, enum device_kind kind,
                           struct command *command)
{
    bool over_unix = strncmp(address, "unix:", 5) == 0;
    add(command, "nbdkit");
    add(command, "-f");
    if (over_unix) {
        add(command, "-U");
        add(command, "%s", address + 5);
    } else {
        add(command, "-i");
        add(command, "127.0.0.1");
        add(command, "-p");
        add(command, "%s", strrchr(address, ':') + 1);
    }
    add(command, "memory");
    add(command, "%" PRIu64, size_bytes);
    add(command, "allocator=%s", allocators[kind]);
}

bool device_start(const struct options *options, enum device_kind kind, bool over_unix,
                  uint64_t size_bytes, struct device *device)
{
    char address[160];
    struct command command = {.count = 0};
    *device = (struct device){.kind = kind};
    const char *directory = child_directory();
    if (directory == NULL) return false;
    const char *name = kind == DEVICE_FARPAGED ? "disk" : "";
    if (over_unix) {
        (void)snprintf(address, sizeof address, "unix:%s/%s", directory, child_socket_names[0]);
        (void)snprintf(device->uri, sizeof device->uri, "nbd+unix:///%s?socket=%s", name,
                       address + 5);
    } else {
        (void)snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
        (void)snprintf(device->uri, sizeof device->uri, "nbd://%s/%s", address, name);
    }
    (void)snprintf(device->text_address, sizeof device->text_address, "127.0.0.1:%u", free_port());
    if (kind == DEVICE_FARPAGED) farpaged_command(options, address, size_bytes, device, &command);
    else nbdkit_command(address, size_bytes, kind, &command);
    if (over_unix) (void)unlink(address + 5);
    device->pid = child_start(command.argv, false);
    if (device->pid < 0) return false;
    const struct timespec soon = {0, 10000000};
    for (int i = 0; i < TRIES; i++) {
        if (answers(address)) {
            device->empty_bytes = child_resident_bytes(device->pid);
            return true;
        }
        (void)nanosleep(&soon, NULL);
    }
    fprintf(stderr, "%s does not answer at %s\n", names[kind], address);
    device_stop(device);
    return false;
}

void device_stop(struct device *device)
{
    (void)child_stop(device->pid);
    device->pid = 0;
}

double device_packed_bytes(const struct device *device)
{
    struct target target = {.pid = device->pid};
    if (device->kind != DEVICE_FARPAGED) return 0;
    (void)snprintf(target.address, sizeof target.address, "%s", device->text_address);
    return target_stat(&target, "areas", "disk:packed_bytes");
}
