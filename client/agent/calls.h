/* SPDX-License-Identifier: BSD-3-Clause
 * calls - system calls for a thread that has no libc: no errno, no TLS, no cancellation. They
 * answer as the kernel does, a negative errno on failure. */
#ifndef FARPAGE_CLIENT_AGENT_CALLS_H
#define FARPAGE_CLIENT_AGENT_CALLS_H
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long call6(long number, const long a[6])
{
    long result;
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long call6(long number, const long a[6])
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a[0];
    register long x1 __asm__("x1") = a[1];
    register long x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3];
    register long x4 __asm__("x4") = a[4];
    register long x5 __asm__("x5") = a[5];
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "the agent knows how to call the kernel of x86-64 and aarch64 only"
#endif

#define CALL(number, ...) call6(number, (const long[6]){__VA_ARGS__})

enum { FUTEX_OF_ALL_WAIT = 0, FUTEX_OF_ALL_WAKE = 1 }; /* of memory that processes share */

/* Waits while *word is `value`, at most `nanoseconds`; 0: for ever. May return for no reason. */
static inline void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t nanoseconds)
{
    const long time[2] = {(long)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    (void)CALL(SYS_futex, (long)word, FUTEX_OF_ALL_WAIT, (long)value,
               nanoseconds != 0 ? (long)time : 0);
}

static inline void futex_wake(_Atomic uint32_t *word, long waiters)
{
    (void)CALL(SYS_futex, (long)word, FUTEX_OF_ALL_WAKE, waiters);
}

#endif
