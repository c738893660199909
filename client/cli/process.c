/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arith.h"

enum { PROC_PATH_BYTES = 64, PROC_LINE_BYTES = 512, PAGEMAP_ENTRIES = 4096 };

/* Of a pagemap entry, as the kernel's documentation has them. */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FILE_OR_SHARED (1ull << 61)

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    return fopen(path, "re");
}

/* The state in one stat file: the letter behind the last ')', as a name may hold anything. */
static char read_state(const char *path)
{
    char line[PROC_LINE_BYTES];
    FILE *stat = fopen(path, "re");
    if (stat == NULL) return 0;
    bool got = fgets(line, sizeof line, stat) != NULL;
    fclose(stat);
    const char *end = got ? strrchr(line, ')') : NULL;
    return end != NULL && end[1] == ' ' ? end[2] : 0;
}

static bool is_stopped(char state)
{
    return state == 'T' || state == 't';
}

char process_state(pid_t pid)
{
    char path[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    char state = read_state(path);
    if (!is_stopped(state)) return state;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) return 0;
    const struct dirent *task;
    while (is_stopped(state) && (task = readdir(tasks)) != NULL) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%ld/task/%.20s/stat", (long)pid, task->d_name);
        char its = read_state(path);
        if (its != 0 && its != 'Z' && its != 'X') state = its;
    }
    closedir(tasks);
    return state;
}

uint64_t process_anonymous_bytes(pid_t pid)
{
    char line[PROC_LINE_BYTES];
    uint64_t kib = 0;
    FILE *status = open_proc(pid, "status");
    if (status == NULL) return 0;
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1) break;
    }
    fclose(status);
    return kib * 1024;
}

/* Adds the KiB of a line "NAME:   123 kB" to the sum it belongs to. */
static void add_rollup_line(const char *line, struct holding *holding)
{
    static const char *const private_names[] = {"Pss_Anon", "Pss_Shmem", "SwapPss"};
    char name[32];
    uint64_t kib;
    if (sscanf(line, "%31[^:]: %" SCNu64 " kB", name, &kib) != 2) return;
    if (strcmp(name, "Rss") == 0) holding->resident_bytes += kib * 1024;
    for (size_t i = 0; i < FP_COUNT_OF(private_names); i++) {
        if (strcmp(name, private_names[i]) == 0) holding->private_bytes += kib * 1024;
    }
}

bool process_holding(pid_t pid, struct holding *holding, struct complaint *complaint)
{
    char line[PROC_LINE_BYTES];
    *holding = (struct holding){0};
    FILE *rollup = open_proc(pid, "smaps_rollup");
    int error = rollup == NULL ? errno : 0;
    errno = 0; /* permission is looked at when the file is read */
    while (rollup != NULL && fgets(line, sizeof line, rollup) != NULL) {
        add_rollup_line(line, holding);
    }
    if (rollup != NULL) {
        if (holding->resident_bytes == 0) error = errno != 0 ? errno : ESRCH;
        fclose(rollup);
    }
    if (error == 0) return true;
    complain_errno(complaint, error, "cannot read /proc/%ld/smaps_rollup", (long)pid);
    return false;
}

/* --- finding the pages ---------------------------------------------------------------------- */

static bool add_page(struct memory *memory, uint64_t address, uint64_t bytes)
{
    struct run *last = memory->count > 0 ? &memory->runs[memory->count - 1] : NULL;
    if (last != NULL && last->address + last->bytes == address) {
        last->bytes += bytes;
    } else {
        if (memory->count == memory->room) {
            size_t room = memory->room == 0 ? 256 : 2 * memory->room;
            struct run *runs = realloc(memory->runs, room * sizeof *runs);
            if (runs == NULL) return false;
            memory->runs = runs;
            memory->room = room;
        }
        memory->runs[memory->count++] = (struct run){address, bytes, memory->bytes};
    }
    memory->bytes += bytes;
    return true;
}

/* 0, or an errno. */
static int scan_mapping(struct memory *memory, int pagemap, uint64_t start, uint64_t end)
{
    uint64_t entries[PAGEMAP_ENTRIES];
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t address = start;
    while (address < end) {
        size_t wanted = (size_t)min_u64((end - address) / page_bytes, PAGEMAP_ENTRIES);
        ssize_t got = pread(pagemap, entries, wanted * sizeof *entries,
                            (off_t)(address / page_bytes * sizeof *entries));
        if (got < 0 && errno == EINTR) continue;
        if (got < (ssize_t)sizeof *entries) return got < 0 ? errno : EIO;
        size_t count = (size_t)got / sizeof *entries;
        for (size_t i = 0; i < count; i++, address += page_bytes) {
            bool private = (entries[i] & PAGEMAP_FILE_OR_SHARED) == 0;
            bool present = (entries[i] & PAGEMAP_PRESENT) != 0;
            if (present && private && !add_page(memory, address, page_bytes)) return ENOMEM;
        }
    }
    return 0;
}

/* One line of maps: true where its memory is private and no file's. */
static bool is_anonymous(const char *line, uint64_t *start, uint64_t *end)
{
    char permissions[5];
    uint64_t inode;
    int name_at = 0;
    int fields = sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64 " %n", start, end,
                        permissions, &inode, &name_at);
    if (fields != 4 || inode != 0 || permissions[3] != 'p') return false;
    const char *name = line + name_at;
    return name[0] == '\0' || strncmp(name, "[heap]", 6) == 0 || strncmp(name, "[stack", 6) == 0 ||
           strncmp(name, "[anon:", 6) == 0;
}

/* 0, or an errno. */
static int scan_maps(struct memory *memory, FILE *maps, int pagemap)
{
    char *line = NULL;
    size_t room = 0;
    int error = 0;
    while (error == 0 && getline(&line, &room, maps) >= 0) {
        uint64_t start, end;
        line[strcspn(line, "\n")] = '\0';
        if (is_anonymous(line, &start, &end)) error = scan_mapping(memory, pagemap, start, end);
    }
    free(line);
    return error;
}

static int open_number(pid_t pid, const char *name)
{
    char path[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

bool memory_init(struct memory *memory, pid_t pid, struct complaint *complaint)
{
    *memory = (struct memory){.fd = -1};
    int error = 0;
    FILE *maps = open_proc(pid, "maps");
    int pagemap = maps != NULL ? open_number(pid, "pagemap") : -1;
    if (pagemap >= 0) memory->fd = open_number(pid, "mem");
    if (memory->fd < 0) error = errno;
    if (error == 0) error = scan_maps(memory, maps, pagemap);
    if (pagemap >= 0) close(pagemap);
    if (maps != NULL) fclose(maps);
    if (error == EACCES || error == EPERM) {
        complain(complaint,
                 "the memory of process %ld may not be read: it takes the same user, and "
                 "where ptrace is restricted, root",
                 (long)pid);
    } else if (error != 0) {
        complain_errno(complaint, error, "reading the memory map of process %ld", (long)pid);
    } else if (memory->bytes == 0) {
        complain(complaint, "process %ld has no anonymous memory", (long)pid);
        error = ENODATA;
    }
    return error == 0;
}

void memory_fini(struct memory *memory)
{
    if (memory->fd >= 0) close(memory->fd);
    free(memory->runs);
    *memory = (struct memory){.fd = -1};
}

/* --- reading -------------------------------------------------------------------------------- */

/* The run that holds `offset`, which is within the memory. */
static size_t run_of(const struct memory *memory, uint64_t offset)
{
    size_t low = 0, high = memory->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (memory->runs[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool memory_read(const struct memory *memory, uint64_t offset, uint8_t *into, size_t bytes)
{
    size_t have = 0;
    while (have < bytes && offset + have < memory->bytes) {
        const struct run *run = &memory->runs[run_of(memory, offset + have)];
        uint64_t inside = offset + have - run->offset;
        size_t wanted = (size_t)min_u64(bytes - have, run->bytes - inside);
        ssize_t got = pread(memory->fd, into + have, wanted, (off_t)(run->address + inside));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        have += (size_t)got;
    }
    memset(into + have, 0, bytes - have);
    return true;
}

uint64_t memory_address(const struct memory *memory, uint64_t offset)
{
    if (memory->count == 0) return 0;
    const struct run *run = &memory->runs[run_of(memory, offset)];
    return run->address + (offset - run->offset);
}
