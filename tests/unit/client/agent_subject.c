/* SPDX-License-Identifier: BSD-3-Clause
 * A program that is told by letters what to do with a mapping, and answers in lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 8, PAGE = 4096 };

/* Every byte of page i is 'a' + i. */
static int intact(const unsigned char *memory)
{
    for (int i = 0; i < PAGES; i++) {
        for (int j = 0; j < PAGE; j++) {
            if (memory[i * PAGE + j] != 'a' + i) return 0;
        }
    }
    return 1;
}

static void fork_one(const unsigned char *memory)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit(intact(memory) ? 7 : 8);
    int status = 0;
    (void)!waitpid(child, &status, 0);
    printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

int main(int argc, char **argv)
{
    unsigned char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    for (int i = 0; i < PAGES; i++) memset(memory + i * PAGE, 'a' + i, PAGE);
    printf("%p\n", (void *)memory);
    for (;;) {
        fflush(stdout);
        switch (getchar()) {
        case 'v': puts(intact(memory) ? "intact" : "different"); break;
        case 'f': fork_one(memory); break;
        case 'd': /* waits until somebody has read so */
            puts(madvise(memory + (PAGES - 1) * PAGE, PAGE, MADV_DONTNEED) == 0 ? "dropped" : "no");
            break;
        case 'r': /* something else is where the mapping was; this waits as well */
            (void)munmap(memory, PAGE);
            puts("unmapped");
            break;
        case 'n': {
            void *again = mmap(memory, PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (again == (void *)memory) memset(memory, 'a', PAGE);
            puts(again == (void *)memory ? "mapped" : "no");
            break;
        }
        case 'm': { /* malloc of a size that is announced */
            void *large = malloc(1 << 20);
            printf("%p\n", large);
            free(large);
            break;
        }
        case 'x': execv(argv[0], argv); return 1;
        case '\n': break;
        default: return argc > 1 ? 3 : 0;
        }
    }
}
