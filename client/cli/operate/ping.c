/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "client/cli/cli.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"

static void boot_id_text(const struct farpage_server_info *info, char text[33])
{
    for (unsigned i = 0; i < sizeof info->boot_id; i++) {
        snprintf(text + 2 * i, 3, "%02x", info->boot_id[i]);
    }
}

static void print_ping(const struct cli *cli, const struct farpage_server_info *info,
                       uint64_t nanoseconds)
{
    char boot_id[33];
    boot_id_text(info, boot_id);
    if (!cli->json) {
        printf("%s answered in %s: protocol version %u, pages of %u KiB, boot id %s\n", cli->server,
               human_time(nanoseconds).text, info->version, info->page_bytes / 1024, boot_id);
        return;
    }
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "server", cli->server);
    json_number(&json, "nanoseconds", nanoseconds);
    json_number(&json, "version", info->version);
    json_number(&json, "page_bytes", info->page_bytes);
    json_text(&json, "boot_id", boot_id);
    json_object_end(&json);
    putchar('\n');
}

int cli_ping(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    uint64_t nanoseconds;
    if (farpage_ping(client, &nanoseconds) == FARPAGE_OK) {
        print_ping(cli, farpage_server(client), nanoseconds);
    } else {
        code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    }
    farpage_disconnect(&client);
    return code;
}
