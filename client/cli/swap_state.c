/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/swap_state.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/number.h"

enum { SECTOR_BYTES = 512 };

void swap_state_write(const struct swap_state *state, char text[MACHINE_TEXT_BYTES])
{
    snprintf(text, MACHINE_TEXT_BYTES,
             "device %u\naddress %s\nconnections %" PRIu32 "\nsilence_s %" PRIu32 "\n",
             state->number, state->address, state->connections, state->silence_s);
}

bool swap_state_parse(const char *text, struct swap_state *state)
{
    *state = (struct swap_state){.number = 0};
    return sscanf(text, "device %u address %1023s connections %" SCNu32 " silence_s %" SCNu32,
                  &state->number, state->address, &state->connections, &state->silence_s) == 4 &&
           state->number < SWAP_DEVICES_MAX;
}

static void path_of(unsigned number, char path[MACHINE_PATH_BYTES])
{
    snprintf(path, MACHINE_PATH_BYTES, "/run/farpage/swap-nbd%u", number);
}

bool swap_state_keep(const struct machine *machine, const struct swap_state *state,
                     struct complaint *complaint)
{
    char path[MACHINE_PATH_BYTES], text[MACHINE_TEXT_BYTES];
    path_of(state->number, path);
    swap_state_write(state, text);
    if (machine_create(machine, path, text)) return true;
    complain_errno(complaint, errno, "%s", path);
    return false;
}

void swap_state_forget(const struct machine *machine, unsigned number)
{
    char path[MACHINE_PATH_BYTES];
    path_of(number, path);
    machine_remove(machine, path);
}

bool swap_state_find(const struct machine *machine, unsigned number, struct swap_state *state)
{
    char path[MACHINE_PATH_BYTES], text[MACHINE_TEXT_BYTES];
    path_of(number, path);
    return machine_read(machine, path, text) && swap_state_parse(text, state) &&
           state->number == number;
}

struct swap_disk swap_disk_look(const struct machine *machine, unsigned number)
{
    char path[MACHINE_PATH_BYTES];
    struct swap_disk disk = {.there = false};
    uint64_t sectors = 0, discard_bytes = 0;
    snprintf(path, sizeof path, "/sys/block/nbd%u/size", number);
    disk.there = machine_read_number(machine, path, &sectors);
    if (disk.there && sectors <= UINT64_MAX / SECTOR_BYTES)
        disk.size_bytes = sectors * SECTOR_BYTES;
    snprintf(path, sizeof path, "/sys/block/nbd%u/pid", number);
    disk.connected = disk.there && machine_exists(machine, path);
    snprintf(path, sizeof path, "/sys/block/nbd%u/queue/discard_max_bytes", number);
    disk.discards = machine_read_number(machine, path, &discard_bytes) && discard_bytes > 0;
    return disk;
}

bool swap_disk_number(const char *device, unsigned *number)
{
    uint64_t value = 0;
    if (strncmp(device, "/dev/", 5) == 0) device += 5;
    if (strncmp(device, "nbd", 3) != 0 || !number_u64(slice_text(device + 3), &value) ||
        value >= SWAP_DEVICES_MAX)
        return false;
    *number = (unsigned)value;
    return true;
}
