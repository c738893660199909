/* SPDX-License-Identifier: BSD-3-Clause
 * hog - needs more memory than its machine has, and knows what each byte of it must be.
 *
 * usage: hog MIB ROUNDS SEED KEEP_MIB FOLDER
 *
 * Fills MIB of anonymous memory, then goes over all of it ROUNDS times, in runs of pages taken in a
 * shuffled order: each page is compared with what it must hold, and every second one is written
 * anew, so that old and new content live side by side in swap. What a page must hold follows from
 * the seed, its number and its version, which is kept in memory that is locked: a page that comes
 * back as zeros, as another page, or as what it was earlier is bad.
 *
 * A page that cannot be read at all raises SIGBUS. It is counted as lost, and left alone from then
 * on: an error is what a dead device must answer with. After the first one the hog pauses, so that
 * whoever wants to bring the device back, with other content, has the time.
 *
 * In the end all but KEEP_MIB are given back, FOLDER/held is made, and once FOLDER/go is there,
 * swap being off by then, what was kept is compared for the last time. Exit code 1 where a page was
 * bad, 3 where some were lost and none bad. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 512, RUN_PAGES = 32, NOISE_WORDS = WORDS / 3, LOST = UINT8_MAX, PAUSE_S = 10,
       BAD_SHOWN = 16 };

static sigjmp_buf unreadable; /* where a page that cannot be read leads to */

struct hog {
    uint64_t *memory;
    uint8_t *versions; /* of each page; LOST */
    size_t pages, bad, lost;
    uint64_t seed, longest_ns;
};

static void on_bus_error(int signal)
{
    (void)signal;
    siglongjmp(unreadable, 1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* A third is noise and the rest repeats, so a page packs about three to one. */
static void compose(const struct hog *hog, size_t page, uint8_t version, uint64_t words[WORDS])
{
    uint64_t state = mix(hog->seed + page * 256 + version), word = state | 1;
    for (unsigned i = 0; i < NOISE_WORDS; i++) words[i] = mix(state += 0x9e3779b97f4a7c15u);
    for (unsigned i = NOISE_WORDS; i < WORDS; i++) words[i] = word + i / 64;
}

static void note_time(struct hog *hog, uint64_t begun)
{
    uint64_t took = now_ns() - begun;
    if (took > hog->longest_ns) hog->longest_ns = took;
}

/* One page: compared where it holds something, then written where it is to become `version`. */
static void visit(struct hog *hog, size_t page, uint8_t version, bool compare)
{
    uint64_t words[WORDS], *bytes = hog->memory + page * WORDS;
    if (hog->versions[page] == LOST) return;
    uint64_t begun = now_ns();
    if (sigsetjmp(unreadable, 1) != 0) {
        hog->versions[page] = LOST;
        note_time(hog, begun);
        if (hog->lost++ == 0) sleep(PAUSE_S);
        return;
    }
    if (compare) {
        compose(hog, page, hog->versions[page], words);
        if (memcmp(words, bytes, sizeof words) != 0) {
            if (hog->bad++ < BAD_SHOWN)
                printf("FP bad page %zu version %u first words %016llx %016llx\n", page,
                       hog->versions[page], (unsigned long long)bytes[0],
                       (unsigned long long)bytes[1]);
        }
    }
    if (version != hog->versions[page] || !compare) {
        compose(hog, page, version, words);
        memcpy(bytes, words, sizeof words);
        hog->versions[page] = version;
    }
    note_time(hog, begun);
}

static size_t common_divisor(size_t a, size_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

static void go_over(struct hog *hog, unsigned round)
{
    size_t runs = (hog->pages + RUN_PAGES - 1) / RUN_PAGES, at = mix(hog->seed + round) % runs;
    size_t step = runs * 5 / 8 + 1;
    while (common_divisor(step, runs) != 1) step++; /* so that it comes by each run once */
    uint64_t begun = now_ns();
    hog->longest_ns = 0;
    printf("FP round %u begins\n", round);
    for (size_t done = 0; done < runs; done++, at = (at + step) % runs) {
        if (done == runs / 2) printf("FP round %u half\n", round);
        size_t first = round == 0 ? done * RUN_PAGES : at * RUN_PAGES;
        for (size_t page = first; page < first + RUN_PAGES && page < hog->pages; page++) {
            bool renew = round == 0 || page % 2 == round % 2;
            visit(hog, page, renew ? (uint8_t)(round + 1) : hog->versions[page], round > 0);
        }
    }
    printf("FP round %u pages %zu bad %zu lost %zu longest_ms %llu seconds %.1f\n", round,
           hog->pages, hog->bad, hog->lost, (unsigned long long)(hog->longest_ns / 1000000),
           (double)(now_ns() - begun) / 1e9);
}

/* Keeps the first pages, which most likely are in swap, and looks at them without it. */
static void outlive_swap(struct hog *hog, size_t keep)
{
    struct timespec moment = {.tv_nsec = 20000000};
    if (keep < hog->pages) {
        munmap(hog->memory + keep * WORDS, (hog->pages - keep) * WORDS * 8);
        hog->pages = keep;
    }
    close(open("held", O_CREAT | O_WRONLY, 0600));
    while (access("go", F_OK) != 0) nanosleep(&moment, NULL);
    for (size_t page = 0; page < hog->pages; page++) visit(hog, page, hog->versions[page], true);
}

int main(int argc, char **argv)
{
    if (argc != 6 || chdir(argv[5]) != 0) return 2;
    unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
    struct hog hog = {.pages = strtoul(argv[1], NULL, 10) * 256,
                      .seed = strtoul(argv[3], NULL, 10)};
    struct sigaction action = {.sa_handler = on_bus_error};
    sigaction(SIGBUS, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    hog.versions = calloc(hog.pages, 1);
    if (hog.pages == 0 || hog.versions == NULL || mlockall(MCL_CURRENT) != 0) return 2;
    hog.memory = mmap(NULL, hog.pages * WORDS * 8, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hog.memory == MAP_FAILED) return 2;
    for (unsigned round = 0; round <= rounds && round < LOST - 1; round++) go_over(&hog, round);
    outlive_swap(&hog, strtoul(argv[4], NULL, 10) * 256);
    printf("FP hog ends bad %zu lost %zu\n", hog.bad, hog.lost);
    return hog.bad > 0 ? 1 : hog.lost > 0 ? 3 : 0;
}
