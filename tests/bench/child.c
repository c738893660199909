/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/child.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

enum { CHILDREN_MAX = 4, STOP_SECONDS = 5 };

/* Global because a signal handler must find them. 0 is an empty place. */
static volatile pid_t children[CHILDREN_MAX];
static char directory[64];
const char *const child_socket_names[CHILD_SOCKETS] = {"socket", "socket2", "socket3"};

static void end_all(void)
{
    for (int i = 0; i < CHILDREN_MAX; i++)
        if (children[i] > 0) child_stop(children[i]);
}

static void remove_directory(void)
{
    if (directory[0] == '\0') return;
    DIR *entries = opendir(directory);
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.') unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries != NULL) closedir(entries);
    rmdir(directory);
    directory[0] = '\0';
}

/* What may be called here is little; exit() with its handlers is not. So a child dies hard, and of
 * the directory's entries only those that a server may have left are tried. */
static void on_signal(int number)
{
    for (int i = 0; i < CHILDREN_MAX; i++)
        if (children[i] > 0 && kill(children[i], SIGKILL) == 0) waitpid(children[i], NULL, 0);
    if (directory[0] != '\0') {
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < CHILD_SOCKETS; i++) unlinkat(fd, child_socket_names[i], 0);
        rmdir(directory);
    }
    raise(number); /* the action was reset: now it ends us */
}

void child_guard(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    for (unsigned i = 0; i < FP_COUNT_OF(numbers); i++) sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    atexit(remove_directory);
    atexit(end_all); /* runs first */
}

const char *child_directory(void)
{
    if (directory[0] != '\0') return directory;
    char path[] = "/tmp/farpage-bench-XXXXXX";
    if (mkdtemp(path) == NULL || chmod(path, 0777) != 0) { /* nobody makes a socket there too */
        fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    snprintf(directory, sizeof directory, "%s", path);
    return directory;
}

/* memcached gives root up by itself, but that would also undo PR_SET_PDEATHSIG; so it is done
 * before. */
static bool give_up_root(void)
{
    const struct passwd *nobody = getpwnam("nobody");
    return nobody != NULL && setgroups(0, NULL) == 0 && setgid(nobody->pw_gid) == 0 &&
           setuid(nobody->pw_uid) == 0;
}

static FP_NORETURN void become(char *const *argv, bool demote, pid_t parent)
{
    signal(SIGPIPE, SIG_DFL);
    if (demote && geteuid() == 0 && !give_up_root()) _exit(126);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(126);
    execvp(argv[0], argv);
    fprintf(stderr, "bench: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

pid_t child_start(char *const *argv, bool demote)
{
    int place = 0;
    while (place < CHILDREN_MAX && children[place] != 0) place++;
    fp_assert(place < CHILDREN_MAX);
    pid_t parent = getpid();
    fflush(NULL);
    /* No signal between the birth and the note of it. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT};
        for (unsigned i = 0; i < FP_COUNT_OF(numbers); i++) signal(numbers[i], SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(argv, demote, parent);
    }
    if (pid > 0) children[place] = pid;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) fprintf(stderr, "bench: fork: %s\n", strerror(errno));
    return pid;
}

bool child_could_start(const char *program)
{
    char path[512];
    const char *folders = getenv("PATH");
    if (strchr(program, '/') != NULL) return access(program, X_OK) == 0;
    while (folders != NULL && *folders != '\0') {
        size_t size = strcspn(folders, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)size, folders, program);
        if (access(path, X_OK) == 0) return true;
        folders += size + (folders[size] == ':');
    }
    return false;
}

static void forget(pid_t pid)
{
    for (int i = 0; i < CHILDREN_MAX; i++)
        if (children[i] == pid) children[i] = 0;
}

static bool is_known(pid_t pid)
{
    for (int i = 0; i < CHILDREN_MAX; i++)
        if (children[i] == pid) return true;
    return false;
}

bool child_is_running(pid_t pid)
{
    if (!is_known(pid)) return false;
    if (waitpid(pid, NULL, WNOHANG) == 0) return true;
    forget(pid);
    return false;
}

bool child_stop(pid_t pid)
{
    int status = 0;
    if (!is_known(pid)) return false;
    kill(pid, SIGTERM);
    uint64_t until_ns = clock_monotonic_ns() + (uint64_t)STOP_SECONDS * 1000000000;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_monotonic_ns() > until_ns) kill(pid, SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    forget(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[64];
    if (pid == 0)
        snprintf(path, sizeof path, "/proc/self/%s", name);
    else
        snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    return fopen(path, "re");
}

bool child_cpu(pid_t pid, struct child_cpu *cpu)
{
    clockid_t clock;
    struct timespec spent;
    char line[1024];
    *cpu = (struct child_cpu){0};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &spent) != 0) return false;
    cpu->total_ns = (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
    FILE *stat = open_proc(pid, "stat");
    if (stat == NULL) return false;
    bool got = fgets(line, sizeof line, stat) != NULL;
    fclose(stat);
    const char *rest = got ? strrchr(line, ')') : NULL; /* a name may hold anything */
    uint64_t user, kernel;
    if (rest == NULL || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64
                               " %" SCNu64, &user, &kernel) != 2)
        return false;
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    cpu->user_ms = user * 1000 / per_second;
    cpu->kernel_ms = kernel * 1000 / per_second;
    return true;
}

/* The kilobytes of the line that begins with `label`; 0 where there is none. */
static uint64_t read_kib(pid_t pid, const char *name, const char *label)
{
    char line[256];
    uint64_t kib = 0;
    size_t size = strlen(label);
    FILE *file = open_proc(pid, name);
    if (file == NULL) return 0;
    while (kib == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, label, size) == 0) kib = strtoull(line + size, NULL, 10);
    fclose(file);
    return kib;
}

uint64_t child_resident_bytes(pid_t pid)
{
    /* The first is exact; the second lags by some pages a thread, but may always be read. */
    uint64_t kib = read_kib(pid, "smaps_rollup", "Rss:");
    if (kib == 0) kib = read_kib(pid, "status", "VmRSS:");
    return kib * 1024;
}

void child_word(struct child_words *words, const char *format, ...)
{
    va_list values;
    char *text = words->texts[words->count];
    fp_assert(words->count < CHILD_WORDS_MAX);
    va_start(values, format);
    vsnprintf(text, CHILD_WORD_BYTES, format, values);
    va_end(values);
    words->argv[words->count++] = text;
    words->argv[words->count] = NULL;
}

unsigned child_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
                 getsockname(fd, (struct sockaddr *)&address, &size) == 0;
    if (fd >= 0) close(fd);
    return bound ? ntohs(address.sin_port) : 0;
}
