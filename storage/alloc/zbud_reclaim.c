/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Emptying the oldest page that nobody has mapped. It is taken off the lists and given a reference,
 * then its objects are offered to the callback with no lock held. Whoever ends one meanwhile, the
 * callback included, drops its reference only: the bytes stay until we are done. With our own
 * reference the last may go, and the page with it; else it is listed again, as the youngest.
 */
#include "base/check.h"
#include "storage/alloc/zbud.h"

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

/* What is offered of a buddy; false: it has been freed. */
static bool read_buddy(struct zbud *zbud, const struct zbud_page *page, unsigned side,
                       struct zpool_offer *offer)
{
    lock_take(&zbud->lock);
    bool there = page->owner[side] != 0 && !page->freed[side];
    if (there)
        *offer = (struct zpool_offer){.handle = {page->owner[side]},
                                      .said = cell_said(cells_load(&zbud->pool.cells,
                                                                   page->owner[side])),
                                      .bytes = zbud_address(zbud, page, side),
                                      .size_bytes = page->size_less_one[side] + 1u};
    lock_drop(&zbud->lock);
    return there;
}

static void offer_page(struct zbud *zbud, const struct zpool_reclaimer *reclaimer, uint32_t id)
{
    const struct zbud_page *page = zbud_page(zbud, id);
    for (unsigned side = 0; side < 2; side++) {
        struct zpool_offer offer;
        if (!read_buddy(zbud, page, side, &offer)) continue;
        lock_assert_none();
        enum fp_status status = reclaimer->give(reclaimer->owner, &offer);
        if (status == FP_OK && reclaimer->way == ZPOOL_EVICT)
            fp_assert(zpool_says(&zbud->pool, offer.handle) != offer.said); /* it was ended */
    }
}

/* True: the page is gone. */
static bool let_go(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    lock_take(&zbud->lock);
    for (unsigned side = 0; side < 2; side++) {
        if (!page->freed[side]) continue;
        page->owner[side] = 0;
        zbud_set_chunks_locked(zbud, page, side, 0);
        page->freed[side] = false;
    }
    page->under_reclaim = false;
    bool gone = zbud_release_locked(zbud, id);
    if (!gone) zbud_list_locked(zbud, id);
    lock_drop(&zbud->lock);
    if (gone) zbud_give_back(zbud, id);
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
        offer_page(zbud, reclaimer, id);
        if (let_go(zbud, id)) return FP_OK;
        status = FP_BUSY;
    }
    return status;
}
