/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/snapshot/snapshot_inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"
#include "client/cli/snapshot/snapshot_objects.h"
#include "snapshot/reader.h"

enum { BUFFER_BYTES = 2 * SNAPSHOT_RECORD_BYTES_MAX, WHEN_BYTES = 32 };

struct inspected_area {
    uint64_t pages, same_filled, packed_bytes, damaged;
    bool moved;
};

struct inspection {
    const struct cli *cli;
    const char *path;
    int fd;
    uint64_t file_bytes;
    uint8_t *buffer;
    size_t start, end;
    bool at_end;
    struct snapshot_reader reader;
    struct snapshot_objects objects;
    char release[SNAPSHOT_RELEASE_BYTES_MAX + 1];
    struct inspected_area areas[SNAPSHOT_AREAS_MAX];
    uint64_t damaged_pages, damaged_items;
    uint32_t value_bytes; /* of the item whose pieces come */
    bool item_damaged;
    struct snapshot_end last;
};

/* --- reading ---------------------------------------------------------------------------------- */

static bool fill(struct inspection *inspection)
{
    size_t left = inspection->end - inspection->start;
    memmove(inspection->buffer, inspection->buffer + inspection->start, left);
    inspection->start = 0;
    inspection->end = left;
    while (inspection->end < BUFFER_BYTES && !inspection->at_end) {
        ssize_t got = read(inspection->fd, inspection->buffer + inspection->end,
                           BUFFER_BYTES - inspection->end);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) inspection->at_end = true;
        inspection->end += (size_t)got;
    }
    return true;
}

static void take_pages(struct inspection *inspection, const struct snapshot_pages *pages)
{
    struct slice rest = pages->entries;
    struct snapshot_entry entry;
    struct inspected_area *area = &inspection->areas[pages->area];
    uint32_t page_bytes = inspection->reader.areas[pages->area].page_bytes;
    while (snapshot_entry_next(&rest, &entry)) {
        bool good = snapshot_object_is_good(&inspection->objects, &entry, page_bytes);
        area->pages++;
        area->same_filled += entry.form == SNAPSHOT_WORD;
        area->packed_bytes += entry.bytes.size_bytes;
        area->damaged += !good;
        inspection->damaged_pages += !good;
    }
}

static void take_pieces(struct inspection *inspection, struct slice rest)
{
    struct snapshot_entry entry;
    while (snapshot_entry_next(&rest, &entry)) {
        uint32_t plain_bytes = snapshot_piece_bytes(inspection->value_bytes, entry.place);
        bool good = snapshot_object_is_good(&inspection->objects, &entry, plain_bytes);
        inspection->damaged_items += !good && !inspection->item_damaged;
        inspection->item_damaged |= !good;
    }
}

static void take_release(struct inspection *inspection, struct slice release)
{
    memcpy(inspection->release, release.bytes, release.size_bytes);
}

static void take(struct inspection *inspection, const struct snapshot_record *record)
{
    switch (record->type) {
    case SNAPSHOT_HEAD:
        take_release(inspection, record->as.head.release);
        break;
    case SNAPSHOT_DICTIONARY:
        snapshot_objects_dictionary(&inspection->objects, &record->as.dictionary);
        break;
    case SNAPSHOT_SEAT:
        snapshot_objects_seat(&inspection->objects, &record->as.seat);
        break;
    case SNAPSHOT_AREA:
        inspection->areas[record->as.area.number].moved = record->as.area.moved;
        break;
    case SNAPSHOT_PAGES:
        take_pages(inspection, &record->as.pages);
        break;
    case SNAPSHOT_ITEM:
        inspection->value_bytes = record->as.item.value_bytes;
        inspection->item_damaged = false;
        take_pieces(inspection, record->as.item.entries);
        break;
    case SNAPSHOT_PIECES:
        take_pieces(inspection, record->as.pieces.entries);
        break;
    case SNAPSHOT_END:
        inspection->last = record->as.end;
        break;
    case SNAPSHOT_EXPORT:
    case SNAPSHOT_TENANT:
    case SNAPSHOT_TYPES:
        break;
    }
}

/* NULL, or what is wrong. */
static const char *read_all(struct inspection *inspection)
{
    struct snapshot_record record;
    struct progress progress;
    const char *problem = NULL;
    bool done = false;
    progress_init(&progress, "reading", inspection->file_bytes / 4096, 4096);
    while (!done && problem == NULL) {
        size_t used;
        struct slice bytes = slice_of(inspection->buffer + inspection->start,
                                      inspection->end - inspection->start);
        switch (snapshot_read_next(&inspection->reader, bytes, inspection->at_end, &record,
                                   &used)) {
        case SNAPSHOT_READ_RECORD:
            take(inspection, &record);
            inspection->start += used;
            break;
        case SNAPSHOT_READ_MORE:
            if (!fill(inspection)) problem = strerror(errno);
            progress_show(&progress, inspection->reader.offset / 4096);
            break;
        case SNAPSHOT_READ_END:
            done = true;
            break;
        case SNAPSHOT_READ_BAD:
            problem = inspection->reader.problem;
            break;
        }
    }
    progress_fini(&progress);
    return problem;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void when_text(uint64_t unix_ns, char text[WHEN_BYTES])
{
    time_t seconds = (time_t)(unix_ns / 1000000000);
    struct tm parts;
    text[0] = '\0';
    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(text, WHEN_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void boot_text(const uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES], char text[33])
{
    for (unsigned i = 0; i < SNAPSHOT_BOOT_ID_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", boot_id[i]);
}

static const char *kind_text(const struct inspection *inspection)
{
    return inspection->reader.head.kind == SNAPSHOT_OF_STOP ? "restart" : "snapshot";
}

static void tell_json(const struct inspection *inspection)
{
    const struct snapshot_reader *reader = &inspection->reader;
    char when[WHEN_BYTES], boot[33];
    struct json json;
    when_text(reader->head.unix_ns, when);
    boot_text(reader->head.boot_id, boot);
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "file", inspection->path);
    json_number(&json, "bytes", inspection->file_bytes);
    json_text(&json, "kind", kind_text(inspection));
    json_text(&json, "taken", when);
    json_text(&json, "server", inspection->release);
    json_text(&json, "boot_id", boot);
    json_number(&json, "pages", reader->totals.pages);
    json_number(&json, "page_bytes", reader->totals.plain_bytes);
    json_number(&json, "packed_bytes", reader->totals.packed_bytes);
    json_number(&json, "items", reader->totals.items);
    json_number(&json, "value_bytes", reader->totals.value_bytes);
    json_number(&json, "value_packed_bytes", reader->totals.value_packed_bytes);
    json_number(&json, "dictionary_bytes", reader->totals.dictionary_bytes);
    json_number(&json, "damaged_pages", inspection->damaged_pages);
    json_number(&json, "damaged_items", inspection->damaged_items);
    json_array(&json, "areas");
    for (uint64_t i = 0; i < reader->totals.areas; i++) {
        const struct snapshot_reader_area *area = &reader->areas[i];
        const struct inspected_area *found = &inspection->areas[i];
        json_object(&json, NULL);
        json_text(&json, "name", area->name);
        json_number(&json, "generation", area->generation);
        json_number(&json, "slots", area->slots);
        json_number(&json, "page_bytes", area->page_bytes);
        json_bool(&json, "moved", found->moved);
        json_number(&json, "pages", found->pages);
        json_number(&json, "same_filled", found->same_filled);
        json_number(&json, "packed_bytes", found->packed_bytes);
        json_number(&json, "damaged", found->damaged);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    putchar('\n');
}

static void tell_areas(const struct inspection *inspection)
{
    const struct snapshot_reader *reader = &inspection->reader;
    if (reader->totals.areas == 0) return;
    printf("%-24s %12s %12s %10s %10s %8s\n", "area", "pages", "same-filled", "plain", "packed",
           "damaged");
    for (uint64_t i = 0; i < reader->totals.areas; i++) {
        const struct snapshot_reader_area *area = &reader->areas[i];
        const struct inspected_area *found = &inspection->areas[i];
        printf("%-24s %12s %12s %10s %10s %8s%s\n", area->name, human_count(found->pages).text,
               human_count(found->same_filled).text,
               human_size(found->pages * area->page_bytes).text,
               human_size(found->packed_bytes).text, human_count(found->damaged).text,
               found->moved ? "  moved" : "");
    }
}

static void tell(const struct inspection *inspection)
{
    const struct snapshot_reader *reader = &inspection->reader;
    char when[WHEN_BYTES], boot[33];
    when_text(reader->head.unix_ns, when);
    boot_text(reader->head.boot_id, boot);
    printf("%s: a %s of %s, taken by farpaged %s, boot %s\n", inspection->path,
           reader->head.kind == SNAPSHOT_OF_STOP ? "restart file" : "snapshot", when,
           inspection->release, boot);
    printf("%s, every checksum of the file is good\n", human_size(inspection->file_bytes).text);
    tell_areas(inspection);
    printf("items %s, values %s, packed %s\n", human_count(reader->totals.items).text,
           human_size(reader->totals.value_bytes).text,
           human_size(reader->totals.value_packed_bytes).text);
}

static int verdict(const struct inspection *inspection)
{
    if (inspection->damaged_pages + inspection->damaged_items == 0) return CLI_GOOD;
    return cli_fail(inspection->cli, CLI_FAILED,
                    "%" PRIu64 " pages and %" PRIu64 " items are damaged: they were so on the "
                    "server, which answers 'corrupt' for them",
                    inspection->damaged_pages, inspection->damaged_items);
}

static int inspect(struct inspection *inspection)
{
    struct stat about;
    inspection->fd = open(inspection->path, O_RDONLY | O_CLOEXEC);
    if (inspection->fd < 0 || fstat(inspection->fd, &about) != 0)
        return cli_fail(inspection->cli, CLI_FAILED, "cannot open '%.200s': %s", inspection->path,
                        strerror(errno));
    inspection->file_bytes = (uint64_t)about.st_size;
    const char *problem = read_all(inspection);
    if (problem != NULL)
        return cli_fail(inspection->cli, CLI_FAILED, "%.200s: at byte %" PRIu64 ": %s",
                        inspection->path, inspection->reader.offset, problem);
    if (inspection->cli->json) tell_json(inspection);
    else tell(inspection);
    if (inspection->cli->json)
        return inspection->damaged_pages + inspection->damaged_items == 0 ? CLI_GOOD : CLI_FAILED;
    return verdict(inspection);
}

int cli_snapshot_inspect(const struct cli *cli)
{
    struct inspection *inspection = calloc(1, sizeof *inspection);
    if (inspection == NULL) return cli_fail(cli, CLI_FAILED, "out of memory");
    inspection->cli = cli;
    inspection->path = cli->operands[1];
    inspection->fd = -1;
    inspection->buffer = malloc(BUFFER_BYTES);
    snapshot_reader_init(&inspection->reader);
    bool good = snapshot_objects_init(&inspection->objects) && inspection->buffer != NULL;
    int code = good ? inspect(inspection) : cli_fail(cli, CLI_FAILED, "out of memory");
    if (inspection->fd >= 0) close(inspection->fd);
    snapshot_objects_fini(&inspection->objects);
    free(inspection->buffer);
    free(inspection);
    return cli_finish(cli, code);
}
