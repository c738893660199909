/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/nbd/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/child.h"
#include "tests/bench/target.h"

enum { TRIES = 500 };

static const char *const names[DEVICE_KINDS] = {"farpaged lz4", "nbdkit malloc", "nbdkit sparse",
                                                "nbdkit zstd"};
static const char *const allocators[DEVICE_KINDS] = {"", "malloc", "sparse", "zstd"};

const char *device_name(enum device_kind kind)
{
    return names[kind];
}

static bool answers(const char *address)
{
    int fd = target_connect(address);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void farpaged_command(const struct options *options, const char *address,
                             uint64_t size_bytes, struct device *device, struct child_words *words)
{
    child_word(words, "%s", options->farpaged);
    child_word(words, "--set");
    child_word(words, "listeners=[{address: \"%s\"}, {address: \"%s\", protocol: nbd}]",
        device->text_address, address);
    child_word(words, "--set");
    child_word(words, "exports=[{name: disk, size: %" PRIu64 "B, recreate: always}]", size_bytes);
    child_word(words, "--set");
    child_word(words, "storage.memory_limit=%" PRIu64 "B", options->memory);
    child_word(words, "--set");
    child_word(words, "storage.overcommit=100.0");
    child_word(words, "--set");
    child_word(words, "server.threads=%" PRIu64, options->threads);
    child_word(words, "--set");
    child_word(words, "log.level=error");
    if (options->set == NULL) return;
    child_word(words, "--set");
    child_word(words, "%s", options->set);
}

static void nbdkit_command(const char *address, uint64_t size_bytes, enum device_kind kind,
                           struct child_words *words)
{
    bool over_unix = strncmp(address, "unix:", 5) == 0;
    child_word(words, "nbdkit");
    child_word(words, "-f");
    if (over_unix) {
        child_word(words, "-U");
        child_word(words, "%s", address + 5);
    } else {
        child_word(words, "-i");
        child_word(words, "127.0.0.1");
        child_word(words, "-p");
        child_word(words, "%s", strrchr(address, ':') + 1);
    }
    child_word(words, "memory");
    child_word(words, "%" PRIu64, size_bytes);
    child_word(words, "allocator=%s", allocators[kind]);
}

bool device_start(const struct options *options, enum device_kind kind, bool over_unix,
                  uint64_t size_bytes, struct device *device)
{
    char address[160];
    struct child_words words = {.count = 0};
    *device = (struct device){.kind = kind};
    const char *directory = child_directory();
    if (directory == NULL) return false;
    const char *name = kind == DEVICE_FARPAGED ? "disk" : "";
    if (over_unix) {
        (void)snprintf(address, sizeof address, "unix:%s/%s", directory, child_socket_names[0]);
        (void)snprintf(device->uri, sizeof device->uri, "nbd+unix:///%s?socket=%s", name,
                       address + 5);
    } else {
        (void)snprintf(address, sizeof address, "127.0.0.1:%u", child_free_port());
        (void)snprintf(device->uri, sizeof device->uri, "nbd://%s/%s", address, name);
    }
    (void)snprintf(device->text_address, sizeof device->text_address, "127.0.0.1:%u",
                   child_free_port());
    if (kind == DEVICE_FARPAGED) farpaged_command(options, address, size_bytes, device, &words);
    else nbdkit_command(address, size_bytes, kind, &words);
    if (over_unix) (void)unlink(address + 5);
    device->pid = child_start(words.argv, false);
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
