/* SPDX-License-Identifier: BSD-3-Clause
 * mischief KIND OPCODE AFTER TIMES AMOUNT - a server of pages that lies where it is told to, for
 * `farpage run` to meet: tests/unit/client/fake_server.h. Says its address, and serves until its
 * stdin ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/frame.h"
#include "tests/unit/client/fake_server.h"

static const struct {
    const char *name;
    enum mischief mischief;
} kinds[] = {
    {"behaves", FAKE_BEHAVES},         {"flipped", FAKE_FLIPPED_BODY},
    {"wrong-crc", FAKE_WRONG_BODY_CRC}, {"wrong-slot", FAKE_WRONG_SLOT},
    {"short", FAKE_LENGTH_LESS},       {"huge", FAKE_LENGTH_HUGE},
    {"cut", FAKE_CUT},                 {"silent", FAKE_SILENT},
    {"late", FAKE_LATE},               {"status", FAKE_STATUS},
    {"text", FAKE_TEXT},
};
static const struct {
    const char *name;
    uint8_t opcode;
} opcodes[] = {
    {"load", FRAME_LOAD}, {"load-batch", FRAME_LOAD_BATCH}, {"store-batch", FRAME_STORE_BATCH},
    {"store", FRAME_STORE}, {"any", 0},
};

int main(int argc, char **argv)
{
    struct fake_plan plan = {.to = UINT8_MAX};
    bool known = false;
    for (size_t i = 0; argc == 6 && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(argv[1], kinds[i].name) == 0) {
            plan.mischief = kinds[i].mischief;
            known = true;
        }
    for (size_t i = 0; argc == 6 && i < sizeof opcodes / sizeof opcodes[0]; i++)
        if (strcmp(argv[2], opcodes[i].name) == 0) plan.to = opcodes[i].opcode;
    if (!known || plan.to == UINT8_MAX) {
        fprintf(stderr, "usage: mischief KIND OPCODE AFTER TIMES AMOUNT\n");
        return 2;
    }
    plan.after = (unsigned)strtoul(argv[3], NULL, 10);
    plan.times = (unsigned)strtoul(argv[4], NULL, 10);
    plan.amount = strtoul(argv[5], NULL, 10);
    struct fake_server *server = fake_server_create(&plan);
    printf("%s\n", fake_server_address(server));
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
    fake_server_destroy(&server);
    return 0;
}
