/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Emptying the oldest page that nobody has mapped. It is taken off the lists and given a reference,
 * then its objects are offered to the callback with no lock held. Whoever frees one meanwhile, the
 * callback included, drops its reference only: bytes and handle number stay until we are done. With
 * our own reference the last may go, and the page with it; else it is listed again, as the
 * youngest.
 */
#include "base/check.h"
#include "storage/zbud.h"

enum { PINNED_MAX = 256 }; /* mapped pages walked past in one look */

static struct zbud *zbud_from(struct zpool *pool)
{
    return (struct zbud *)pool;
}

/* FP_OK: *id is held. FP_BUSY: every page looked at is mapped. FP_ABSENT: there is none. */
static enum fp_status hold_oldest(struct zbud *zbud, uint32_t *id)
{
    enum fp_status status = FP_ABSENT;
    unsigned looked = 0;
    lock_take(&zbud->lock);
    for (*id = zbud->oldest; *id != ZBUD_NONE; *id = zbud_page(zbud, *id)->younger) {
        struct zbud_page *page = zbud_page(zbud, *id);
        status = FP_BUSY;
        if (atomic_load_explicit(&page->pins, memory_order_acquire) == 0) {
            zbud_unlist_locked(zbud, *id);
            page->references++;
            page->under_reclaim = true;
            status = FP_OK;
            break;
        }
        if (++looked == PINNED_MAX) break;
    }
    lock_drop(&zbud->lock);
    return status;
}

/* The handle of a buddy that has not been freed yet; 0: none. */
static struct zhandle buddy(struct zbud *zbud, const struct zbud_page *page, unsigned side)
{
    lock_take(&zbud->lock);
    struct zhandle handle = {.bits = page->freed[side] ? 0 : page->owner[side]};
    lock_drop(&zbud->lock);
    return handle;
}

static void offer(struct zbud *zbud, const struct zpool_reclaimer *reclaimer, uint32_t id)
{
    const struct zbud_page *page = zbud_page(zbud, id);
    for (unsigned side = 0; side < 2; side++) {
        struct zhandle handle = buddy(zbud, page, side);
        if (handle.bits == 0) continue;
        lock_assert_none();
        enum fp_status status =
            reclaimer->give(reclaimer->owner, handle, zbud_address(zbud, page, side),
                            (size_t)page->chunks[side] * ZBUD_CHUNK_BYTES);
        if (status == FP_OK && reclaimer->way == ZPOOL_EVICT) zbud_free(&zbud->pool, handle);
    }
}

/* True: the page is gone. */
static bool let_go(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    uint32_t freed[2] = {0, 0};
    lock_take(&zbud->lock);
    for (unsigned side = 0; side < 2; side++) {
        if (!page->freed[side]) continue;
        freed[side] = page->owner[side];
        page->owner[side] = page->chunks[side] = 0;
        page->freed[side] = false;
    }
    page->under_reclaim = false;
    bool gone = zbud_release_locked(zbud, id);
    if (!gone) zbud_list_locked(zbud, id);
    lock_drop(&zbud->lock);
    if (gone) zbud_give_back(zbud, id);
    for (unsigned side = 0; side < 2; side++)
        if (freed[side] != 0) idpool_give(&zbud->cells, freed[side] - 1);
    return gone;
}

enum fp_status zbud_reclaim(struct zpool *pool, const struct zpool_reclaimer *reclaimer)
{
    struct zbud *zbud = zbud_from(pool);
    enum fp_status status = FP_BUSY;
    for (unsigned tried = 0; tried < reclaimer->pages_max; tried++) {
        uint32_t id;
        status = hold_oldest(zbud, &id);
        if (status != FP_OK) break; /* the callbacks may have freed all the others */
        offer(zbud, reclaimer, id);
        if (let_go(zbud, id)) return FP_OK;
        status = FP_BUSY;
    }
    return status;
}
