/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The file of a server that stops is written, and taken up by one that starts, with each allocation
 * failing in turn, and each call to the disk: refused, the disk full, only half done.
 *
 * Proven each time: what says that it was written can be taken up with every page and item; what
 * says that it failed gives a reason; a file that was not taken up is still there, and good; and
 * nothing is left behind. */
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/restart/restart.h"
#include "storage/store/store_dictionary.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"
#include "tests/unit/storage/kit_dictionary.h"

enum { PAGES = 60, ITEMS = 4, VALUE_BYTES = 20000, PATH_BYTES = 128 };

static const uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES] = {1, 2, 3};
static char export_names[1][SNAPSHOT_NAME_BYTES_MAX + 1] = {"disk"};
static char directory[PATH_BYTES], path[PATH_BYTES + 16], temporary[PATH_BYTES + 32];
static struct bench kept; /* what is written */
static uint8_t *sample;
static uint8_t value[VALUE_BYTES];
static bool halves;   /* nothing is to fail */
static bool for_good; /* all calls fail from one on */

static const uint8_t *page_of(uint64_t i)
{
    return sample + i % KIT_SAMPLE_PAGES * KIT_PAGE_BYTES;
}

static void fill(void)
{
    struct dictionary *dictionary = kit_dictionary(1);
    uint8_t tenant;
    struct tenant_limits none = {0};
    bench_setup(&kept, (struct store_options){.page_bytes = 0}, PAGES);
    fp_assert(tenants_define(store_tenants(kept.store), slice_text("web"), &none, &tenant) ==
              FP_OK);
    fp_assert(store_dictionary_keep(kept.store, kept.area, dictionary) == FP_OK);
    dictionary_release(&dictionary);
    store_area_give(kept.store, kept.area, tenant);
    for (unsigned i = 0; i < PAGES; i++)
        fp_assert(bench_store(&kept, i, page_of(i)) == FP_OK);
    kept.scratch->tenant = tenant;
    for (int i = 0; i < ITEMS; i++) {
        char key[16];
        snprintf(key, sizeof key, "item%d", i);
        fp_assert(bench_set(&kept, key, slice_of(value, sizeof value)) == FP_OK);
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool is_there(const char *name)
{
    struct stat about;
    return lstat(name, &about) == 0;
}

static enum fp_status write_file(char reason[RESTART_REASON_BYTES])
{
    struct restart_written written;
    struct restart_writing writing = {.path = path, .boot_id = boot_id, .release = "test",
                                      .store = kept.store, .scratch = kept.scratch,
                                      .exports = {1, export_names}};
    return restart_write(&writing, &written, reason);
}

static bool take_up(void);

static void play_write(void)
{
    char reason[RESTART_REASON_BYTES] = "";
    enum fp_status status = write_file(reason);
    fp_assert(budget_held(store_budget(kept.store), BUDGET_SNAPSHOT) == 0);
    bool failed = fault_disarm();
    if (status == FP_OK) {
        fp_assert(take_up());
    } else {
        fp_assert(failed && !halves);
        fp_assert(status == FP_IO || status == FP_NO_MEMORY);
        fp_assert(strncmp(reason, path, strlen(path)) == 0);
        /* So that no later start takes up what was said to be lost. */
        fp_assert(!is_there(path) || for_good);
    }
    (void)unlink(path);
    (void)unlink(temporary);
}

/* --- taking up -------------------------------------------------------------------------------- */

static void check_all(struct bench *bench)
{
    uint8_t out[KIT_PAGE_BYTES];
    struct area *area = bench->area = store_area_next(bench->store, NULL);
    fp_assert(bench->area != NULL);
    for (unsigned i = 0; i < PAGES; i++) {
        fp_assert(bench_load(bench, i, out) == FP_OK);
        fp_assert(memcmp(out, page_of(i), sizeof out) == 0);
    }
    area_release(&area);
}

static bool has_items(struct bench *bench)
{
    bool all = true;
    for (int i = 0; i < ITEMS; i++) {
        char key[16];
        snprintf(key, sizeof key, "item%d", i);
        all &= bench_has(bench, key, slice_of(value, sizeof value));
    }
    return all;
}

/* It owns what it owned, and no configuration names it. */
static void check_tenant(struct store *store)
{
    const struct tenants *tenants = store_tenants(store);
    fp_assert(atomic_load(&tenants->count) == 2 && strcmp(tenants->of[1].name, "web") == 0);
    fp_assert(!atomic_load(&tenants->of[1].configured));
    fp_assert(atomic_load(&tenants->of[1].pages) == PAGES);
}

/* True: it was taken. */
static bool read_file(struct bench *bench)
{
    char reason[RESTART_REASON_BYTES] = "";
    struct restart restart;
    struct restart_reading reading = {
        .path = path, .same = true, .store = bench->store, .scratch = bench->scratch};
    enum fp_status status = restart_read(&reading, &restart, reason);
    bool failed = fault_disarm();
    if (status == FP_OK) {
        fp_assert(restart.taken && restart.exports.count == 1);
        check_all(bench);
        fp_assert(failed || has_items(bench)); /* items are a cache */
        check_tenant(bench->store);
        store_check(bench->store);
    } else {
        fp_assert(failed && !halves && !restart.taken);
        fp_assert(status == FP_IO || status == FP_NO_MEMORY || status == FP_CORRUPT);
        fp_assert(strncmp(reason, path, strlen(path)) == 0);
    }
    restart_fini(&restart);
    return status == FP_OK;
}

static bool take_up(void)
{
    struct bench bench = {0};
    bool taken = false;
    struct store_options options = {.memory_limit_bytes = 256ull * BENCH_MIB,
                                    .page_bytes = KIT_PAGE_BYTES,
                                    .allocator = kit_allocator(),
                                    .compressor = {"lz4", 0},
                                    .hash_seed = 1};
    if (store_create(&options, &bench.store) != FP_OK) return false;
    if (store_scratch_create(bench.store, &bench.scratch) == FP_OK) {
        bench.scratch->now_ms = 2000;
        bench.scratch->unix_s = BENCH_START_UNIX_S;
        taken = read_file(&bench);
        store_scratch_destroy(&bench.scratch);
    }
    store_destroy(&bench.store);
    return taken;
}

static void play_read(void)
{
    (void)take_up();
    fp_assert(is_there(path));
}

/* What is to be gone, before anybody is served, is gone; or says so, and is there still, unless the
 * disk refuses everything. */
static void play_consume(void)
{
    char reason[RESTART_REASON_BYTES] = "";
    enum fp_status status = restart_consume(path, reason);
    (void)fault_disarm();
    if (status == FP_OK) fp_assert(!is_there(path));
    else fp_assert(status == FP_IO && reason[0] != '\0' && (is_there(path) || for_good));
    if (!is_there(path)) fp_assert(write_file(reason) == FP_OK);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void each_of_disk(const char *what, void (*play)(void))
{
    uint64_t calls[2];
    for (int all = 0; all < 2; all++) {
        for_good = all;
        calls[all] = fault_each_of(FAULT_DISK, play, for_good) +
                     fault_each_of(FAULT_DISK_FULL, play, for_good);
    }
    printf("%s: each of %" PRIu64 " calls to the disk failed once, and from each of %" PRIu64
           " on all\n", what, calls[0], calls[1]);
    halves = true;
    (void)fault_each_of(FAULT_DISK_SHORT, play, false);
    (void)fault_each_of(FAULT_DISK_SHORT, play, true);
    halves = false;
}

int main(void)
{
    char reason[RESTART_REASON_BYTES];
    struct rng rng = {.state = 1};
    sample = kit_sample();
    rng_fill_text(&rng, value, sizeof value);
    snprintf(directory, sizeof directory, "%s/fault-restart-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fp_assert(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/kept", directory);
    snprintf(temporary, sizeof temporary, "%s" RESTART_TEMPORARY, path);
    fill();
    play_write(); /* once in good weather: libraries allocate what they keep */
    printf("written: each of %" PRIu64 " allocations failed\n", fault_each(play_write, false));
    each_of_disk("written", play_write);
    fp_assert(write_file(reason) == FP_OK);
    play_read();
    printf("taken up: each of %" PRIu64 " allocations failed\n", fault_each(play_read, false));
    (void)fault_each(play_read, true);
    each_of_disk("taken up", play_read);
    each_of_disk("taken away", play_consume);
    (void)unlink(path);
    fp_assert(rmdir(directory) == 0);
    bench_teardown(&kept);
    free(sample);
    return 0;
}
