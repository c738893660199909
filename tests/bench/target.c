/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/bench/child.h"

enum { START_SECONDS = 10, ANSWER_BYTES = 32 << 10 };

static const char UNIX_PREFIX[] = "unix:";

unsigned target_choices(const struct options *options, struct target_choice choices[TARGETS_MAX])
{
    char names[ALGORITHMS_MAX][ALGORITHM_BYTES];
    unsigned count = options_algorithms(options, names);
    choices[0] = (struct target_choice){.kind = TARGET_MEMCACHED, .name = "memcached"};
    for (unsigned i = 0; i < count; i++) {
        choices[i + 1] = (struct target_choice){.kind = TARGET_FARPAGED};
        snprintf(choices[i + 1].name, sizeof choices->name, "farpage %.15s", names[i]);
        memcpy(choices[i + 1].algorithm, names[i], ALGORITHM_BYTES);
    }
    return count + 1;
}

static void memcached_arguments(const struct options *options, const char *address,
                                struct child_words *arguments)
{
    child_word(arguments, "%s", options->memcached);
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        child_word(arguments, "-s");
        child_word(arguments, "%s", address + strlen(UNIX_PREFIX));
        child_word(arguments, "-a");
        child_word(arguments, "0777");
    } else {
        child_word(arguments, "-l");
        child_word(arguments, "127.0.0.1");
        child_word(arguments, "-p");
        child_word(arguments, "%s", strchr(address, ':') + 1);
        child_word(arguments, "-U");
        child_word(arguments, "0");
    }
    child_word(arguments, "-t");
    child_word(arguments, "%llu", (unsigned long long)options->threads);
    child_word(arguments, "-m");
    child_word(arguments, "%llu", (unsigned long long)(options->memory >> 20));
    child_word(arguments, "-u");
    child_word(arguments, "nobody");
}

static void farpaged_arguments(const struct options *options, const char *address,
                               const struct target_choice *choice, struct child_words *arguments)
{
    child_word(arguments, "%s", options->farpaged);
    child_word(arguments, "--set");
    child_word(arguments, "listeners=[{address: \"%s\"}]", address);
    child_word(arguments, "--set");
    child_word(arguments, "server.threads=%llu", (unsigned long long)options->threads);
    child_word(arguments, "--set");
    child_word(arguments, "storage.memory_limit=%lluMiB",
             (unsigned long long)(options->memory >> 20));
    child_word(arguments, "--set");
    child_word(arguments, "compressor.algorithm=%s", choice->algorithm);
    if (choice->set != NULL) {
        child_word(arguments, "--set");
        child_word(arguments, "%s", choice->set);
    }
    if (options->set != NULL) {
        child_word(arguments, "--set");
        child_word(arguments, "%s", options->set);
    }
    child_word(arguments, "--set");
    child_word(arguments, "log.level=warn");
}

static void compose_arguments(const struct options *options, const struct target *target,
                              struct child_words *arguments)
{
    switch (target->choice->kind) {
    case TARGET_FARPAGED:
        farpaged_arguments(options, target->address, target->choice, arguments);
        break;
    case TARGET_ECHO:
        child_word(arguments, "%s", FARPAGE_BENCH_ECHO);
        child_word(arguments, "%s", target->address);
        break;
    case TARGET_MEMCACHED:
    case TARGET_KINDS:
    default:
        memcached_arguments(options, target->address, arguments);
    }
}

static bool choose_address(bool over_unix, enum target_kind kind,
                           char address[TARGET_ADDRESS_BYTES])
{
    if (over_unix) {
        const char *directory = child_directory();
        if (directory == NULL) return false;
        snprintf(address, TARGET_ADDRESS_BYTES, "%s%s/%s", UNIX_PREFIX, directory,
                 child_socket_names[kind]);
        return true;
    }
    unsigned port = child_free_port();
    snprintf(address, TARGET_ADDRESS_BYTES, "127.0.0.1:%u", port);
    return port != 0;
}

/* It answers, and it is the one we started: not another that was faster to take the port. */
static bool is_there(const struct target *target)
{
    return target_stat(target, "", "pid") == (double)target->pid;
}

bool target_start(const struct options *options, const struct target_choice *choice,
                  bool over_unix, struct target *target)
{
    struct child_words arguments = {.count = 0};
    *target = (struct target){.choice = choice, .pid = -1};
    if (!choose_address(over_unix, choice->kind, target->address)) return false;
    compose_arguments(options, target, &arguments);
    target->pid = child_start(arguments.argv, choice->kind == TARGET_MEMCACHED);
    if (target->pid < 0) return false;
    uint64_t until_ns = clock_monotonic_ns() + (uint64_t)START_SECONDS * 1000000000;
    while (child_is_running(target->pid) && clock_monotonic_ns() < until_ns) {
        if (is_there(target)) return true;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    fprintf(stderr, "bench: %s did not start\n", choice->name);
    child_stop(target->pid);
    target->pid = -1;
    return false;
}

bool target_stop(struct target *target)
{
    bool good = child_stop(target->pid);
    if (!good) fprintf(stderr, "bench: %s did not end well\n", target->choice->name);
    target->pid = -1;
    /* memcached and the echo server leave their sockets behind. */
    if (strncmp(target->address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        unlink(target->address + strlen(UNIX_PREFIX));
    return good;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

int target_connect(const char *text)
{
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return connect_unix(text + strlen(UNIX_PREFIX));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)strtoul(strchr(text, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/* Sends a line and reads until "END\r\n" or the connection's end. */
static bool ask(const char *address, const char *line, char answer[ANSWER_BYTES])
{
    size_t size = 0;
    ssize_t got = 0;
    int fd = target_connect(address);
    answer[0] = '\0';
    if (fd < 0) return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval));
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line))
        while (size < ANSWER_BYTES - 1 && strstr(answer, "END\r\n") == NULL &&
               (got = recv(fd, answer + size, ANSWER_BYTES - 1 - size, 0)) > 0) {
            size += (size_t)got;
            answer[size] = '\0';
        }
    close(fd);
    return strstr(answer, "END\r\n") != NULL;
}

double target_stat(const struct target *target, const char *section, const char *name)
{
    char line[64], wanted[64], answer[ANSWER_BYTES];
    snprintf(line, sizeof line, "stats%s%s\r\n", section[0] == '\0' ? "" : " ", section);
    snprintf(wanted, sizeof wanted, "STAT %s ", name);
    if (!ask(target->address, line, answer)) return 0;
    const char *found = strstr(answer, wanted);
    return found == NULL ? 0 : strtod(found + strlen(wanted), NULL);
}
