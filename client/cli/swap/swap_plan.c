/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/swap/swap_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/number.h"

#define LABEL_START "fp-"

void swap_plan_label(const char *host_name, char label[SWAP_LABEL_BYTES])
{
    size_t bytes = strlen(host_name), room = SWAP_LABEL_BYTES - sizeof LABEL_START;
    if (bytes <= room) {
        snprintf(label, SWAP_LABEL_BYTES, LABEL_START "%s", host_name);
        return;
    }
    unsigned sum = crc32c(host_name, bytes) & 0xffff;
    snprintf(label, SWAP_LABEL_BYTES, LABEL_START "%.8s-%04x", host_name, sum);
}

static void add_server(const struct swap_address *address, struct words *words)
{
    if (address->host[0] == '\0') {
        words_add(words, "-unix");
        words_add(words, "%s", address->socket);
    } else {
        words_add(words, "%s", address->host);
        words_add(words, "%u", address->port);
    }
}

void swap_plan_list(const struct swap_address *address, struct words *words)
{
    words_init(words, "nbd-client");
    words_add(words, "-l");
    add_server(address, words);
}

void swap_plan_connect(const struct swap_settings *settings, const struct swap_address *address,
                       const char *device, struct words *words)
{
    words_init(words, "nbd-client");
    add_server(address, words);
    words_add(words, "%s", device);
    words_add(words, "-name");
    words_add(words, "%s", address->export);
    words_add(words, "-block-size");
    words_add(words, "%d", SWAP_BLOCK_BYTES);
    words_add(words, "-connections");
    words_add(words, "%" PRIu32, settings->connections);
    words_add(words, "-timeout");
    words_add(words, "%" PRIu32, settings->silence_s);
    words_add(words, "-swap"); /* its memory is locked, where it stays behind */
}

void swap_plan_disconnect(const char *device, struct words *words)
{
    words_init(words, "nbd-client");
    words_add(words, "-d");
    words_add(words, "%s", device);
}

void swap_plan_mirror(const struct swap_settings *settings, const struct swap_mirror *mirror,
                      struct words *words)
{
    words_init(words, "mdadm");
    words_add(words, "--create");
    words_add(words, "%s", mirror->array);
    words_add(words, "--run"); /* asks nobody */
    words_add(words, "--name=%s", settings->label);
    words_add(words, "--level=%d", mirror->count == 2 ? 1 : 10);
    words_add(words, "--raid-devices=%u", mirror->count);
    words_add(words, "--assume-clean"); /* swap reads nothing that it did not write */
    words_add(words, "--bitmap=internal");
    words_add(words, "--metadata=1.2");
    for (unsigned i = 0; i < mirror->count; i++) words_add(words, "%s", mirror->members[i]);
}

void swap_plan_stop_mirror(const char *array, struct words *words)
{
    words_init(words, "mdadm");
    words_add(words, "--stop");
    words_add(words, "%s", array);
}

void swap_plan_format(const struct swap_settings *settings, const char *device,
                      struct words *words)
{
    words_init(words, "mkswap");
    words_add(words, "--label");
    words_add(words, "%s", settings->label);
    words_add(words, "%s", device);
}

void swap_plan_turn_on(const struct swap_settings *settings, const char *device, bool discard,
                       struct words *words)
{
    words_init(words, "swapon");
    words_add(words, "--priority");
    words_add(words, "%" PRIu32, settings->priority);
    if (discard) words_add(words, "--discard");
    words_add(words, "%s", device);
}

void swap_plan_turn_off(const char *device, struct words *words)
{
    words_init(words, "swapoff");
    words_add(words, "%s", device);
}

void swap_plan_empty(const char *device, struct words *words)
{
    words_init(words, "blkdiscard");
    words_add(words, "-f"); /* what it holds is known */
    words_add(words, "%s", device);
}

bool swap_plan_may_format(enum swap_content content, const char *label, const char *own_label,
                          struct complaint *complaint)
{
    if (content == SWAP_CONTENT_ZEROS) return true;
    if (content == SWAP_CONTENT_OTHER) {
        complain(complaint, "the export holds something that is no swap area; "
                            "--force overwrites it");
        return false;
    }
    if (strcmp(label, own_label) == 0) return true;
    if (label[0] == '\0')
        complain(complaint, "the export is a swap area without a label, so perhaps another "
                            "machine's; --force takes it");
    else
        complain(complaint,
                 "the export is the swap of another machine, '%s': two on one destroy each "
                 "other's memory; --force takes it, if that one no longer uses it",
                 label);
    return false;
}

bool swap_plan_fits(const char *proc_swaps, const char *meminfo, const char *device,
                    struct complaint *complaint)
{
    struct swap_row row;
    uint64_t used_kib = 0, room_kib = swap_facts_meminfo_kib(meminfo, "MemAvailable");
    for (size_t at = 0; swap_facts_next(proc_swaps, &at, &row);) {
        if (strcmp(row.device, device) == 0)
            used_kib = row.used_kib;
        else
            room_kib += row.size_kib - (row.used_kib < row.size_kib ? row.used_kib : row.size_kib);
    }
    if (used_kib <= room_kib) return true;
    char used[NUMBER_TEXT_BYTES], room[NUMBER_TEXT_BYTES];
    number_size_short(used_kib << 10, used);
    number_size_short(room_kib << 10, room);
    complain(complaint,
             "%s of memory are swapped out to %s, and there is room for %s: end programs, or add "
             "other swap first; --force tries it all the same",
             used, device, room);
    return false;
}

void swap_plan_warn(const struct swap_health *health, struct swap_warnings *warnings)
{
    warnings->count = 0;
    if (health->min_free_kib != 0 && health->min_free_kib < SWAP_MIN_FREE_KIB)
        complain(&warnings->lines[warnings->count++],
                 "vm.min_free_kbytes is %" PRIu64 ", less than %d: the machine may hang for good "
                 "when memory is short",
                 health->min_free_kib, SWAP_MIN_FREE_KIB);
    if (health->silence_s != 0 && health->silence_s < SWAP_SILENCE_S)
        complain(&warnings->lines[warnings->count++],
                 "a connection is given up after %" PRIu32 " s, less than %d: a busy machine may "
                 "lose its swap without a fault of the server's",
                 health->silence_s, SWAP_SILENCE_S);
    if (health->missing > 0)
        complain(&warnings->lines[warnings->count++],
                 "%u of a mirror's servers are gone: the next death loses pages; docs/swap.md "
                 "says how one is taken in again",
                 health->missing);
    if (health->one_server)
        complain(&warnings->lines[warnings->count++],
                 "exports of one server are in the same mirror: its death may be more than the "
                 "mirror outlives");
    if (health->zswap)
        complain(&warnings->lines[warnings->count++],
                 "zswap stands in front and packs pages here first: where this memory is what is "
                 "short, echo N >/sys/module/zswap/parameters/enabled");
    if (health->readahead_off)
        complain(&warnings->lines[warnings->count++],
                 "vm.page-cluster is 0: each page is fetched by itself, which over a network is "
                 "slow; 3 is the kernel's own");
}
