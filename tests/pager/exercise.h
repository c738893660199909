/* SPDX-License-Identifier: BSD-3-Clause
 * exercise - what programs do with memory, one function each: fills it with what can be verified,
 * does the thing, and verifies all of it again. Nothing here knows of farpage: every exercise is
 * right by itself, and must be just as right, with the same checksum, under `farpage run`.
 */
#ifndef FARPAGE_TESTS_PAGER_EXERCISE_H
#define FARPAGE_TESTS_PAGER_EXERCISE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"

enum { PAGE_BYTES = 4096 };

struct exercise {
    const char *name;
    void (*run)(size_t bytes); /* touches so much; ends the program where something is wrong */
};
/* By file; each list ends with a name of NULL. */
extern const struct exercise exercises_memory[], exercises_heap[], exercises_processes[],
    exercises_calls[], exercises_threads[];

/* What a page holds: its number and its version say it all. Of four one is noise, one the same byte
 * throughout, and the others pack well. */
void page_fill(void *page, uint64_t number, uint64_t version) FP_NONNULL(1);
void page_verify(const void *page, uint64_t number, uint64_t version) FP_NONNULL(1);
bool page_is(const void *page, uint64_t number, uint64_t version) FP_NONNULL(1);
bool page_is_zero(const void *page) FP_NONNULL(1);

/* Pages `first` to `end` - 1 of what begins at `base`. */
void pages_fill(void *base, size_t first, size_t end, uint64_t version) FP_NONNULL(1);
void pages_verify(const void *base, size_t first, size_t end, uint64_t version) FP_NONNULL(1);

uint8_t *map_pages(size_t bytes); /* private, anonymous, writable */
uint64_t next_random(uint64_t *state) FP_NONNULL(1);
void checksum_add(uint64_t value); /* to what the program prints; not from several threads */

/* Ends the program: name, place, what. Also from a child, which the parent then sees. */
#define require(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) exercise_failed(__FILE__, __LINE__, #condition);                         \
    } while (0)
void exercise_failed(const char *file, int line, const char *what) FP_NORETURN;
void require_child(int pid); /* waits; it must have ended well */

/* How this program was started, for those that start it again. */
extern char **exercise_arguments;

#endif
