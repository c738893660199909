/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fault/fault.h"

#include "base/check.h"

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_createCDict_advanced */
#include <zstd.h>

static struct {
    bool armed, for_good, failed;
    enum fault_kind kind;
    uint64_t at, calls;
    int64_t live;
} fault;

bool fault_disarm(void)
{
    fault.armed = false;
    return fault.failed;
}

uint64_t fault_each_of(enum fault_kind kind, void (*play)(void), bool for_good)
{
    uint64_t at = 0;
    int64_t live = fault.live;
    bool failed;
    do {
        fault.armed = true;
        fault.for_good = for_good;
        fault.failed = false;
        fault.kind = kind;
        fault.at = ++at;
        fault.calls = 0;
        play();
        failed = fault_disarm();
        fp_assert(fault.live == live);
    } while (failed);
    return at - 1;
}

bool fault_now(enum fault_kind kind)
{
    if (!fault.armed || fault.kind != kind) return false;
    fault.calls++;
    if (fault.for_good ? fault.calls < fault.at : fault.calls != fault.at) return false;
    fault.failed = true;
    return true;
}

void fault_taken(int64_t delta)
{
    fault.live += delta;
}

static bool fails_now(void)
{
    if (!fault_now(FAULT_MEMORY)) return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *block, void *failed)
{
    fault.live += block != failed;
    return block;
}

/* One row a function: the name, what it answers when it fails, its parameters, and again. */
#define WRAP(name, failed, parameters, arguments)                                                  \
    void *__real_##name parameters;                                                                \
    void *__wrap_##name parameters;                                                                \
    void *__wrap_##name parameters                                                                 \
    {                                                                                              \
        return fails_now() ? (failed) : counted(__real_##name arguments, (failed));                \
    }

WRAP(malloc, NULL, (size_t size), (size))
WRAP(calloc, NULL, (size_t count, size_t size), (count, size))
WRAP(aligned_alloc, NULL, (size_t alignment, size_t size), (alignment, size))
WRAP(mmap, (void *)-1, (void *at, size_t size, int access, int flags, int fd, off_t offset),
     (at, size, access, flags, fd, offset))
WRAP(ZSTD_createCCtx, NULL, (void), ())
WRAP(ZSTD_createDCtx, NULL, (void), ())
WRAP(ZSTD_createCDict_advanced, NULL,
     (const void *bytes, size_t size, ZSTD_dictLoadMethod_e load, ZSTD_dictContentType_e content,
      ZSTD_compressionParameters parameters, ZSTD_customMem memory),
     (bytes, size, load, content, parameters, memory))
WRAP(ZSTD_createDDict_byReference, NULL, (const void *bytes, size_t size), (bytes, size))

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    if (fails_now()) return NULL;
    return block == NULL ? counted(__real_realloc(NULL, size), NULL)
                         : __real_realloc(block, size);
}

/* The same for what gives back; `something` is true where there was something to give. */
#define UNWRAP(result, name, something, parameters, arguments)                                     \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        fault.live -= (something);                                                                 \
        return __real_##name arguments;                                                            \
    }

UNWRAP(int, munmap, true, (void *at, size_t size), (at, size))
UNWRAP(size_t, ZSTD_freeCCtx, packer != NULL, (void *packer), (packer))
UNWRAP(size_t, ZSTD_freeDCtx, unpacker != NULL, (void *unpacker), (unpacker))
UNWRAP(size_t, ZSTD_freeCDict, packing != NULL, (void *packing), (packing))
UNWRAP(size_t, ZSTD_freeDDict, unpacking != NULL, (void *unpacking), (unpacking))

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    fault.live -= block != NULL;
    __real_free(block);
}

size_t __real_ZSTD_compress2(void *packer, void *out, size_t capacity, const void *in, size_t size);
size_t __wrap_ZSTD_compress2(void *packer, void *out, size_t capacity, const void *in, size_t size);
size_t __wrap_ZSTD_compress2(void *packer, void *out, size_t capacity, const void *in, size_t size)
{
    const size_t memory_allocation = 64; /* of enum ZSTD_ErrorCode; errors are negated */
    if (fails_now()) return (size_t)0 - memory_allocation;
    return __real_ZSTD_compress2(packer, out, capacity, in, size);
}
