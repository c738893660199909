/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The configuration of a running server: config, get, set, reload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/operate/shrink.h"
#include "client/cli/say/json.h"

enum { LINE_BYTES = 2048 };

/* Carries a line out, each answered line given to `each`. */
static int ask(const struct cli *cli, const char *line,
               void (*each)(void *context, const char *line), void *context)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    if (farpage_command(client, line, each, context) != FARPAGE_OK)
        code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    farpage_disconnect(&client);
    return code;
}

/* "VERB KEY VALUE"; false where that is no line a server would take. */
static bool make_line(char line[LINE_BYTES], const char *verb, char *const *operands,
                      unsigned count)
{
    size_t at = (size_t)snprintf(line, LINE_BYTES, "%s", verb);
    for (unsigned i = 0; i < count && at < LINE_BYTES; i++)
        at += (size_t)snprintf(line + at, LINE_BYTES - at, " %s", operands[i]);
    return at < LINE_BYTES && strpbrk(line, "\r\n") == NULL;
}

/* --- config and get --------------------------------------------------------------------------- */

struct row { /* "CONFIG KEY FROM VALUE" taken apart, within the line */
    const char *key, *from, *value;
    int key_bytes, from_bytes;
};

static bool take_row(const char *line, struct row *row)
{
    static const char head[] = "CONFIG ";
    if (strncmp(line, head, sizeof head - 1) != 0) return false;
    row->key = line + sizeof head - 1;
    row->key_bytes = (int)strcspn(row->key, " ");
    row->from = row->key + row->key_bytes;
    if (*row->from != ' ') return false;
    row->from++;
    row->from_bytes = (int)strcspn(row->from, " ");
    row->value = row->from + row->from_bytes;
    if (*row->value == ' ') row->value++;
    return true;
}

struct listing {
    struct json *json; /* NULL: for people */
    const char *only;  /* print the value of that key alone */
    unsigned found;
};

static void list_row(void *context, const char *line)
{
    struct listing *listing = context;
    struct row row;
    if (!take_row(line, &row)) return;
    bool is_it = listing->only != NULL && strlen(listing->only) == (size_t)row.key_bytes &&
                 memcmp(listing->only, row.key, (size_t)row.key_bytes) == 0;
    if (listing->only != NULL && !is_it) return;
    listing->found++;
    if (listing->only != NULL) {
        if (listing->json == NULL) printf("%s\n", row.value);
        else json_text(listing->json, "value", row.value);
        return;
    }
    if (listing->json == NULL) {
        printf("%-34.*s  %-24s  %.*s\n", row.key_bytes, row.key, row.value, row.from_bytes,
               row.from);
        return;
    }
    char key[LINE_BYTES], from[LINE_BYTES];
    snprintf(key, sizeof key, "%.*s", row.key_bytes, row.key);
    snprintf(from, sizeof from, "%.*s", row.from_bytes, row.from);
    json_object(listing->json, key);
    json_text(listing->json, "value", row.value);
    json_text(listing->json, "from", from);
    json_object_end(listing->json);
}

static int list(const struct cli *cli, const char *only)
{
    char line[LINE_BYTES];
    struct json json;
    struct listing listing = {.json = cli->json ? &json : NULL, .only = only};
    if (!make_line(line, "config get", cli->operands, cli->operand_count))
        return cli_usage(only != NULL ? "get" : "config", "that is no key");
    json_init(&json, stdout);
    if (cli->json) json_object(&json, NULL);
    int code = ask(cli, line, list_row, &listing);
    if (cli->json) {
        json_object_end(&json);
        putchar('\n');
    }
    if (code == CLI_GOOD && listing.found == 0)
        return cli_fail(cli, CLI_FAILED, "'%.60s' is no key but several; 'farpage config %.60s' "
                        "lists them", only, only);
    return code;
}

int cli_config(const struct cli *cli)
{
    return list(cli, NULL);
}

int cli_get(const struct cli *cli)
{
    return list(cli, cli->operands[0]);
}

/* --- set and reload --------------------------------------------------------------------------- */

struct report {
    const struct cli *cli;
    struct json *json;
    unsigned changed;
    char refusal[LINE_BYTES]; /* of a reload; "" where it was applied */
};

/* "CHANGED key: old -> new" becomes a sentence; in a document, an object of an array. */
static void tell(void *context, const char *line)
{
    struct report *report = context;
    const char *blank = strchr(line, ' ');
    size_t word = blank != NULL ? (size_t)(blank - line) : strlen(line);
    const char *rest = blank != NULL ? blank + 1 : "";
    bool restart = word == 7 && memcmp(line, "RESTART", word) == 0;
    bool changed = word == 7 && memcmp(line, "CHANGED", word) == 0;
    bool error = word == 5 && memcmp(line, "ERROR", word) == 0;
    if (word == 7 && memcmp(line, "REFUSED", word) == 0)
        snprintf(report->refusal, sizeof report->refusal, "%s", rest);
    if (!restart && !changed && !error) return;
    report->changed += changed;
    if (report->json == NULL) {
        fprintf(changed ? stdout : stderr, "%s%s\n", rest, restart ? " needs a restart" : "");
        return;
    }
    json_object(report->json, NULL);
    json_text(report->json, changed ? "changed" : restart ? "needs_restart" : "error", rest);
    json_object_end(report->json);
}

/* Carries out a line that changes something, and tells what that came to. */
static int change(const struct cli *cli, const char *line, struct report *report)
{
    struct json json;
    json_init(&json, stdout);
    if (cli->json) {
        report->json = &json;
        json_array(&json, NULL);
    }
    int code = ask(cli, line, tell, report);
    if (cli->json) {
        json_array_end(&json);
        putchar('\n');
    }
    return code;
}

int cli_set(const struct cli *cli)
{
    char line[LINE_BYTES];
    struct report report = {.cli = cli};
    if (!make_line(line, "config set", cli->operands, cli->operand_count))
        return cli_usage("set", "that is no key, or its value is too long");
    int code = change(cli, line, &report);
    if (code != CLI_GOOD || cli->json) return code;
    puts(report.changed > 0 ? "until the next reload or restart" : "it was so already");
    bool limit = strcmp(cli->operands[0], "storage.memory_limit") == 0;
    return limit && !cli->no_wait ? shrink_watch(cli) : code;
}

int cli_reload(const struct cli *cli)
{
    struct report report = {.cli = cli};
    int code = change(cli, "config reload", &report);
    if (code != CLI_GOOD) return code;
    if (report.refusal[0] != '\0') {
        fprintf(stderr, "farpage: nothing was applied: %s\n", report.refusal);
        return CLI_FAILED;
    }
    if (!cli->json) printf("reloaded: %u changed\n", report.changed);
    return code;
}
