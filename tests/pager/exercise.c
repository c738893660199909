/* SPDX-License-Identifier: BSD-3-Clause
 * exercise NAME BYTES   does it and prints "NAME checksum"
 * exercise --list       says the names */
#include "tests/pager/exercise.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t checksum = 0xcbf29ce484222325u;
static const char *running = "?";
char **exercise_arguments;

void exercise_failed(const char *file, int line, const char *what)
{
    char text[300];
    int size = snprintf(text, sizeof text, "%s: %s:%d: %s (errno: %s)\n", running, file, line, what,
                        strerror(errno));
    if (size > 0 && write(STDERR_FILENO, text, (size_t)size) < 0) _exit(4);
    _exit(3);
}

void require_child(int pid)
{
    int status;
    require(waitpid(pid, &status, 0) == pid);
    require(WIFEXITED(status));
    require(WEXITSTATUS(status) == 0);
}

void checksum_add(uint64_t value)
{
    checksum = (checksum ^ value) * 0x100000001b3u;
}

uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* --- pages ------------------------------------------------------------------------------------ */

enum { WORDS = PAGE_BYTES / 8 };

/* The page's words one after the other; the first always tells number and version apart. */
static uint64_t word_of(uint64_t number, uint64_t version, unsigned index)
{
    uint64_t state = number * 1000003 + version;
    uint64_t first = next_random(&state) | 1; /* never all zero */
    if (number % 4 == 0) return (first & 0xff) * 0x0101010101010101u;
    if (number % 4 == 1) return first + index * 0x9e3779b97f4a7c15u * (first >> 7);
    return index % 8 == 0 ? first : first ^ (index / 64);
}

void page_fill(void *page, uint64_t number, uint64_t version)
{
    uint64_t *words = page;
    for (unsigned i = 0; i < WORDS; i++) words[i] = word_of(number, version, i);
}

bool page_is(const void *page, uint64_t number, uint64_t version)
{
    const uint64_t *words = page;
    for (unsigned i = 0; i < WORDS; i++)
        if (words[i] != word_of(number, version, i)) return false;
    return true;
}

bool page_is_zero(const void *page)
{
    const uint64_t *words = page;
    for (unsigned i = 0; i < WORDS; i++)
        if (words[i] != 0) return false;
    return true;
}

void page_verify(const void *page, uint64_t number, uint64_t version)
{
    if (page_is(page, number, version)) return;
    uint64_t found;
    memcpy(&found, page, sizeof found);
    fprintf(stderr, "%s: page %" PRIu64 " at %p, version %" PRIu64 ": begins with %016" PRIx64
            ", not %016" PRIx64 "%s\n", running, number, page, version, found,
            word_of(number, version, 0), page_is_zero(page) ? ": all zeros" : "");
    exercise_failed(__FILE__, __LINE__, "the page is not what it was");
}

void pages_fill(void *base, size_t first, size_t end, uint64_t version)
{
    for (size_t i = first; i < end; i++) page_fill((uint8_t *)base + i * PAGE_BYTES, i, version);
}

void pages_verify(const void *base, size_t first, size_t end, uint64_t version)
{
    for (size_t i = first; i < end; i++)
        page_verify((const uint8_t *)base + i * PAGE_BYTES, i, version);
}

uint8_t *map_pages(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(base != MAP_FAILED);
    return base;
}

/* --- the program ------------------------------------------------------------------------------ */

static const struct exercise *const lists[] = {exercises_memory, exercises_heap, exercises_calls,
                                               exercises_threads, exercises_processes};

static const struct exercise *find(const char *name)
{
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
        for (const struct exercise *one = lists[l]; one->name != NULL; one++)
            if (strcmp(one->name, name) == 0) return one;
    return NULL;
}

static void list(void)
{
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
        for (const struct exercise *one = lists[l]; one->name != NULL; one++) puts(one->name);
}

static bool parse_bytes(const char *text, size_t *bytes)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *bytes = value;
    return errno == 0 && *end == 0 && end != text && value >= 1u << 20;
}

int main(int argc, char **argv)
{
    exercise_arguments = argv;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    size_t bytes;
    const struct exercise *exercise = argc >= 3 ? find(argv[1]) : NULL;
    if (exercise == NULL || !parse_bytes(argv[2], &bytes)) {
        fprintf(stderr, "usage: exercise NAME BYTES | --list; a MiB at least\n");
        return 2;
    }
    running = exercise->name;
    exercise->run(bytes / PAGE_BYTES * PAGE_BYTES);
    printf("%s %016" PRIx64 "\n", exercise->name, checksum);
    return fflush(stdout) == 0 ? 0 : 4;
}
