/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/zram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/number.h"

#define HOT_ADD "/sys/class/zram-control/hot_add"
#define HOT_REMOVE "/sys/class/zram-control/hot_remove"
enum { REMOVE_TRIES = 50, PATH_BYTES = 64 };

/* Global because a signal handler must find it. -1: none. */
static volatile sig_atomic_t number = -1;
static volatile sig_atomic_t device_fd = -1;

/* Only calls that a signal handler may make. */
static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return good;
}

static char reset_path[2 * PATH_BYTES], number_text[16];

/* Whoever looks at new devices may hold it for a moment. */
static void remove_device(void)
{
    if (number < 0) return;
    if (device_fd >= 0) close(device_fd);
    device_fd = -1;
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (put(reset_path, "1") && put(HOT_REMOVE, number_text)) {
            number = -1;
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    static const char text[] = "bench: a zram device cannot be removed\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
}

static void on_signal(int signal_number)
{
    remove_device();
    raise(signal_number); /* the action was reset: now it ends us */
}

static void guard(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT};
    static bool guarded;
    if (guarded) return;
    guarded = true;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    for (unsigned i = 0; i < FP_COUNT_OF(numbers); i++) sigaction(numbers[i], &action, NULL);
    atexit(remove_device);
}

const char *zram_missing(void)
{
    if (access(HOT_ADD, F_OK) != 0) return "it has no zram";
    if (geteuid() != 0) return "adding a device needs root";
    return NULL;
}

static bool get(const char *path, char text[PATH_BYTES])
{
    FILE *file = fopen(path, "re");
    bool good = file != NULL && fgets(text, PATH_BYTES, file) != NULL;
    if (file != NULL) fclose(file);
    return good;
}

static bool set(const char *name, const char *value)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/sys/block/zram%d/%s", (int)number, name);
    return put(path, value);
}

static bool add_device(void)
{
    char text[PATH_BYTES] = "";
    sigset_t all, before;
    guard();
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* no signal between the birth and the note of it */
    uint64_t added;
    bool good = get(HOT_ADD, text);
    text[strcspn(text, "\n")] = '\0';
    good = good && number_u64(slice_text(text), &added) && added < INT_MAX;
    if (good) {
        snprintf(reset_path, sizeof reset_path, "/sys/block/zram%s/reset", text);
        snprintf(number_text, sizeof number_text, "%.15s", text);
        number = (sig_atomic_t)added;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return good;
}

/* /dev may lack the device, as in containers: so a node of our own, gone as soon as it is open. */
static int open_node(void)
{
    char path[PATH_BYTES], text[PATH_BYTES], node[PATH_BYTES + 8];
    char directory[] = "/tmp/farpage-bench-XXXXXX";
    unsigned major, minor;
    snprintf(path, sizeof path, "/sys/block/zram%d/dev", (int)number);
    if (!get(path, text) || sscanf(text, "%u:%u", &major, &minor) != 2) return -1;
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(node, sizeof node, "%s/device", directory);
    int fd = -1;
    if (mknod(node, S_IFBLK | 0600, makedev(major, minor)) == 0)
        fd = open(node, O_RDWR | O_DIRECT | O_CLOEXEC);
    unlink(node);
    rmdir(directory);
    return fd;
}

int zram_open(const char *algorithm, uint64_t size_bytes)
{
    char size[24];
    snprintf(size, sizeof size, "%" PRIu64, size_bytes);
    fp_assert(number < 0);
    if (add_device() && set("comp_algorithm", algorithm) && set("disksize", size))
        device_fd = open_node();
    if (device_fd >= 0) return device_fd;
    fprintf(stderr, "bench: zram with %s: %s\n", algorithm, strerror(errno));
    remove_device();
    return -1;
}

void zram_close(int fd)
{
    fp_assert(fd == device_fd);
    remove_device();
}
