/* SPDX-License-Identifier: BSD-3-Clause
 * swap_plan - which programs are run, with which words, and what is decided on what. Pure. */
#ifndef FARPAGE_CLIENT_CLI_SWAP_PLAN_H
#define FARPAGE_CLIENT_CLI_SWAP_PLAN_H
#include <stdbool.h>
#include <stdint.h>

#include "client/cli/say/complaint.h"
#include "client/cli/say/words.h"
#include "client/cli/swap/swap_address.h"
#include "client/cli/swap/swap_facts.h"

enum {
    SWAP_BLOCK_BYTES = 4096,
    /* A network card's driver takes memory to receive the very answer that frees memory. Machines
     * of 192 MiB have hung for good with the kernel's own choice, and never with this
     * (docs/swap.md, What was seen). */
    SWAP_MIN_FREE_KIB = 24576,
    SWAP_SILENCE_S = 30,  /* a connection that is silent for so long is dead */
    SWAP_CONNECTIONS = 2,
    /* A silent server is given up one connection after the other; a mirror wants to know soon. */
    SWAP_MIRROR_CONNECTIONS = 1,
    SWAP_PRIORITY = 10,   /* before disks, whose priority the kernel makes negative; behind zram */
    SWAP_PRIORITY_MAX = 32767,
    SWAP_CONTENT_BYTES = 132 << 10, /* of a device are looked at: btrfs begins at 64 KiB */
    SWAP_SIZE_MIN_BYTES = 1 << 20,
    SWAP_MEMBERS_MAX = 4,
};

struct swap_settings {
    uint32_t connections, silence_s, priority;
    char label[SWAP_LABEL_BYTES]; /* of the swap area and of an array: whose it is */
};

/* "fp-" and the machine's name; of a long one its beginning and a sum of all of it. */
void swap_plan_label(const char *host_name, char label[SWAP_LABEL_BYTES]);

/* Has the exports listed that there are. */
void swap_plan_list(const struct swap_address *address, struct words *words);
void swap_plan_connect(const struct swap_settings *settings, const struct swap_address *address,
                       const char *device, struct words *words);
void swap_plan_disconnect(const char *device, struct words *words);

/* Exports that hold the same pages: of two, both do; of more, each page is on two of them. */
struct swap_mirror {
    char array[SWAP_DEVICE_BYTES];
    char members[SWAP_MEMBERS_MAX][SWAP_DEVICE_BYTES];
    unsigned count;
};
void swap_plan_mirror(const struct swap_settings *settings, const struct swap_mirror *mirror,
                      struct words *words);
void swap_plan_stop_mirror(const char *array, struct words *words);

void swap_plan_format(const struct swap_settings *settings, const char *device,
                      struct words *words);
/* `discard`: what is no longer needed is said to the server, which forgets it. */
void swap_plan_turn_on(const struct swap_settings *settings, const char *device, bool discard,
                       struct words *words);
void swap_plan_turn_off(const char *device, struct words *words);
void swap_plan_empty(const char *device, struct words *words); /* the server forgets all of it */

/* May what a device holds be overwritten? False with the reason. */
bool swap_plan_may_format(enum swap_content content, const char *label, const char *own_label,
                          struct complaint *complaint) FP_MUST_CHECK;

/* Is there room for what is swapped out? `proc_swaps` and `meminfo` as the kernel has them. */
bool swap_plan_fits(const char *proc_swaps, const char *meminfo, const char *device,
                    struct complaint *complaint) FP_MUST_CHECK;

/* What is known about the machine when it is judged. */
struct swap_health {
    uint64_t min_free_kib; /* 0: not known */
    bool zswap;            /* in front */
    bool readahead_off;    /* vm.page-cluster is 0 */
    unsigned missing;      /* members of a mirror */
    bool one_server;       /* has several members of a mirror */
    uint32_t silence_s, connections; /* 0: not known */
};
enum { SWAP_WARNINGS_MAX = 6 }; /* each of the above once */
struct swap_warnings {
    struct complaint lines[SWAP_WARNINGS_MAX];
    unsigned count;
};
void swap_plan_warn(const struct swap_health *health, struct swap_warnings *warnings);

#endif
