/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/cli/interrupt.h"
#include "client/cli/swap/swap_facts.h"

enum { STEP_NS = 10000000, NO_PROGRAM = 127 };
#define PATIENCE_NS 2000000000u /* with a program that was asked to end */

void machine_init(struct machine *machine)
{
    const char *root = getenv("FARPAGE_ROOT");
    machine->root = root != NULL ? root : "";
}

bool machine_is_root(const struct machine *machine)
{
    return machine->root[0] != '\0' || geteuid() == 0;
}

/* --- files ---------------------------------------------------------------------------------- */

static bool place(const struct machine *machine, const char *path, char out[MACHINE_PATH_BYTES])
{
    int bytes = snprintf(out, MACHINE_PATH_BYTES, "%s%s", machine->root, path);
    if (bytes >= 0 && bytes < MACHINE_PATH_BYTES) return true;
    errno = ENAMETOOLONG;
    return false;
}

bool machine_exists(const struct machine *machine, const char *path)
{
    char real[MACHINE_PATH_BYTES];
    return place(machine, path, real) && access(real, F_OK) == 0;
}

ssize_t machine_read_bytes(const struct machine *machine, const char *path, uint8_t *bytes,
                           size_t size_bytes)
{
    char real[MACHINE_PATH_BYTES];
    if (!place(machine, path, real)) return -1;
    int fd = open(real, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t used = 0;
    ssize_t got = 1;
    while (used < size_bytes && got > 0) {
        got = read(fd, bytes + used, size_bytes - used);
        if (got > 0) used += (size_t)got;
        if (got < 0 && errno == EINTR) got = 1;
    }
    int error = errno;
    close(fd);
    errno = error;
    return got < 0 ? -1 : (ssize_t)used;
}

bool machine_read(const struct machine *machine, const char *path, char text[MACHINE_TEXT_BYTES])
{
    ssize_t bytes =
        machine_read_bytes(machine, path, (uint8_t *)text, MACHINE_TEXT_BYTES - 1);
    text[bytes < 0 ? 0 : bytes] = '\0';
    return bytes >= 0;
}

bool machine_read_number(const struct machine *machine, const char *path, uint64_t *number)
{
    char text[MACHINE_TEXT_BYTES];
    return machine_read(machine, path, text) && swap_facts_number(text, number);
}

static bool write_whole(const char *real, int flags, const char *text)
{
    int fd = open(real, O_WRONLY | O_CLOEXEC | flags, 0644);
    if (fd < 0) return false;
    ssize_t bytes = write(fd, text, strlen(text)); /* the kernel's files take all or nothing */
    int error = bytes < 0 ? errno : EIO;
    bool good = bytes == (ssize_t)strlen(text);
    if (close(fd) != 0 && good) return false;
    errno = error;
    return good;
}

bool machine_write(const struct machine *machine, const char *path, const char *text)
{
    char real[MACHINE_PATH_BYTES];
    return place(machine, path, real) && write_whole(real, O_TRUNC, text);
}

static void make_folders(char *real, size_t from)
{
    char *slash = strchr(real + from + 1, '/');
    for (; slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(real, 0755); /* where it is not there in the end, the file's opening says why */
        *slash = '/';
    }
}

bool machine_create(const struct machine *machine, const char *path, const char *text)
{
    char real[MACHINE_PATH_BYTES], partial[MACHINE_PATH_BYTES + 8];
    if (!place(machine, path, real)) return false;
    make_folders(real, strlen(machine->root));
    snprintf(partial, sizeof partial, "%s.new", real);
    bool good = write_whole(partial, O_CREAT | O_TRUNC, text) && rename(partial, real) == 0;
    int error = errno;
    if (!good) (void)unlink(partial);
    errno = error;
    return good;
}

void machine_remove(const struct machine *machine, const char *path)
{
    char real[MACHINE_PATH_BYTES];
    if (place(machine, path, real)) (void)unlink(real);
}

/* --- programs ------------------------------------------------------------------------------- */

/* PATH with the system's folders behind it. */
static void folders(const struct machine *machine, char path[MACHINE_TEXT_BYTES])
{
    static const char *const system_folders[] = {"/usr/local/sbin", "/usr/sbin", "/sbin"};
    const char *own = getenv("PATH");
    bool none = own == NULL || own[0] == '\0';
    int used = snprintf(path, MACHINE_TEXT_BYTES / 2, "%s", none ? "/usr/bin:/bin" : own);
    for (size_t i = 0; i < FP_COUNT_OF(system_folders) && used < MACHINE_TEXT_BYTES / 2; i++)
        used += snprintf(path + used, (size_t)(MACHINE_TEXT_BYTES - used), ":%.*s%s",
                         MACHINE_PATH_BYTES, machine->root, system_folders[i]);
}

bool machine_has_program(const struct machine *machine, const char *program)
{
    char path[MACHINE_TEXT_BYTES], file[MACHINE_PATH_BYTES];
    char *rest = NULL;
    folders(machine, path);
    for (char *folder = strtok_r(path, ":", &rest); folder != NULL;
         folder = strtok_r(NULL, ":", &rest)) {
        int bytes = snprintf(file, sizeof file, "%s/%s", folder, program);
        if (bytes > 0 && bytes < (int)sizeof file && access(file, X_OK) == 0) return true;
    }
    return false;
}

static FP_NORETURN void become(const struct machine *machine, const struct words *words, int said)
{
    char path[MACHINE_TEXT_BYTES];
    int nothing = open("/dev/null", O_RDONLY);
    interrupt_release();
    folders(machine, path);
    if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(said, STDOUT_FILENO) >= 0 &&
        dup2(said, STDERR_FILENO) >= 0 && setenv("PATH", path, 1) == 0)
        (void)execvp(words->word[0], words->word);
    _exit(NO_PROGRAM);
}

bool child_start(const struct machine *machine, struct child *child, const struct words *words,
                 struct complaint *complaint)
{
    *child = (struct child){.pid = -1};
    if (words->overflow) {
        complain(complaint, "%s: its arguments are too long", words->word[0]);
        return false;
    }
    child->said = tmpfile();
    if (child->said == NULL) {
        complain_errno(complaint, errno, "%s: no temporary file", words->word[0]);
        return false;
    }
    child->pid = fork();
    if (child->pid == 0) become(machine, words, fileno(child->said));
    if (child->pid > 0) return true;
    complain_errno(complaint, errno, "%s: cannot start a process", words->word[0]);
    child_fini(child);
    return false;
}

bool child_ended(struct child *child, int *code)
{
    int status = 0;
    pid_t got = waitpid(child->pid, &status, WNOHANG);
    if (got != child->pid) return false;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

void child_kill(struct child *child, bool hard)
{
    (void)kill(child->pid, hard ? SIGKILL : SIGTERM);
}

void child_said(struct child *child, char said[MACHINE_SAID_BYTES])
{
    said[0] = '\0';
    if (fseek(child->said, 0, SEEK_END) != 0) return;
    long end = ftell(child->said), most = MACHINE_SAID_BYTES - 1;
    long from = end > most ? end - most : 0;
    if (end < 0 || fseek(child->said, from, SEEK_SET) != 0) return;
    said[fread(said, 1, MACHINE_SAID_BYTES - 1, child->said)] = '\0';
}

void child_fini(struct child *child)
{
    if (child->said != NULL) fclose(child->said);
    child->said = NULL;
}

/* Why a program that ended did not do it. */
static void explain(struct child *child, const char *program, int code,
                    struct complaint *complaint)
{
    char said[MACHINE_SAID_BYTES], reason[SWAP_LINE_BYTES];
    child_said(child, said);
    swap_facts_reason(said, reason);
    size_t bytes = strlen(program);
    bool named = strncmp(reason, program, bytes) == 0 && reason[bytes] == ':';
    if (code == NO_PROGRAM && reason[0] == '\0')
        complain(complaint, "%s: cannot be run", program);
    else if (reason[0] == '\0')
        complain(complaint, "%s: exit code %d", program, code);
    else
        complain(complaint, "%s%s%s", named ? "" : program, named ? "" : ": ", reason);
}

bool machine_run(const struct machine *machine, const struct errand *errand,
                 struct complaint *complaint)
{
    const char *program = errand->words->word[0];
    struct child child;
    int code = 0;
    if (!child_start(machine, &child, errand->words, complaint)) return false;
    uint64_t late_ns = clock_monotonic_ns() + errand->timeout_ns;
    bool late = false, interrupted = false;
    while (!child_ended(&child, &code)) {
        struct timespec wait = {.tv_nsec = STEP_NS};
        uint64_t now = clock_monotonic_ns();
        late |= now >= late_ns;
        interrupted |= errand->interruptible && interrupt_came();
        if (late || interrupted) child_kill(&child, now >= late_ns + PATIENCE_NS);
        (void)nanosleep(&wait, NULL);
    }
    if (interrupted)
        complain(complaint, "%s: interrupted", program);
    else if (late)
        complain(complaint, "%s: no answer", program);
    else if (code != 0)
        explain(&child, program, code, complaint);
    if (errand->said != NULL) child_said(&child, errand->said);
    child_fini(&child);
    return !interrupted && !late && code == 0;
}
