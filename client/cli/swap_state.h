/* SPDX-License-Identifier: BSD-3-Clause
 * swap_state - what `farpage swap on` leaves in /run/farpage for `off` and `status`: which device
 * shows which export. The kernel knows the rest, and what it says counts. */
#ifndef FARPAGE_CLIENT_CLI_SWAP_STATE_H
#define FARPAGE_CLIENT_CLI_SWAP_STATE_H
#include "client/cli/machine.h"
#include "client/cli/swap_plan.h"

enum { SWAP_DEVICES_MAX = 64 };

struct swap_state {
    unsigned number; /* of /dev/nbdN */
    char address[SWAP_ADDRESS_BYTES];
    uint32_t connections, silence_s;
};

/* The text of the file, and back; false where it is none of ours. Pure. */
void swap_state_write(const struct swap_state *state, char text[MACHINE_TEXT_BYTES]);
bool swap_state_parse(const char *text, struct swap_state *state) FP_MUST_CHECK;

bool swap_state_keep(const struct machine *machine, const struct swap_state *state,
                     struct complaint *complaint) FP_MUST_CHECK;
void swap_state_forget(const struct machine *machine, unsigned number);

/* The state of /dev/nbdN; false where we did not make one. */
bool swap_state_find(const struct machine *machine, unsigned number, struct swap_state *state)
    FP_MUST_CHECK;

/* What the kernel says of /dev/nbdN: is there such a device, is it connected, how large is it. */
struct swap_disk {
    bool there, connected, discards;
    uint64_t size_bytes;
};
struct swap_disk swap_disk_look(const struct machine *machine, unsigned number);

/* "/dev/nbdN" or "nbdN" as a number. */
bool swap_disk_number(const char *device, unsigned *number) FP_MUST_CHECK;

#endif
