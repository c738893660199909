/* SPDX-License-Identifier: BSD-3-Clause
 * swap_state - what `farpage swap on` leaves in /run/farpage-swap for `off` and `status`: which
 * device shows which exports. The kernel knows the rest, and what it says counts. The folder is
 * root's own: who could write there could name a disk to be emptied. */
#ifndef FARPAGE_CLIENT_CLI_SWAP_STATE_H
#define FARPAGE_CLIENT_CLI_SWAP_STATE_H
#include "client/cli/machine.h"
#include "client/cli/swap/swap_plan.h"

enum { SWAP_DEVICES_MAX = 64 };

/* A device that is looked after: /dev/nbdN, or /dev/mdN over several of those. */
struct swap_device {
    bool array;
    unsigned number; /* < SWAP_DEVICES_MAX */
};

/* "nbd0" */
void swap_device_name(struct swap_device device, char name[SWAP_DEVICE_BYTES]);
/* "/dev/nbd0" */
void swap_device_path(struct swap_device device, char path[SWAP_DEVICE_BYTES]);
/* The inverse of both. */
bool swap_device_parse(const char *text, struct swap_device *device) FP_MUST_CHECK;

struct swap_member {
    unsigned number; /* of /dev/nbdN */
    uint64_t pid;    /* the kernel's word for who connected it: another one, another disk */
    char address[SWAP_ADDRESS_BYTES];
};

struct swap_state {
    struct swap_device device; /* what is swapped on */
    uint32_t connections, silence_s;
    unsigned count; /* of members; 1 where the device is no array */
    struct swap_member members[SWAP_MEMBERS_MAX];
};

/* The text of the file, and back; false where it is none of ours. Pure. */
void swap_state_write(const struct swap_state *state, char text[MACHINE_TEXT_BYTES]);
bool swap_state_parse(const char *text, struct swap_state *state) FP_MUST_CHECK;

bool swap_state_keep(const struct machine *machine, const struct swap_state *state,
                     struct complaint *complaint) FP_MUST_CHECK;
void swap_state_forget(const struct machine *machine, struct swap_device device);

/* The state of a device; false where we did not make one. */
bool swap_state_find(const struct machine *machine, struct swap_device device,
                     struct swap_state *state) FP_MUST_CHECK;

/* All devices in turn, ours or not; begin with *at == 0. */
bool swap_device_next(unsigned *at, struct swap_device *device) FP_MUST_CHECK;

/* What the kernel says of a device. */
struct swap_disk {
    bool there;
    bool connected; /* an array: it runs */
    bool discards;
    uint64_t size_bytes;
    uint64_t pid;     /* of who connected it; 0 of an array */
    unsigned missing; /* members of an array */
};
struct swap_disk swap_disk_look(const struct machine *machine, struct swap_device device);

/* Is the member's device connected, and by us? */
bool swap_member_connected(const struct machine *machine, const struct swap_member *member);

#endif
