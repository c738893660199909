/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a file: .farpage-XXXX beside it -> the pieces as they come, each record checked -> to the
 * disk -> the file's name -> its folder, to the disk. Whatever stops it leaves the old file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/cli/cli.h"
#include "client/cli/interrupt.h"
#include "client/cli/pages/pagefile.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"
#include "client/cli/snapshot/snapshot_inspect.h"
#include "snapshot/reader.h"

enum {
    WAIT_NS = 100000,
    WAIT_NS_MAX = 20000000,
    PATH_BYTES = 4096,
    PENDING_BYTES = SNAPSHOT_RECORD_BYTES_MAX + (1 << 20),
};

struct taking {
    struct pagefile file;
    struct complaint complaint;
    bool good;
    uint64_t bytes;
    struct snapshot_reader reader;
    uint8_t *pending; /* what the reader has not taken yet */
    size_t pending_bytes;
};

static bool write_all(struct taking *taking, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = write(taking->file.fd, bytes, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            complain_errno(&taking->complaint, errno, "writing '%.100s'", taking->file.path);
            return false;
        }
        bytes += put;
        size -= (size_t)put;
        taking->bytes += (uint64_t)put;
    }
    return true;
}

/* What arrived is what was sent, and complete in the end. */
static bool check(struct taking *taking, bool last)
{
    struct snapshot_record record;
    size_t start = 0, used;
    enum snapshot_read read;
    do {
        struct slice rest = slice_of(taking->pending + start, taking->pending_bytes - start);
        read = snapshot_read_next(&taking->reader, rest, last, &record, &used);
        if (read == SNAPSHOT_READ_RECORD) start += used;
    } while (read == SNAPSHOT_READ_RECORD);
    memmove(taking->pending, taking->pending + start, taking->pending_bytes - start);
    taking->pending_bytes -= start;
    if (read == SNAPSHOT_READ_MORE || read == SNAPSHOT_READ_END) return true;
    complain(&taking->complaint, "what the server sent is no good snapshot: %s",
             taking->reader.problem);
    return false;
}

static void take(void *context, const void *bytes, size_t size)
{
    struct taking *taking = context;
    if (!taking->good) return;
    if (size > PENDING_BYTES - taking->pending_bytes) {
        complain(&taking->complaint, "the server sent a record that is too long");
        taking->good = false;
        return;
    }
    memcpy(taking->pending + taking->pending_bytes, bytes, size);
    taking->pending_bytes += size;
    taking->good = write_all(taking, bytes, size) && check(taking, false);
}

/* False: the complaint says why. */
static bool take_all(struct taking *taking, struct farpage *client)
{
    struct farpage_snapshot_piece piece;
    struct progress progress;
    uint64_t wait_ns = WAIT_NS;
    enum farpage_status status = farpage_snapshot_begin(client, take, taking, &piece);
    bool came = false;
    progress_init(&progress, "taking", status == FARPAGE_OK ? piece.todo : 0, 4096);
    while (status == FARPAGE_OK && taking->good && !piece.complete && !came) {
        wait_ns = piece.bytes > 0 ? WAIT_NS : 2 * wait_ns;
        if (wait_ns > WAIT_NS_MAX) wait_ns = WAIT_NS_MAX;
        came = piece.bytes == 0 ? !interrupt_sleep(wait_ns) : interrupt_came();
        progress_show(&progress, piece.done);
        if (!came) status = farpage_snapshot_next(client, take, taking, &piece);
    }
    progress_fini(&progress);
    if (status != FARPAGE_OK) complain(&taking->complaint, "%s", farpage_error(client));
    else if (came) complain(&taking->complaint, "interrupted; nothing was written");
    return status == FARPAGE_OK && taking->good && !came && check(taking, true);
}

/* A new name is not on the disk before its folder is. */
static void sync_folder(const char *path)
{
    char folder[PATH_BYTES] = ".";
    const char *slash = strrchr(path, '/');
    size_t size = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    if (size >= sizeof folder) return;
    if (size > 0) memcpy(folder, path, size), folder[size] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    (void)close(fd);
}

static bool put_in_place(struct taking *taking, const char *path)
{
    bool synced = taking->file.is_stream || pagefile_sync(&taking->file, &taking->complaint);
    if (!synced) {
        pagefile_abandon(&taking->file);
        return false;
    }
    if (!pagefile_commit(&taking->file, &taking->complaint)) return false;
    sync_folder(path);
    return true;
}

static void report(const struct cli *cli, const struct taking *taking, uint64_t took_ns)
{
    const struct snapshot_totals *totals = &taking->reader.totals;
    FILE *out = taking->file.is_stream ? stderr : stdout;
    if (cli->json) {
        struct json json;
        json_init(&json, out);
        json_object(&json, NULL);
        json_text(&json, "file", cli->operands[0]);
        json_number(&json, "bytes", taking->bytes);
        json_number(&json, "areas", totals->areas);
        json_number(&json, "pages", totals->pages);
        json_number(&json, "items", totals->items);
        json_real(&json, "seconds", (double)took_ns / 1e9);
        json_object_end(&json);
        fputc('\n', out);
        return;
    }
    fprintf(out, "%s pages of %s area%s and %s items in %s, %s\n",
            human_count(totals->pages).text, human_count(totals->areas).text,
            totals->areas == 1 ? "" : "s", human_count(totals->items).text,
            human_time(took_ns).text, human_size(taking->bytes).text);
}

static int run(const struct cli *cli, struct taking *taking, struct farpage *client)
{
    const char *path = cli->operands[0];
    uint64_t begun_ns = clock_monotonic_ns();
    if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage("snapshot", "a snapshot is no text for a terminal; name a file");
    if (!pagefile_create(&taking->file, path, &taking->complaint))
        return cli_fail(cli, CLI_FAILED, "%s", taking->complaint.text);
    /* All that is stored is in it. */
    if (taking->file.temporary != NULL) (void)fchmod(taking->file.fd, 0600);
    bool good = take_all(taking, client);
    if (good) good = put_in_place(taking, path);
    else pagefile_abandon(&taking->file);
    if (!good) return cli_fail(cli, CLI_FAILED, "%s", taking->complaint.text);
    report(cli, taking, clock_monotonic_ns() - begun_ns);
    return CLI_GOOD;
}

static int take_snapshot(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_FAILED;
    struct taking *taking = calloc(1, sizeof *taking);
    uint8_t *pending = malloc(PENDING_BYTES);
    if (taking == NULL || pending == NULL) {
        free(taking);
        free(pending);
        return cli_fail(cli, CLI_FAILED, "out of memory");
    }
    taking->pending = pending;
    taking->good = true;
    snapshot_reader_init(&taking->reader);
    interrupt_hold();
    if (cli_connect(cli, &client, &code)) {
        code = run(cli, taking, client);
        farpage_disconnect(&client);
    }
    free(pending);
    free(taking);
    return code;
}

int cli_snapshot(const struct cli *cli)
{
    bool inspects = strcmp(cli->operands[0], "inspect") == 0;
    if (inspects && cli->operand_count == 2) return cli_snapshot_inspect(cli);
    if (cli->operand_count == 2)
        return cli_usage("snapshot", "'snapshot' takes FILE, or inspect FILE");
    return take_snapshot(cli);
}
