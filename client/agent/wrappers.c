/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Each calls who was to be called and returns what that returned. Where the pager wants to hear of
 * large mappings, because little is left of its budget, it is told of a new one before the program
 * can touch it; what is made in other ways it finds by itself, a little later. */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "client/agent/agent.h"

#define SHOWN __attribute__((visibility("default")))

/* X(result, name, parameters): what is wrapped, and where the next of that name is found. */
#define WRAPPED(X)                                                                                 \
    X(void *, malloc, (size_t))                                                                    \
    X(void *, calloc, (size_t, size_t))                                                            \
    X(void *, realloc, (void *, size_t))                                                           \
    X(void *, memalign, (size_t, size_t))                                                          \
    X(void *, aligned_alloc, (size_t, size_t))                                                     \
    X(int, posix_memalign, (void **, size_t, size_t))                                              \
    X(void *, mmap, (void *, size_t, int, int, int, off_t))                                        \
    X(void *, mmap64, (void *, size_t, int, int, int, off_t))

static struct {
#define X(result, name, parameters) result(*name) parameters;
    WRAPPED(X)
#undef X
} next;

/* Threads may find the same at once: all write the same. */
#define NEXT(name)                                                                                 \
    (next.name != NULL ? next.name                                                                 \
                       : (*(void **)(void *)&next.name = dlsym(RTLD_NEXT, #name), next.name))

static void announce(const void *memory, size_t bytes)
{
    int error = errno;
    uint64_t from = (uint64_t)(uintptr_t)memory & ~(uint64_t)(AGENT_PAGE_BYTES - 1);
    uint64_t to = ((uint64_t)(uintptr_t)memory + bytes + AGENT_PAGE_BYTES - 1) &
                  ~(uint64_t)(AGENT_PAGE_BYTES - 1);
    agent_ask(AGENT_ASK_MAPPED, from, to - from, 0);
    errno = error;
}

static void *told(void *memory, size_t bytes)
{
    if (bytes >= agent_announces_from() && memory != NULL) announce(memory, bytes);
    return memory;
}

/* --- the allocator's ------------------------------------------------------------------------ */

SHOWN void *malloc(size_t bytes)
{
    return told(NEXT(malloc)(bytes), bytes);
}

SHOWN void *calloc(size_t count, size_t each)
{
    void *memory = NEXT(calloc)(count, each);
    return memory != NULL ? told(memory, count * each) : NULL; /* so the product is no lie */
}

SHOWN void *realloc(void *memory, size_t bytes)
{
    return told(NEXT(realloc)(memory, bytes), bytes);
}

SHOWN void *memalign(size_t alignment, size_t bytes);
SHOWN void *memalign(size_t alignment, size_t bytes)
{
    return told(NEXT(memalign)(alignment, bytes), bytes);
}

SHOWN void *aligned_alloc(size_t alignment, size_t bytes)
{
    return told(NEXT(aligned_alloc)(alignment, bytes), bytes);
}

SHOWN int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    int error = NEXT(posix_memalign)(memory, alignment, bytes);
    if (error == 0) (void)told(*memory, bytes);
    return error;
}

/* --- the system's --------------------------------------------------------------------------- */

static void *told_of_mapping(void *memory, size_t bytes, int protection, int flags)
{
    bool ours = (flags & MAP_ANONYMOUS) != 0 && (flags & MAP_PRIVATE) != 0 &&
                (protection & PROT_WRITE) != 0;
    if (!ours || memory == MAP_FAILED) return memory;
    return told(memory, bytes);
}

SHOWN void *mmap(void *wish, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *memory = NEXT(mmap)(wish, bytes, protection, flags, fd, offset);
    return told_of_mapping(memory, bytes, protection, flags);
}

SHOWN void *mmap64(void *wish, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *memory = NEXT(mmap64)(wish, bytes, protection, flags, fd, offset);
    return told_of_mapping(memory, bytes, protection, flags);
}
