/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/drain/drain_to.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "client/cli/interrupt.h"
#include "client/cli/pages/pagefile.h"

enum { ADDRESS_BYTES = 256 };

bool drain_to_a_server(const char *to)
{
    const char *colon = strrchr(to, ':');
    uint64_t port;
    if (strncmp(to, "unix:", 5) == 0) return true;
    if (strchr(to, '/') != NULL || colon == NULL || colon == to) return false;
    return number_u64(slice_text(colon + 1), &port);
}

bool drain_to_a_file(const char *to)
{
    return strchr(to, '/') != NULL && !drain_to_a_server(to);
}

static void tell(const struct mover *mover, uint64_t begun_ns, struct drained *drained)
{
    uint64_t now_ns = clock_monotonic_ns();
    *drained = (struct drained){.pages = mover_pages(mover),
                                .copied_pages = mover->copied_pages,
                                .rounds = mover->rounds,
                                .seconds = (double)(now_ns - begun_ns) / 1e9,
                                .frozen_seconds = (double)(now_ns - mover->frozen_ns) / 1e9};
}

static bool finish(struct farpage_area *area, const struct farpage_moved *moved,
                   struct complaint *complaint)
{
    if (farpage_area_finish(area, moved) == FARPAGE_OK) return true;
    complain(complaint, "%s", farpage_area_error(area));
    return false;
}

/* --- a server --------------------------------------------------------------------------------- */

struct target {
    const struct drain_source *source;
    const char *address;
    struct farpage *client;
    struct farpage_area *area;
    bool made; /* by us */
    struct farpage_op *ops;
};

static bool keep_there(void *context, const struct piece *piece, struct complaint *complaint)
{
    struct target *target = context;
    size_t count = 0;
    for (uint32_t i = 0; i < piece->count; i++) {
        if (piece->absent[i]) continue;
        target->ops[count++] = (struct farpage_op){.kind = FARPAGE_OP_STORE,
                                                   .slot = piece->first + i,
                                                   .page = piece->pages +
                                                           (size_t)i * piece->page_bytes};
    }
    enum farpage_status status = farpage_batch(target->area, target->ops, count, 0);
    for (size_t i = 0; i < count && status == FARPAGE_OK; i++) status = target->ops[i].status;
    if (status == FARPAGE_OK) return true;
    complain(complaint, "%.100s: %.180s", target->address, farpage_area_error(target->area));
    return false;
}

static bool forget_there(void *context, uint64_t first, uint64_t count,
                         struct complaint *complaint)
{
    struct target *target = context;
    if (farpage_invalidate(target->area, first, count) == FARPAGE_OK) return true;
    complain(complaint, "%.100s: %.180s", target->address, farpage_area_error(target->area));
    return false;
}

static bool open_there(struct target *target, const struct farpage_area_info *info,
                       struct complaint *complaint)
{
    struct farpage_area_options options = {.page_bytes = info->page_bytes};
    struct farpage_area_info there;
    enum farpage_status status =
        farpage_area_open(target->client, target->source->name, &options, &target->area);
    options.slots = info->slots;
    options.quota_pages = target->source->quota_pages;
    options.quota_bytes = target->source->quota_bytes;
    target->made = status == FARPAGE_NO_AREA;
    if (target->made)
        status = farpage_area_open(target->client, target->source->name, &options, &target->area);
    if (status != FARPAGE_OK) {
        complain(complaint, "%.100s: %.180s", target->address, farpage_error(target->client));
        return false;
    }
    farpage_area_info(target->area, &there);
    if (there.slots == info->slots && there.stored_pages == 0) return true;
    complain(complaint, "area '%.64s' is at %.100s already, %s: delete it there first",
             target->source->name, target->address,
             there.stored_pages > 0 ? "with pages" : "with another size");
    farpage_area_close(&target->area); /* and it stays as it is */
    return false;
}

static bool connect_there(const struct cli *cli, struct target *target,
                          const struct farpage_area_info *info, struct complaint *complaint)
{
    struct farpage_options options = cli_options(cli, cli->to);
    options.flags |= FARPAGE_NO_RECONNECT;
    if (farpage_connect(&options, &target->client) != FARPAGE_OK) {
        complain(complaint, "--to %.100s: %.180s", cli->to, farpage_error(target->client));
        return false;
    }
    const struct farpage_server_info *server = farpage_server(target->client);
    if (memcmp(server->boot_id, info->boot_id, sizeof info->boot_id) == 0) {
        complain(complaint, "--to %.100s is the server the area is on", cli->to);
        return false;
    }
    return open_there(target, info, complaint);
}

/* Nothing of a copy that is not whole may be taken for one. */
static void take_back(struct target *target)
{
    if (target->area == NULL) return;
    if (target->made && farpage_area_delete(&target->area) == FARPAGE_OK) return;
    (void)!farpage_invalidate(target->area, 0, farpage_area_slots(target->area));
}

static bool move_there(struct target *target, struct drained *drained,
                       struct complaint *complaint)
{
    struct farpage_area *area = target->source->area;
    struct mover mover = {.area = area,
                          .name = target->source->name,
                          .sink = {keep_there, forget_there, target}};
    uint64_t begun_ns = clock_monotonic_ns();
    target->ops = calloc(FARPAGE_ROW_SLOTS, sizeof *target->ops);
    bool good = target->ops != NULL && mover_run(&mover, complaint);
    if (target->ops == NULL) complain(complaint, "out of memory");
    if (good) {
        struct farpage_area_info there;
        farpage_area_info(target->area, &there);
        struct farpage_moved moved = {.address = target->address, .generation = there.generation};
        memcpy(moved.boot_id, there.boot_id, sizeof moved.boot_id);
        good = finish(area, &moved, complaint);
    }
    if (good) tell(&mover, begun_ns, drained);
    mover_fini(&mover);
    free(target->ops);
    return good;
}

bool drain_to_server(const struct cli *cli, const struct drain_source *source,
                     struct drained *drained, struct complaint *complaint)
{
    struct target target = {.source = source,
                            .address = cli->advertise != NULL ? cli->advertise : cli->to};
    struct farpage_area_info info;
    farpage_area_info(source->area, &info);
    bool good = connect_there(cli, &target, &info, complaint) &&
                move_there(&target, drained, complaint);
    if (!good) take_back(&target);
    farpage_disconnect(&target.client);
    return good;
}

/* --- a file ----------------------------------------------------------------------------------- */

static bool write_piece(void *context, const struct piece *piece, struct complaint *complaint)
{
    return pagefile_write(context, piece, complaint);
}

/* What clients are told: the name without its folder, which is nobody's business there. */
static void name_file(const char *path, char address[ADDRESS_BYTES])
{
    const char *slash = strrchr(path, '/');
    snprintf(address, ADDRESS_BYTES, "file:%.240s", slash != NULL ? slash + 1 : path);
    for (char *at = address; *at != '\0'; at++)
        if (*at <= ' ' || *at >= 0x7f) *at = '?';
}

bool drain_to_file(const struct drain_source *source, const char *path, struct drained *drained,
                   struct complaint *complaint)
{
    struct pagefile file;
    struct farpage_area *area = source->area;
    struct mover mover = {.area = area, .name = source->name, .sink = {write_piece, NULL, &file}};
    struct farpage_area_info info;
    char address[ADDRESS_BYTES];
    uint64_t begun_ns = clock_monotonic_ns();
    farpage_area_info(area, &info);
    name_file(path, address);
    if (!pagefile_create(&file, path, complaint)) return false;
    bool good = mover_run(&mover, complaint) &&
                pagefile_extend(&file, info.slots * info.page_bytes, complaint) &&
                pagefile_sync(&file, complaint);
    if (!good) pagefile_abandon(&file);
    if (good) good = pagefile_commit(&file, complaint);
    if (good) good = finish(area, &(struct farpage_moved){.address = address}, complaint);
    if (good) tell(&mover, begun_ns, drained);
    mover_fini(&mover);
    return good;
}
