/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/swap/swap_state.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/number.h"

#define DEV "/dev/"
enum { SECTOR_BYTES = 512 };

/* --- names ------------------------------------------------------------------------------------ */

void swap_device_name(struct swap_device device, char name[SWAP_DEVICE_BYTES])
{
    snprintf(name, SWAP_DEVICE_BYTES, "%s%u", device.array ? "md" : "nbd", device.number);
}

void swap_device_path(struct swap_device device, char path[SWAP_DEVICE_BYTES])
{
    snprintf(path, SWAP_DEVICE_BYTES, DEV "%s%u", device.array ? "md" : "nbd", device.number);
}

bool swap_device_parse(const char *text, struct swap_device *device)
{
    uint64_t number = 0;
    if (strncmp(text, DEV, strlen(DEV)) == 0) text += strlen(DEV);
    *device = (struct swap_device){.array = strncmp(text, "md", 2) == 0};
    if (!device->array && strncmp(text, "nbd", 3) != 0) return false;
    const char *digits = text + (device->array ? 2 : 3);
    if (!number_u64(slice_text(digits), &number) || number >= SWAP_DEVICES_MAX) return false;
    device->number = (unsigned)number;
    return true;
}

bool swap_device_next(unsigned *at, struct swap_device *device)
{
    if (*at >= 2 * SWAP_DEVICES_MAX) return false;
    *device = (struct swap_device){.array = *at >= SWAP_DEVICES_MAX,
                                   .number = *at % SWAP_DEVICES_MAX};
    ++*at;
    return true;
}

/* --- the file --------------------------------------------------------------------------------- */

void swap_state_write(const struct swap_state *state, char text[MACHINE_TEXT_BYTES])
{
    char name[SWAP_DEVICE_BYTES];
    swap_device_name(state->device, name);
    int used = snprintf(text, MACHINE_TEXT_BYTES,
                        "device %s\nconnections %" PRIu32 "\nsilence_s %" PRIu32 "\n", name,
                        state->connections, state->silence_s);
    for (unsigned i = 0; i < state->count && used > 0 && used < MACHINE_TEXT_BYTES; i++) {
        const struct swap_member *member = &state->members[i];
        used += snprintf(text + used, (size_t)(MACHINE_TEXT_BYTES - used),
                         "member nbd%u %" PRIu64 " %s\n", member->number, member->pid,
                         member->address);
    }
}

bool swap_state_parse(const char *text, struct swap_state *state)
{
    char name[SWAP_DEVICE_BYTES];
    int used = 0, more = 0;
    *state = (struct swap_state){.count = 0};
    if (sscanf(text, "device %63s connections %" SCNu32 " silence_s %" SCNu32 "%n", name,
               &state->connections, &state->silence_s, &used) != 3 ||
        !swap_device_parse(name, &state->device))
        return false;
    while (state->count < SWAP_MEMBERS_MAX) {
        struct swap_member *member = &state->members[state->count];
        if (sscanf(text + used, " member nbd%u %" SCNu64 " %1023s%n", &member->number,
                   &member->pid, member->address, &more) != 3 ||
            member->number >= SWAP_DEVICES_MAX)
            break;
        state->count++;
        used += more;
    }
    return state->count > 0;
}

static void path_of(struct swap_device device, char path[MACHINE_PATH_BYTES])
{
    char name[SWAP_DEVICE_BYTES];
    swap_device_name(device, name);
    snprintf(path, MACHINE_PATH_BYTES, "/run/farpage-swap/%s", name);
}

bool swap_state_keep(const struct machine *machine, const struct swap_state *state,
                     struct complaint *complaint)
{
    char path[MACHINE_PATH_BYTES], text[MACHINE_TEXT_BYTES];
    path_of(state->device, path);
    swap_state_write(state, text);
    if (machine_create(machine, path, text)) return true;
    complain_errno(complaint, errno, "%s", path);
    return false;
}

void swap_state_forget(const struct machine *machine, struct swap_device device)
{
    char path[MACHINE_PATH_BYTES];
    path_of(device, path);
    machine_remove(machine, path);
}

bool swap_state_find(const struct machine *machine, struct swap_device device,
                     struct swap_state *state)
{
    char path[MACHINE_PATH_BYTES], text[MACHINE_TEXT_BYTES];
    path_of(device, path);
    return machine_read(machine, path, text) && swap_state_parse(text, state) &&
           state->device.array == device.array && state->device.number == device.number;
}

/* --- the kernel's ----------------------------------------------------------------------------- */

/* A number in a file of the device's folder in /sys/block; false where there is none. */
static bool number_of(const struct machine *machine, struct swap_device device, const char *file,
                      uint64_t *number)
{
    char path[MACHINE_PATH_BYTES], name[SWAP_DEVICE_BYTES];
    swap_device_name(device, name);
    snprintf(path, sizeof path, "/sys/block/%s/%s", name, file);
    return machine_read_number(machine, path, number);
}

struct swap_disk swap_disk_look(const struct machine *machine, struct swap_device device)
{
    struct swap_disk disk = {.there = false};
    uint64_t sectors = 0, number = 0;
    disk.there = number_of(machine, device, "size", &sectors);
    if (disk.there && sectors <= UINT64_MAX / SECTOR_BYTES)
        disk.size_bytes = sectors * SECTOR_BYTES;
    /* An nbd device has a pid while it is connected, an array a size while it runs. */
    disk.connected = disk.there && (device.array ? sectors > 0
                                                 : number_of(machine, device, "pid", &disk.pid));
    disk.discards =
        number_of(machine, device, "queue/discard_max_bytes", &number) && number > 0;
    if (device.array && number_of(machine, device, "md/degraded", &number))
        disk.missing = (unsigned)number;
    return disk;
}

bool swap_member_connected(const struct machine *machine, const struct swap_member *member)
{
    struct swap_device device = {.number = member->number};
    struct swap_disk disk = swap_disk_look(machine, device);
    return disk.connected && disk.pid == member->pid;
}
